//! Tests against real listeners on loopback.

use super::dns::NameServers;
use super::health::Standing;
use super::settings::{ActiveHealth, HttpVersion, PassiveHealth, ServerSettings, Stickiness};
use super::*;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket, UnixListener};
use tokio::task::spawn_local;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

/// Runs a test as a worker thread would: one current-thread runtime with local tasks.
fn on_a_worker<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let limited = async { tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs") };
    tokio::task::LocalSet::new().block_on(&runtime, limited);
}

fn origins() -> Arc<Origins> {
    Origins::start(Options { sticky_key: Some([7; 32]), ..Options::default() }).expect("origins start")
}

fn settings(servers: &[(&str, u32)]) -> Settings {
    let servers = servers.iter().map(|(url, weight)| ServerSettings { url: (*url).to_owned(), weight: *weight });
    Settings { servers: servers.collect(), ..Settings::single("http://unused") }
}

fn pick() -> Pick<'static> {
    Pick { client_ip: CLIENT, cookie: None, tried: &[], http1: false }
}

/// How often each server is chosen for `picks` requests, in the order of the group.
fn shares(group: &Group, picks: impl Iterator<Item = Pick<'static>>) -> Vec<u32> {
    let mut turns = group::Turns::default();
    let mut counted: HashMap<String, u32> = HashMap::new();
    for pick in picks {
        *counted.entry(group.choose(&pick, &mut turns).url().to_owned()).or_default() += 1;
    }
    group.servers().map(|server| counted.get(server.url()).copied().unwrap_or(0)).collect()
}

/// An origin that answers every request on every connection with its name, and counts connections and requests.
struct Answering {
    address: SocketAddr,
    connections: Rc<Cell<u32>>,
    task: tokio::task::JoinHandle<()>,
}

impl Answering {
    async fn start(name: &'static str) -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"), name).await
    }

