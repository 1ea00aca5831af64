//! Listening sockets, and a connection from `accept` to the protocol that serves it.
//!
//! One socket for each address and worker: the system shares connections out by `SO_REUSEPORT`. Of one socket for all,
//! the thread that is awake takes nearly everything (16 uneven connections on two threads: 0.89 of the work on one of them
//! against 0.56, p99 up to 2.7 ms against 0.6). The first socket of an address is bound without sharing, so that no second
//! process listens silently; all are closed together, after what was queued on them has been accepted. A connection stays
//! on the thread that accepted it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use fields::{Connection, Tls, Transport};
use rustix::io::Errno;
use tokio::net::TcpStream;

use crate::deadlines::{Deadline, Lane, TimerGuard, within};
use crate::exchange::Client;
use crate::metrics::{Family, Metric};
use crate::policy::Listen;
use crate::proxy_protocol;
use crate::tcp_info::ClientSocket;
use crate::tls::Replay;
use crate::wire::{Io, Wire};
use crate::worker::Worker;
use crate::{h1, h2};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;
/// How long to wait when the system has no descriptors or no memory left.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// A bound address.
#[derive(Debug)]
pub struct Bound {
    /// A socket for each worker thread: the system shares new connections out among them. Of one socket for all, the
    /// thread that happens to be awake takes nearly everything.
    pub sockets: Vec<TcpListener>,
    /// What it was bound for, with the port that the system chose where 0 was asked for.
    pub listen: Listen,
}

/// Why an address could not be bound, with the way out.
#[derive(Debug)]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// The system's reason.
    pub error: io::Error,
}

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (address, port) = (self.address, self.address.port());
        match self.error.kind() {
            io::ErrorKind::AddrInUse => write!(
                f,
                "cannot listen on {address}: another program does; stop it (`ss -ltnp 'sport = :{port}'` names it) or \
                 choose another port in edge.listen"
            ),
            io::ErrorKind::PermissionDenied => write!(
                f,
                "cannot listen on {address}: ports below 1024 need a right that this process lacks; give it \
                 CAP_NET_BIND_SERVICE (`setcap cap_net_bind_service=+ep`) or choose a port from 1024 in edge.listen"
            ),
            io::ErrorKind::AddrNotAvailable => {
                write!(f, "cannot listen on {address}: this machine has no such address; see `ip address`")
            }
            _ => write!(f, "cannot listen on {address}: {}", self.error),
        }
    }
}

impl std::error::Error for BindError {}

/// Binds one address, once for each of `threads`; or takes those of `inherited` that are bound to it, which another process
/// handed over, and whose queues may hold connections.
pub fn bind(listen: &Listen, threads: usize, inherited: &mut Vec<TcpListener>) -> Result<Bound, BindError> {
    let failed = |address| move |error| BindError { address, error };
    if let Some((address, mut sockets)) = taken(listen.address, inherited) {
        // Every one of them goes on to be accepted from, also where there are fewer threads now.
        for socket in &sockets {
            socket2::SockRef::from(socket).set_reuse_port(true).map_err(failed(address))?;
        }
        while sockets.len() < threads {
            sockets.push(listening(address, Sharing::Yes).map_err(failed(address))?);
        }
        return Ok(Bound { sockets, listen: Listen { address, ..listen.clone() } });
    }
    // The first does not share its port while it is bound: another program's listener, of a second Bartizan too, is found
    // out, even one that would share.
    let first = listening(listen.address, Sharing::No).map_err(failed(listen.address))?;
    let address = first.local_addr().map_err(failed(listen.address))?;
    let mut sockets = vec![first];
    if threads > 1 {
        socket2::SockRef::from(&sockets[0]).set_reuse_port(true).map_err(failed(address))?;
        for _ in 1..threads {
            sockets.push(listening(address, Sharing::Yes).map_err(failed(address))?);
        }
    }
    Ok(Bound { sockets, listen: Listen { address, ..listen.clone() } })
}

/// The inherited sockets of an address; of port 0, those of the first port that the system chose for its host.
fn taken(wanted: SocketAddr, inherited: &mut Vec<TcpListener>) -> Option<(SocketAddr, Vec<TcpListener>)> {
    let bound = |socket: &TcpListener| socket.local_addr().ok();
    let fits = |address: &SocketAddr| *address == wanted || wanted.port() == 0 && address.ip() == wanted.ip();
    let address = inherited.iter().filter_map(bound).find(fits)?;
    let sockets = inherited.extract_if(.., |socket| bound(socket) == Some(address)).collect();
    Some((address, sockets))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    No,
    Yes,
}