    async fn start_at(address: SocketAddr, name: &'static str) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let connections = Rc::new(Cell::new(0));
        let counter = Rc::clone(&connections);
        let task = spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                counter.set(counter.get() + 1);
                spawn_local(answer_all(stream, name));
            }
        });
        Self { address, connections, task }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn answer_all<IO: AsyncRead + AsyncWrite + Unpin>(mut stream: IO, name: &str) {
    let mut received = Vec::new();
    loop {
        while !received.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut received).await.unwrap_or(0) == 0 {
                return;
            }
        }
        received.clear();
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
        if stream.write_all(response.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Waits until something has come over an idle connection, if only its end.
async fn until_heard(checkout: &Checkout) {
    let Connection::Http1(Stream::Tcp(stream)) = &checkout.connection else { panic!("HTTP/1.1 over TCP was expected") };
    stream.readable().await.expect("readable");
}

/// Sends one request over a checked-out HTTP/1.1 connection and gives the body.
async fn ask(checkout: &mut Checkout) -> String {
    let Connection::Http1(stream) = &mut checkout.connection else { panic!("HTTP/1.1 was expected") };
    stream.write_all(b"GET / HTTP/1.1\r\nHost: app\r\n\r\n").await.expect("written");
    let mut received = Vec::new();
    loop {
        assert_ne!(stream.read_buf(&mut received).await.expect("read"), 0, "the origin closed");
        let text = String::from_utf8_lossy(&received);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length: usize = head.rsplit(' ').next().and_then(|text| text.parse().ok()).expect("a length");
        if body.len() == length {
            checkout.server.health().succeeded();
            return body.to_owned();
        }
    }
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn requests_are_shared_by_weight_without_bursts() {
    let group = origins()
        .group(&settings(&[("http://127.0.0.1:1", 3), ("http://127.0.0.1:2", 1), ("http://127.0.0.1:3", 0)]))
        .expect("a group");
    assert_eq!(shares(&group, std::iter::repeat_n(pick(), 400)), [300, 100, 0]);
    let mut turns = group::Turns::default();
    let first: Vec<&str> = (0..4).map(|_| &group.choose(&pick(), &mut turns).url()[17..]).collect();
    assert_eq!(first, ["1", "1", "2", "1"]);
}

#[test]
fn a_server_of_weight_0_serves_only_when_no_other_is_up() {
    let mut settings = settings(&[("http://127.0.0.1:1", 1), ("http://127.0.0.1:2", 0)]);
    settings.passive_health = PassiveHealth { failures: 1, cooldown_s: 600.0 };
    let group = origins().group(&settings).expect("a group");
    group.servers().next().expect("a server").health().failed();
    assert_eq!(shares(&group, std::iter::repeat_n(pick(), 10)), [0, 10]);
}

#[test]
fn a_server_that_failed_this_request_comes_last() {
    let group = origins().group(&settings(&[("http://127.0.0.1:1", 9), ("http://127.0.0.1:2", 1)])).expect("a group");
    let tried = [group.servers().next().expect("a server").id()];
    let mut turns = group::Turns::default();
    for _ in 0..20 {
        let chosen = group.choose(&Pick { tried: &tried, ..pick() }, &mut turns);
        assert_eq!(chosen.url(), "http://127.0.0.1:2");
    }
    let all: Vec<ServerId> = group.servers().map(|server| server.id()).collect();
    let chosen = group.choose(&Pick { tried: &all, ..pick() }, &mut turns);
    assert!(all.contains(&chosen.id()), "when all failed one of them is tried again");
}

#[test]
fn when_every_server_is_down_the_one_that_rests_shortest_is_tried() {
    let mut settings = settings(&[("http://127.0.0.1:1", 1), ("http://127.0.0.1:2", 1), ("http://127.0.0.1:3", 1)]);
    settings.passive_health = PassiveHealth { failures: 1, cooldown_s: 600.0 };
    let group = origins().group(&settings).expect("a group");
    let servers: Vec<_> = group.servers().collect();
    servers[0].health().probed(false);
    servers[1].health().failed();
    std::thread::sleep(Duration::from_millis(5));
    servers[2].health().failed();
    assert_eq!(shares(&group, std::iter::repeat_n(pick(), 10)), [0, 10, 0]);
}

#[test]
fn the_cookie_brings_a_client_back_and_is_set_only_when_it_changes() {
    on_a_worker(async {
        let (one, two) = (Answering::start("one").await, Answering::start("two").await);
        let mut settings = settings(&[(&one.url(), 1), (&two.url(), 1)]);
        settings.stickiness = Stickiness::Cookie;
        settings.passive_health = PassiveHealth { failures: 1, cooldown_s: 600.0 };
        let origins = origins();
        let (group, pool) = (origins.group(&settings).expect("a group"), Pool::new(PoolLimits::default()));
        let mut first = pool.checkout(&group, &pick(), 0).await.expect("a connection");
        assert!(first.assign_cookie);
        let cookie = first.server.sticky_cookie(false);
        let (pair, attributes) = cookie.split_once("; ").expect("attributes");
        assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax");
        assert!(!cookie.contains("127.0.0.1"), "the cookie must not tell the address of the server");
        let name = ask(&mut first).await;
        let header = format!("a=b; {pair}; c=d");
        let token = sticky_token([b"x=y".as_slice(), header.as_bytes()].into_iter());
        for _ in 0..6 {
            let mut again = pool.checkout(&group, &Pick { cookie: token, ..pick() }, 0).await.expect("a connection");
            assert_eq!((ask(&mut again).await, again.assign_cookie), (name.clone(), false));
        }
        first.server.health().failed();
        let mut other = pool.checkout(&group, &Pick { cookie: token, ..pick() }, 0).await.expect("a connection");
        assert_ne!(ask(&mut other).await, name, "the server of the cookie is down");
        assert!(other.assign_cookie);
        let forged = Pick { cookie: Some(b"0000000000000000"), ..pick() };
        assert!(pool.checkout(&group, &forged, 0).await.expect("a connection").assign_cookie);
    });
}

#[test]
fn an_address_keeps_its_server_and_only_those_of_a_lost_server_move() {
    let servers = [("http://127.0.0.1:1", 1), ("http://127.0.0.1:2", 1), ("http://127.0.0.1:3", 2)];
    let mut whole = settings(&servers);
    whole.stickiness = Stickiness::Ip;
    let mut smaller = settings(&servers[1..]);
    smaller.stickiness = Stickiness::Ip;
    let origins = origins();
    let (whole, smaller) = (origins.group(&whole).expect("a group"), origins.group(&smaller).expect("a group"));
    let clients = || (0..4000_u32).map(|n| Pick { client_ip: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n)), ..pick() });
    let counted = shares(&whole, clients());
    for (count, share) in counted.iter().zip([0.25, 0.25, 0.5]) {
        assert!((f64::from(*count) / 4000.0 - share).abs() < 0.05, "{counted:?}");
    }
    let mut turns = group::Turns::default();
    for client in clients() {
        let before = whole.choose(&client, &mut turns).url().to_owned();
        assert_eq!(whole.choose(&client, &mut turns).url(), before);
        let after = smaller.choose(&client, &mut turns).url();
        assert!(after == before || before == "http://127.0.0.1:1", "{before} moved to {after} without need");
    }
}

#[test]
fn addresses_of_one_ipv6_network_are_one_client() {
    let mut settings = settings(&[("http://127.0.0.1:1", 1), ("http://127.0.0.1:2", 1), ("http://127.0.0.1:3", 1)]);
    settings.stickiness = Stickiness::Ip;
    let group = origins().group(&settings).expect("a group");
    let clients =
        (0..50_u32).map(|n| Pick { client_ip: format!("2001:db8:1:2::{n:x}").parse().expect("an address"), ..pick() });
    let mut counted = shares(&group, clients);
    counted.sort_unstable();
    assert_eq!(counted, [0, 0, 50]);
}