fn listening(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    // A restart must not wait for connections that linger; a second listener is still refused.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::Yes)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Accepts until the drain begins.
pub async fn accept(worker: Rc<Worker>, socket: TcpListener, listen: Listen) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(socket)?;
    let drained = worker.shared.drained();
    tokio::pin!(drained);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut drained => {
                // Connections that the system has completed would be reset with the socket.
                while let Poll::Ready(Ok((socket, peer))) = poll_fn(|cx| Poll::Ready(listener.poll_accept(cx))).await {
                    begin(&worker, socket, peer, &listen);
                }
                return Ok(());
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => begin(&worker, socket, peer, &listen),
            // No error ends the listener.
            Err(error) => {
                if let Some(lacking) = lacking(&error) {
                    worker.recorder.count_labelled(Family::ConnectionsRefused, lacking);
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
    }
}

/// What the system lacks to accept a connection; none if it was the connection that died in the queue, whose error
/// accept(2) gives as its own and which must not make others wait.
fn lacking(error: &io::Error) -> Option<&'static str> {
    let code = Errno::from_io_error(error)?;
    match code {
        Errno::MFILE | Errno::NFILE => Some("descriptors"),
        Errno::NOBUFS | Errno::NOMEM => Some("memory"),
        Errno::CONNABORTED
        | Errno::INTR
        | Errno::PROTO
        | Errno::PERM
        | Errno::NETDOWN
        | Errno::NOPROTOOPT
        | Errno::HOSTDOWN
        | Errno::NONET
        | Errno::HOSTUNREACH
        | Errno::OPNOTSUPP
        | Errno::NETUNREACH => None,
        _ => Some("system"),
    }
}

fn begin(worker: &Rc<Worker>, socket: TcpStream, peer: SocketAddr, listen: &Listen) {
    worker.recorder.count(Metric::ConnectionsAccepted);
    tokio::task::spawn_local(connection(Rc::clone(worker), socket, peer, listen.clone()));
}

/// Counts a panic: the task is lost, and with it one connection or one stream of HTTP/2.
pub(crate) struct PanicNote(pub Rc<Worker>);

impl Drop for PanicNote {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.recorder.count(Metric::Panics);
        }
    }
}

async fn connection(worker: Rc<Worker>, socket: TcpStream, peer: SocketAddr, listen: Listen) {
    let _note = PanicNote(Rc::clone(&worker));
    let _counted = worker.count_connection();
    let _ = socket.set_nodelay(true);
    let timer = worker.timers.register();
    let live = worker.shared.live.load();
    let limits = live.policy.edge().limits.clone();
    let client_limits = live.http1_limits;
    let local = socket.local_addr().unwrap_or(listen.address);
    let mut trusted = live.trusts(peer.ip());
    drop(live);
    let (mut source, mut destination) = (peer, local.ip());
    let mut socket = ClientSocket::new(socket);
    let rtt_ms = socket.meter().measured().map(|measured| measured.round_trip.as_millis() as u32);
    let mut early = Vec::new();
    let mut place = None;
    if listen.proxy_protocol {
        // Whoever may say anything about its clients could claim any address.
        if !trusted {
            return worker.recorder.count_labelled(Family::ConnectionsRefused, "proxy_protocol_untrusted");
        }
        timer.arm(Lane::ClientRead, Deadline::ProxyProtocol, limits.proxy_protocol_timeout_ms);
        match within(&timer, Lane::ClientRead, proxied(&mut socket, &mut early)).await {
            Ok(Ok(Some(named))) => {
                source = named.client;
                destination = named.server.unwrap_or(destination);
                trusted = worker.shared.live.load().trusts(source.ip());
            }
            Ok(Ok(None)) => {}
            Ok(Err(reason)) => return worker.recorder.count_labelled(Family::Refused, reason),
            Err(deadline) => return worker.recorder.count_labelled(Family::Deadlines, deadline.name()),
        }
    }
    match worker.shared.caps.enter(source.ip(), limits.connections, limits.connections_per_address) {
        Ok(entered) => place.get_or_insert(entered),
        Err(full) => return worker.recorder.count_labelled(Family::ConnectionsRefused, full.name()),
    };
    let mut client = Client {
        worker: Rc::clone(&worker),
        connection: Connection {
            client_ip: source.ip().to_canonical(),
            client_port: source.port(),
            server_ip: destination.to_canonical(),
            server_port: local.port(),
            tls: None,
            http2_fingerprint: None,
            scheme_https: listen.tls,
        },
        meter: socket.meter(),
        local,
        address: source.ip().to_canonical().to_string(),
        trusted,
        limits: client_limits,
        rtt_ms,
        located: RefCell::default(),
    };
    if !listen.tls {
        return plain(client, socket, early, timer).await;
    }
    timer.arm(Lane::ClientRead, Deadline::TlsHandshake, limits.tls_handshake_timeout_ms);
    let tls = match within(&timer, Lane::ClientRead, worker.shared.tls.accept(socket, &early)).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => {
            worker.recorder.count(Metric::TlsHandshakesFailed);
            return worker.recorder.count_labelled(Family::Refused, error.name());
        }
        Err(deadline) => return worker.recorder.count_labelled(Family::Deadlines, deadline.name()),
    };
    drop(early);
    worker.recorder.count(Metric::TlsHandshakes);
    let is_http2 = tls.facts.is_http2;
    client.connection.tls = Some(Tls {
        version: tls.facts.version,
        cipher: tls.facts.cipher,
        sni: tls.facts.sni,
        ja3: Some(tls.facts.ja3),
        ja4: Some(tls.facts.ja4),
        hello: Some(Arc::new(tls.facts.hello)),
    });
    if is_http2 {
        h2::serve(client, tls.stream, timer).await;
    } else {
        let wire = Wire::new(tls.stream, Rc::clone(&worker.buffers));
        // TLS has an end of its own, so a client can tell that it is missing.
        drop(h1::serve(client, wire, timer, None).await);
    }
}

/// A connection without TLS: HTTP/1, or HTTP/2 by prior knowledge (RFC 9113 §3.3).
async fn plain(client: Client, socket: ClientSocket, early: Vec<u8>, timer: TimerGuard) {
    let worker = Rc::clone(&client.worker);
    let wire = Wire::new(Replay::new(socket, early), Rc::clone(&worker.buffers));
    let first_byte_ms = worker.shared.live.load().policy.edge().limits.first_byte_timeout_ms;
    timer.arm(Lane::ClientRead, Deadline::FirstByte, first_byte_ms);
    match h1::first_bytes(&wire, &timer).await {
        Ok(Some(input)) if h1::begins_http2(input.filled()) => {
            let replay = Replay::new(wire.into_inner(), input.filled().to_vec());
            drop(input);
            h2::serve(client, replay, timer).await;
        }
        Ok(Some(input)) => {
            if let Some(cut) = h1::serve(client, wire, timer, Some(input)).await {
                let _ = cut.get_ref().get_ref().set_zero_linger();
            }
        }
        Ok(None) => {}
        Err(crate::wire::WireError::Late(deadline)) => {
            worker.recorder.count_labelled(Family::Deadlines, deadline.name());
        }
        Err(_) => {}
    }
}

/// Who a proxy has connected to whom.
struct Named {
    client: SocketAddr,
    server: Option<IpAddr>,
}

/// Reads a PROXY protocol header; what follows it stays in `early`. `None`: the proxy speaks for itself.
async fn proxied<S: Io>(socket: &mut S, early: &mut Vec<u8>) -> Result<Option<Named>, &'static str> {
    use tokio::io::AsyncReadExt;
    loop {
        match proxy_protocol::parse(early) {
            proxy_protocol::Parsed::Done { consumed, source, destination, .. } => {
                early.drain(..consumed);
                let server = destination.map(|address| address.ip());
                return Ok(source.map(|client| Named { client, server }));
            }
            proxy_protocol::Parsed::Refused(refusal) => return Err(refusal.name()),
            proxy_protocol::Parsed::NeedMore => {}
        }
        match socket.read_buf(early).await {
            Ok(1..) => {}
            _ => return Err("proxy_protocol_closed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepting_pauses_for_what_the_system_lacks_and_not_for_a_connection_that_died() {
        let lacking = |code: Errno| lacking(&code.into());
        assert_eq!((lacking(Errno::MFILE), lacking(Errno::NFILE)), (Some("descriptors"), Some("descriptors")));
        assert_eq!((lacking(Errno::NOBUFS), lacking(Errno::NOMEM)), (Some("memory"), Some("memory")));
        assert_eq!(lacking(Errno::BADF), Some("system"));
        assert_eq!((lacking(Errno::CONNABORTED), lacking(Errno::HOSTUNREACH)), (None, None));
    }
}