#[test]
fn equal_settings_are_one_group_and_a_changed_weight_keeps_the_health() {
    let origins = origins();
    let before = origins.group(&settings(&[("http://127.0.0.1:1", 1), ("http://127.0.0.1:2", 1)])).expect("a group");
    let same = origins.group(&settings(&[("http://127.0.0.1:1", 1), ("http://127.0.0.1:2", 1)])).expect("a group");
    assert!(Arc::ptr_eq(&before, &same));
    let changed = origins.group(&settings(&[("http://127.0.0.1:1", 5), ("http://127.0.0.1:2", 1)])).expect("a group");
    assert!(!Arc::ptr_eq(&before, &changed));
    let ids = |group: &Group| group.servers().map(|server| server.id()).collect::<Vec<_>>();
    assert_eq!(ids(&before), ids(&changed));
}

#[test]
fn a_dead_server_is_skipped_and_comes_back() {
    on_a_worker(async {
        let alive = Answering::start("alive").await;
        // At an address of its own, so that its port stays free for it.
        let dying = Answering::start_at("127.0.0.4:0".parse().expect("an address"), "dying").await;
        let address = dying.address;
        dying.task.abort();
        let _ = dying.task.await;
        let mut settings = settings(&[(&format!("http://{address}"), 1), (&alive.url(), 1)]);
        settings.passive_health = PassiveHealth { failures: 1, cooldown_s: 600.0 };
        let origins = origins();
        let (group, pool) = (origins.group(&settings).expect("a group"), Pool::new(PoolLimits::default()));
        let error = pool.checkout(&group, &pick(), 0).await.expect_err("nobody listens");
        assert_eq!(error.kind, ConnectErrorKind::Refused);
        assert_eq!(
            error.to_string(),
            format!("origin http://{address}: cannot connect: Connection refused (os error 111)")
        );
        let mut second =
            pool.checkout(&group, &Pick { tried: &[error.server.id()], ..pick() }, 1).await.expect("alive");
        assert_eq!(ask(&mut second).await, "alive");
        assert_eq!(error.server.health().standing(), Standing::Resting);
        let mut third = pool.checkout(&group, &pick(), 0).await.expect("alive");
        assert_eq!(ask(&mut third).await, "alive");
        let _revived = Answering::start_at(address, "revived").await;
        error.server.health().end_rest_early();
        assert_eq!(error.server.health().standing(), Standing::Trial);
        let mut trial = pool.checkout(&group, &pick(), 0).await.expect("revived");
        assert_eq!(ask(&mut trial).await, "revived");
        assert_eq!(error.server.health().standing(), Standing::Up);
    });
}

#[test]
fn connections_are_reused_last_in_first_out() {
    on_a_worker(async {
        let origin = Answering::start("app").await;
        let origins = origins();
        let (group, pool) =
            (origins.group(&Settings::single(&origin.url())).expect("a group"), Pool::new(PoolLimits::default()));
        let mut one = pool.checkout(&group, &pick(), 0).await.expect("a connection");
        let mut two = pool.checkout(&group, &pick(), 0).await.expect("a connection");
        assert!(!one.reused && !two.reused);
        ask(&mut one).await;
        ask(&mut two).await;
        let port = |checkout: &Checkout| match &checkout.connection {
            Connection::Http1(Stream::Tcp(stream)) => stream.local_addr().expect("an address").port(),
            other => panic!("{other:?}"),
        };
        let last = port(&two);
        pool.put_back(one);
        pool.put_back(two);
        assert_eq!(pool.idle(), 2);
        let mut again = pool.checkout(&group, &pick(), 0).await.expect("a connection");
        assert_eq!((again.reused, port(&again), ask(&mut again).await.as_str()), (true, last, "app"));
        assert_eq!(origin.connections.get(), 2);
        let fresh = pool.checkout(&group, &pick(), 1).await.expect("a connection");
        assert!(!fresh.reused, "a second attempt must not meet another stale connection");
    });
}

#[test]
fn a_pooled_connection_that_the_origin_closed_is_discarded() {
    on_a_worker(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let origins = origins();
        let (group, pool) =
            (origins.group(&Settings::single(&url)).expect("a group"), Pool::new(PoolLimits::default()));
        let idle = pool.checkout(&group, &pick(), 0).await.expect("a connection");
        let (peer, _) = listener.accept().await.expect("a connection");
        drop(peer);
        until_heard(&idle).await;
        pool.put_back(idle);
        let checkout = pool.checkout(&group, &pick(), 0).await.expect("a connection");
        assert_eq!((checkout.reused, pool.idle()), (false, 0));
    });
}

#[test]
fn a_pooled_connection_on_which_the_origin_spoke_unasked_is_discarded() {
    on_a_worker(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let origins = origins();
        let (group, pool) =
            (origins.group(&Settings::single(&url)).expect("a group"), Pool::new(PoolLimits::default()));
        let idle = pool.checkout(&group, &pick(), 0).await.expect("a connection");
        let (mut peer, _) = listener.accept().await.expect("a connection");
        peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.expect("written");
        until_heard(&idle).await;
        pool.put_back(idle);
        assert!(!pool.checkout(&group, &pick(), 0).await.expect("a connection").reused);
    });
}

#[test]
fn idle_connections_are_swept_when_old_or_dead() {
    on_a_worker(async {
        let origin = Answering::start("app").await;
        let origins = origins();
        let group = origins.group(&Settings::single(&origin.url())).expect("a group");
        let pool = Pool::new(PoolLimits { idle_timeout: Duration::from_secs(600), idle_per_server: 1 });
        let one = pool.checkout(&group, &pick(), 0).await.expect("a connection");
        let two = pool.checkout(&group, &pick(), 0).await.expect("a connection");
        pool.put_back(one);
        pool.put_back(two);
        assert_eq!(pool.idle(), 1, "no more than the limit is kept");
        pool.sweep();
        assert_eq!(pool.idle(), 1, "it is neither");
        let mut dead = pool.checkout(&group, &pick(), 0).await.expect("a connection");
        let Connection::Http1(stream) = &mut dead.connection else { panic!("HTTP/1.1 was expected") };
        stream.shutdown().await.expect("shut down");
        until_heard(&dead).await;
        pool.put_back(dead);
        pool.sweep();
        assert_eq!(pool.idle(), 0, "the origin closed it too");
        pool.set_limits(PoolLimits { idle_timeout: Duration::from_millis(1), idle_per_server: 1 });
        let old = pool.checkout(&group, &pick(), 0).await.expect("a connection");
        pool.put_back(old);
        tokio::time::sleep(Duration::from_millis(5)).await;
        pool.sweep();
        assert_eq!(pool.idle(), 0, "it is old");
    });
}

#[test]
fn new_limits_hold_for_what_is_idle_already() {
    on_a_worker(async {
        let origin = Answering::start("app").await;
        let origins = origins();
        let group = origins.group(&Settings::single(&origin.url())).expect("a group");
        let pool = Pool::new(PoolLimits { idle_timeout: Duration::from_secs(600), idle_per_server: 0 });
        let one = pool.checkout(&group, &pick(), 0).await.expect("a connection");
        let two = pool.checkout(&group, &pick(), 0).await.expect("a connection");
        pool.put_back(one);
        assert_eq!(pool.idle(), 0);
        pool.set_limits(PoolLimits { idle_timeout: Duration::from_millis(50), idle_per_server: 1 });
        pool.put_back(two);
        assert_eq!(pool.idle(), 1);
        tokio::time::sleep(Duration::from_millis(80)).await;
        pool.sweep();
        assert_eq!(pool.idle(), 0);
    });
}

#[test]
fn a_unix_socket_is_an_origin() {
    on_a_worker(async {
        let directory = TemporaryDirectory::new("unix");
        let path = directory.0.join("app.sock");
        let url = format!("unix:{}", path.display());
        let origins = origins();
        let (group, pool) =
            (origins.group(&Settings::single(&url)).expect("a group"), Pool::new(PoolLimits::default()));
        let error = pool.checkout(&group, &pick(), 0).await.expect_err("no socket yet");
        assert_eq!(error.kind, ConnectErrorKind::Refused);
        let listener = UnixListener::bind(&path).expect("a socket");
        spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                spawn_local(answer_all(stream, "socket"));
            }
        });
        let mut checkout = pool.checkout(&group, &pick(), 0).await.expect("a connection");
        assert_eq!(ask(&mut checkout).await, "socket");
        pool.put_back(checkout);
        let mut again = pool.checkout(&group, &pick(), 0).await.expect("a connection");
        assert_eq!((again.reused, ask(&mut again).await.as_str()), (true, "socket"));
    });
}

#[test]
fn certificates_are_verified_unless_told_otherwise() {
    on_a_worker(async {
        let directory = TemporaryDirectory::new("tls");
        let origin = TlsOrigin::start(&directory.0, &["app.example"], &[b"http/1.1"]).await;
        let origins = origins();
        let outcome = async |change: &dyn Fn(&mut Settings)| {
            let mut settings = Settings::single(&format!("https://{}", origin.address));
            change(&mut settings);
            let group = origins.group(&settings).expect("a group");
            let pool = Pool::new(PoolLimits::default());
            match pool.checkout(&group, &pick(), 0).await {
                Ok(mut checkout) => Ok(ask(&mut checkout).await),
                Err(error) => Err(error.kind),
            }
        };
        let trusted = |settings: &mut Settings| settings.tls.ca_file = Some(origin.authorities.clone());
        let named = |settings: &mut Settings, name: &str| settings.tls.server_name = Some(name.to_owned());
        assert_eq!(outcome(&|_| {}).await, Err(ConnectErrorKind::Tls), "nobody vouches for it");
        assert_eq!(outcome(&trusted).await, Err(ConnectErrorKind::Tls), "it is for another name");
        let well = |settings: &mut Settings| {
            trusted(settings);
            named(settings, "app.example");
        };
        assert_eq!(outcome(&well).await, Ok("tls".to_owned()));
        let wrong = |settings: &mut Settings| {
            trusted(settings);
            named(settings, "other.example");
        };
        assert_eq!(outcome(&wrong).await, Err(ConnectErrorKind::Tls));
        assert_eq!(outcome(&|settings| settings.tls.verify = false).await, Ok("tls".to_owned()));
    });
}

#[test]
fn a_file_of_authorities_that_is_not_there_is_told_when_the_group_is_made() {
    let mut settings = Settings::single("https://127.0.0.1");
    settings.tls.ca_file = Some(PathBuf::from("/nonexistent/ca.pem"));
    let error = origins().group(&settings).expect_err("no such file");
    assert_eq!(
        error.to_string(),
        "origin.tls: ca_file \"/nonexistent/ca.pem\" cannot be read: No such file or directory (os error 2); correct the path or the rights"
    );
}

#[test]
fn a_peer_that_never_shakes_hands_runs_into_the_timeout() {
    on_a_worker(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut settings = Settings::single(&format!("https://{}", listener.local_addr().expect("an address")));
        settings.tls.verify = false;
        settings.connect_timeout_s = 1.0;
        let origins = origins();
        let (group, pool) = (origins.group(&settings).expect("a group"), Pool::new(PoolLimits::default()));
        let error = pool.checkout(&group, &pick(), 0).await.expect_err("silence");
        assert_eq!(
            (error.kind, error.message.as_str()),
            (ConnectErrorKind::TimedOut, "the TLS handshake took longer than 1s")
        );
    });
}

#[test]
fn localhost_is_known_without_a_name_server() {
    on_a_worker(async {
        let origin = Answering::start("here").await;
        let dns = FakeDns::start().await;
        let origins = dns.origins();
        let url = format!("http://localhost:{}", origin.address.port());
        let (group, pool) =
            (origins.group(&Settings::single(&url)).expect("a group"), Pool::new(PoolLimits::default()));
        let mut checkout = pool.checkout(&group, &pick(), 0).await.expect("a connection");
        assert_eq!(ask(&mut checkout).await, "here");
    });
}

#[test]
fn a_name_is_resolved_again_by_its_ttl_and_connections_to_the_old_address_are_left() {
    on_a_worker(async {
        let first = Answering::start("first").await;
        let port = first.address.port();
        let second = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), port);
        let _second = Answering::start_at(second, "second").await;
        let dns = FakeDns::start().await;
        dns.answer(&[Ipv4Addr::LOCALHOST]);
        let origins = dns.origins();
        let url = format!("http://app.origin.example:{port}");
        let (group, pool) =
            (origins.group(&Settings::single(&url)).expect("a group"), Pool::new(PoolLimits::default()));
        let mut checkout = pool.checkout(&group, &pick(), 0).await.expect("a connection");
        assert_eq!(ask(&mut checkout).await, "first");
        pool.put_back(checkout);
        dns.answer(&[Ipv4Addr::new(127, 0, 0, 2)]);
        let started = Instant::now();
        loop {
            let mut checkout = pool.checkout(&group, &pick(), 0).await.expect("a connection");
            let name = ask(&mut checkout).await;
            pool.put_back(checkout);
            if name == "second" {
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "the change is never seen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        dns.fail();
        tokio::time::sleep(Duration::from_millis(2500)).await;
        let mut checkout = pool.checkout(&group, &pick(), 1).await.expect("the old address stays in use");
        assert_eq!(ask(&mut checkout).await, "second");
    });
}

#[test]
fn a_busy_http2_connection_to_an_address_that_the_name_lost_takes_no_more_requests() {
    on_a_worker(async {
        let first = Http2Origin::start(h2::server::Builder::new()).await;
        let second = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), first.address.port());
        let second = Http2Origin::start_at(second, h2::server::Builder::new()).await;
        let dns = FakeDns::start().await;
        dns.answer(&[Ipv4Addr::LOCALHOST]);
        let mut settings = Settings::single(&format!("http://app.origin.example:{}", first.address.port()));
        settings.http_version = HttpVersion::Http2;
        let origins = dns.origins();
        let (group, pool) = (origins.group(&settings).expect("a group"), Pool::new(PoolLimits::default()));
        let mut busy = pool.checkout(&group, &pick(), 0).await.expect("a connection");
        assert_eq!(busy.ends.map(|ends| ends.peer), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let Connection::Http2(place) = &mut busy.connection else { panic!("HTTP/2 was expected") };
        let _upload = place.send_request(http2_request(), false).expect("a stream");
        dns.answer(&[Ipv4Addr::new(127, 0, 0, 2)]);
        let started = Instant::now();
        loop {
            let mut checkout = pool.checkout(&group, &pick(), 0).await.expect("a connection");
            ask_http2(&mut checkout).await.expect("an answer");
            if checkout.ends.map(|ends| ends.peer) == Some(second.address.ip()) {
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "the change is never seen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let shared = pool.checkout(&group, &pick(), 0).await.expect("a connection");
        assert_eq!((shared.reused, shared.ends.map(|ends| ends.peer)), (true, Some(second.address.ip())));
        assert_eq!((first.connections.get(), second.connections.get()), (1, 1));
    });
}

#[test]
fn an_address_that_refuses_is_passed_over_for_the_next() {
    on_a_worker(async {
        let origin = Answering::start("reachable").await;
        let dns = FakeDns::start().await;
        dns.answer(&[Ipv4Addr::new(127, 0, 0, 3), Ipv4Addr::LOCALHOST]);
        let origins = dns.origins();
        let url = format!("http://two.origin.example:{}", origin.address.port());
        let (group, pool) =
            (origins.group(&Settings::single(&url)).expect("a group"), Pool::new(PoolLimits::default()));
        for _ in 0..4 {
            let mut checkout = pool.checkout(&group, &pick(), 1).await.expect("a connection");
            assert_eq!(ask(&mut checkout).await, "reachable");
        }
    });
}

#[test]
fn a_name_that_does_not_exist_is_told_by_name() {
    on_a_worker(async {
        let dns = FakeDns::start().await;
        let origins = dns.origins();
        let group = origins.group(&Settings::single("http://nobody.origin.example")).expect("a group");
        let error = Pool::new(PoolLimits::default()).checkout(&group, &pick(), 0).await.expect_err("no such name");
        assert_eq!(error.kind, ConnectErrorKind::Dns);
        assert!(error.message.starts_with("name \"nobody.origin.example\" cannot be resolved: "), "{error}");
    });
}

#[test]
fn probes_take_a_server_out_and_bring_it_back() {
    on_a_worker(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let status = Rc::new(Cell::new(200));
        let requests = Rc::new(RefCell::new(Vec::new()));
        let (answered, seen) = (Rc::clone(&status), Rc::clone(&requests));
        spawn_local(async move {
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") && stream.read_buf(&mut request).await.unwrap_or(0) > 0 {}
                seen.borrow_mut().push(String::from_utf8(request).expect("text"));
                let response = format!(
                    "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 {} X\r\nContent-Length: 0\r\n\r\n",
                    answered.get()
                );
                let _ = stream.write_all(response.as_bytes()).await;
            }
        });
        let mut settings = Settings::single(&url);
        settings.host_header = Some("app.example".to_owned());
        settings.active_health = Some(ActiveHealth {
            path: "/healthz".to_owned(),
            interval_s: 0.02,
            timeout_s: 5.0,
            healthy: 2,
            unhealthy: 2,
            status: "200-299".to_owned(),
        });
        let origins = origins();
        let group = origins.group(&settings).expect("a group");
        let server = Arc::clone(group.servers().next().expect("a server"));
        eventually("a probe comes", || !requests.borrow().is_empty()).await;
        let request = requests.borrow()[0].clone();
        assert!(request.starts_with("GET /healthz HTTP/1.1\r\nHost: app.example\r\n"), "{request}");
        assert_eq!(server.health().standing(), Standing::Up);
        status.set(503);
        eventually("the server is taken out", || server.health().standing() == Standing::ProbedDown).await;
        assert_eq!(server.health().last_error().as_deref(), Some("the probe was answered 503"));
        status.set(204);
        eventually("the server comes back", || server.health().standing() == Standing::Up).await;
        drop((group, server));
        // Nobody holds the server any more, so nobody probes it but with what was under way.
        let (mut count, started) = (0, Instant::now());
        while count != requests.borrow().len() {
            assert!(started.elapsed() < Duration::from_secs(30), "the probes go on");
            count = requests.borrow().len();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
}

#[test]
fn requests_share_one_http2_connection_in_clear_text() {
    on_a_worker(async {
        let origin = Http2Origin::start(h2::server::Builder::new()).await;
        let mut settings = Settings::single(&format!("http://{}", origin.address));
        settings.http_version = HttpVersion::Http2;
        let origins = origins();
        let (group, pool) = (origins.group(&settings).expect("a group"), Rc::new(Pool::new(PoolLimits::default())));
        let requests: Vec<_> = (0..20)
            .map(|_| {
                let (group, pool) = (Arc::clone(&group), Rc::clone(&pool));
                spawn_local(async move {
                    let mut checkout = pool.checkout(&group, &pick(), 0).await.expect("a connection");
                    ask_http2(&mut checkout).await.expect("an answer")
                })
            })
            .collect();
        for request in requests {
            assert_eq!(request.await.expect("no panic"), "/ from 127.0.0.1");
        }
        assert_eq!(origin.connections.get(), 1, "those that come while the connection is made wait for it");
    });
}

#[test]
fn more_http2_connections_are_made_when_one_is_full() {
    on_a_worker(async {
        let mut builder = h2::server::Builder::new();
        builder.max_concurrent_streams(2);
        let origin = Http2Origin::start(builder).await;
        let mut settings = Settings::single(&format!("http://{}", origin.address));
        settings.http_version = HttpVersion::Http2;
        let origins = origins();
        let (group, pool) = (origins.group(&settings).expect("a group"), Pool::new(PoolLimits::default()));
        let mut warm = pool.checkout(&group, &pick(), 0).await.expect("a connection");
        ask_http2(&mut warm).await.expect("an answer");
        drop(warm);
        let mut held = Vec::new();
        for _ in 0..4 {
            let mut checkout = pool.checkout(&group, &pick(), 0).await.expect("a connection");
            let Connection::Http2(place) = &mut checkout.connection else { panic!("HTTP/2 was expected") };
            let halves = place.send_request(http2_request(), false).expect("a stream");
            held.push((checkout, halves));
            // The settings of a new connection are known once something was exchanged.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(origin.connections.get(), 2);
    });
}

#[test]
fn a_connection_that_goes_away_is_replaced() {
    on_a_worker(async {
        let origin = Http2Origin::start(h2::server::Builder::new()).await;
        let mut settings = Settings::single(&format!("http://{}", origin.address));
        settings.http_version = HttpVersion::Http2;
        let origins = origins();
        let (group, pool) = (origins.group(&settings).expect("a group"), Pool::new(PoolLimits::default()));
        let mut checkout = pool.checkout(&group, &pick(), 0).await.expect("a connection");
        ask_http2(&mut checkout).await.expect("an answer");
        drop(checkout);
        origin.leave.notify_waiters();
        let mut checkout = loop {
            let checkout = pool.checkout(&group, &pick(), 0).await.expect("a connection");
            if !checkout.reused {
                break checkout;
            }
            // That it goes away has not arrived yet.
            drop(checkout);
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        ask_http2(&mut checkout).await.expect("an answer");
        assert_eq!(origin.connections.get(), 2);
    });
}

#[test]
fn a_refused_stream_may_be_tried_again_and_another_reset_may_not() {
    on_a_worker(async {
        let origin = Http2Origin::start(h2::server::Builder::new()).await;
        let mut settings = Settings::single(&format!("http://{}", origin.address));
        settings.http_version = HttpVersion::Http2;
        let origins = origins();
        let (group, pool) = (origins.group(&settings).expect("a group"), Pool::new(PoolLimits::default()));
        for (reason, retryable) in [(h2::Reason::REFUSED_STREAM, true), (h2::Reason::INTERNAL_ERROR, false)] {
            origin.reset_with.set(Some(reason));
            let mut checkout = pool.checkout(&group, &pick(), 0).await.expect("a connection");
            let error = ask_http2(&mut checkout).await.expect_err("a reset");
            assert_eq!(error.retryable, retryable, "{error}");
        }
        assert_eq!(origin.connections.get(), 1, "a reset stream costs no connection");
    });
}

#[test]
fn alpn_decides_between_http2_and_http1() {
    on_a_worker(async {
        type Offered = &'static [&'static [u8]];
        let directory = TemporaryDirectory::new("alpn");
        let both: Offered = &[b"h2", b"http/1.1"];
        let cases: [(HttpVersion, Offered, Result<&str, ConnectErrorKind>); 5] = [
            (HttpVersion::Auto, both, Ok("/ from 127.0.0.1")),
            (HttpVersion::Auto, &[b"http/1.1"], Ok("tls")),
            (HttpVersion::Auto, &[], Ok("tls")),
            (HttpVersion::Http11, both, Ok("tls")),
            (HttpVersion::Http2, &[], Err(ConnectErrorKind::Protocol)),
        ];
        for (version, offered, expected) in cases {
            let origin = TlsOrigin::start(&directory.0, &["app.example"], offered).await;
            let mut settings = Settings::single(&format!("https://{}", origin.address));
            settings.http_version = version;
            settings.tls.ca_file = Some(origin.authorities.clone());
            settings.tls.server_name = Some("app.example".to_owned());
            let origins = origins();
            let (group, pool) = (origins.group(&settings).expect("a group"), Pool::new(PoolLimits::default()));
            for _ in 0..2 {
                let outcome = match pool.checkout(&group, &pick(), 0).await {
                    Ok(mut checkout) => Ok(match checkout.connection {
                        Connection::Http1(_) => ask(&mut checkout).await,
                        Connection::Http2(_) => ask_http2(&mut checkout).await.expect("an answer"),
                    }),
                    Err(error) => Err(error.kind),
                };
                assert_eq!(outcome.as_deref().map_err(|kind| *kind), expected, "{version:?} {offered:?}");
            }
        }
    });
}

/// A directory of its own that goes away with the test.
struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("bartizan-origin-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An origin behind TLS that answers "tls" over HTTP/1.1 and as [`Http2Origin`] does over HTTP/2.
struct TlsOrigin {
    address: SocketAddr,
    /// The file to trust.
    authorities: PathBuf,
}

impl TlsOrigin {
    async fn start(directory: &Path, names: &[&str], alpn: &[&[u8]]) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a configuration");
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let authorities = directory.join(format!("ca-{}.pem", address.port()));
        std::fs::write(&authorities, made.cert.pem()).expect("written");
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        spawn_local(async move {
            loop {
                let (stream, peer) = listener.accept().await.expect("a connection");
                let Ok(stream) = acceptor.accept(stream).await else { continue };
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    let connection = h2::server::handshake(stream).await.expect("a handshake");
                    spawn_local(Http2Origin::serve(connection, peer, Rc::default(), Rc::default()));
                } else {
                    spawn_local(answer_all(stream, "tls"));
                }
            }
        });
        Self { address, authorities }
    }
}

/// An origin that answers every HTTP/2 request with its path and the address of the peer.
struct Http2Origin {
    address: SocketAddr,
    connections: Rc<Cell<u32>>,
    /// Makes every connection send GOAWAY.
    leave: Rc<tokio::sync::Notify>,
    /// Resets requests instead of answering them.
    reset_with: Rc<Cell<Option<h2::Reason>>>,
}

impl Http2Origin {
    async fn start(builder: h2::server::Builder) -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"), builder).await
    }

    async fn start_at(address: SocketAddr, builder: h2::server::Builder) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let origin = Self {
            address: listener.local_addr().expect("an address"),
            connections: Rc::default(),
            leave: Rc::default(),
            reset_with: Rc::default(),
        };
        let (count, leave) = (Rc::clone(&origin.connections), Rc::clone(&origin.leave));
        let reset_with = Rc::clone(&origin.reset_with);
        spawn_local(async move {
            loop {
                let (stream, peer) = listener.accept().await.expect("a connection");
                count.set(count.get() + 1);
                let connection = builder.handshake(stream).await.expect("a handshake");
                spawn_local(Self::serve(connection, peer, Rc::clone(&leave), Rc::clone(&reset_with)));
            }
        });
        origin
    }

    async fn serve<IO: AsyncRead + AsyncWrite + Unpin>(
        mut connection: h2::server::Connection<IO, Bytes>,
        peer: SocketAddr,
        leave: Rc<tokio::sync::Notify>,
        reset_with: Rc<Cell<Option<h2::Reason>>>,
    ) {
        let mut leaving = pin!(leave.notified());
        let mut left = false;
        loop {
            let accepted = tokio::select! {
                accepted = connection.accept() => accepted,
                () = &mut leaving, if !left => {
                    left = true;
                    connection.graceful_shutdown();
                    continue;
                }
            };
            let Some(Ok((request, mut respond))) = accepted else { return };
            if let Some(reason) = reset_with.get() {
                respond.send_reset(reason);
                continue;
            }
            if request.body().is_end_stream() {
                let mut body = respond.send_response(http::Response::new(()), false).expect("sent");
                let text = format!("{} from {}", request.uri().path(), peer.ip());
                body.send_data(Bytes::from(text), true).expect("sent");
            } else {
                spawn_local(async move {
                    let mut body = request.into_body();
                    while body.data().await.is_some() {}
                    drop(respond);
                });
            }
        }
    }
}

fn http2_request() -> http::Request<()> {
    http::Request::get("http://app.example/").body(()).expect("a request")
}

async fn ask_http2(checkout: &mut Checkout) -> Result<String, Http2Error> {
    let Connection::Http2(place) = &mut checkout.connection else { panic!("HTTP/2 was expected") };
    let (response, _body) = place.send_request(http2_request(), true)?;
    let mut body = response.await?.into_body();
    let mut text = Vec::new();
    while let Some(chunk) = body.data().await {
        text.extend_from_slice(&chunk?);
    }
    Ok(String::from_utf8(text).expect("text"))
}

/// A name server that knows names below `origin.example` but `nobody`, with a TTL of one second.
struct FakeDns {
    address: SocketAddr,
    /// The addresses; none to answer SERVFAIL.
    addresses: Arc<Mutex<Option<Vec<Ipv4Addr>>>>,
}

impl FakeDns {
    async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("an address");
        let addresses = Arc::new(Mutex::new(Some(Vec::new())));
        let current = Arc::clone(&addresses);
        tokio::spawn(async move {
            let mut packet = [0_u8; 1500];
            loop {
                let (length, peer) = socket.recv_from(&mut packet).await.expect("a query");
                let answer = Self::respond(&packet[..length], current.lock().expect("a lock").as_deref());
                socket.send_to(&answer, peer).await.expect("sent");
            }
        });
        Self { address, addresses }
    }

    fn origins(&self) -> Arc<Origins> {
        let name_servers = NameServers::Given(vec![self.address]);
        Origins::start(Options { name_servers, ..Options::default() }).expect("origins start")
    }

    fn answer(&self, addresses: &[Ipv4Addr]) {
        *self.addresses.lock().expect("a lock") = Some(addresses.to_vec());
    }

    fn fail(&self) {
        *self.addresses.lock().expect("a lock") = None;
    }

    /// RFC 1035 §4: the question repeated, and the addresses if it asks for A records.
    fn respond(query: &[u8], addresses: Option<&[Ipv4Addr]>) -> Vec<u8> {
        let name_end = 12 + query[12..].iter().position(|byte| *byte == 0).expect("the root label");
        let question = &query[12..name_end + 5];
        let asks_for_a = question[question.len() - 4..] == [0, 1, 0, 1];
        let unknown = query[13..].starts_with(b"nobody");
        let addresses_given = addresses.filter(|_| asks_for_a && !unknown).unwrap_or_default();
        let code = match addresses {
            None => 2,
            Some(_) if unknown => 3,
            Some(_) => 0,
        };
        let mut answer = query[..2].to_vec();
        answer.extend([0x81, 0x80 | code, 0, 1, 0, addresses_given.len() as u8, 0, 0, 0, 0]);
        answer.extend(question);
        for address in addresses_given {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
            answer.extend(address.octets());
        }
        answer
    }
}
