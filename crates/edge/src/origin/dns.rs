//! The addresses of origins that are given by name.
//!
//! One background task per [`Name`] asks `hickory-resolver` (the system's name servers, search list and hosts file) and
//! publishes the answer; workers only read it. An answer is used for its TTL, at least [`TTL_MIN`] (RFC 1035 §3.2.1 allows
//! 0, which would be one query per connection) and at most [`TTL_MAX`]. A name that is in use is asked for again shortly
//! before it expires, so that no request waits; one that is not in use costs nothing. If DNS fails, the old addresses
//! stay in use and the question is repeated every [`RETRY`].

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ProtocolConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Notify, watch};

/// The shortest time an answer is used.
pub const TTL_MIN: Duration = Duration::from_secs(1);

/// The longest time an answer is used; also that of an entry of the hosts file, which has no TTL.
pub const TTL_MAX: Duration = Duration::from_secs(300);

/// How long a connection waits for a new answer when it has an old one: name servers that do not answer at all take ten
/// seconds to be given up.
const OLD_ANSWER_PATIENCE: Duration = Duration::from_millis(250);

/// How long after a failure the question is repeated.
pub const RETRY: Duration = Duration::from_secs(5);

/// Which name servers are asked.
#[derive(Clone, Debug, Default)]
pub enum NameServers {
    /// Those of `/etc/resolv.conf`.
    #[default]
    System,
    /// These, over UDP and TCP, without a search list; the hosts file still comes first.
    Given(Vec<SocketAddr>),
}

/// What is known of a name now.
#[derive(Clone, Debug)]
struct Known {
    addresses: Option<Arc<[IpAddr]>>,
    error: Option<Arc<str>>,
    /// When the answer must not be used without having asked again.
    due: Instant,
}

/// A name and its addresses, shared by all threads.
#[derive(Debug)]
pub struct Name {
    host: String,
    known: watch::Sender<Known>,
    /// Wakes the task that keeps this name.
    wake: Arc<Notify>,
    /// Whether anybody asked since the last answer.
    used: AtomicBool,
    /// Counts the changes of the set of addresses.
    generation: AtomicU64,
}

impl Name {
    /// A name of which nothing is known yet; [`keep`] must be running for it.
    pub fn new(host: &str) -> Self {
        let known = Known { addresses: None, error: None, due: Instant::now() };
        Self {
            host: host.to_owned(),
            known: watch::Sender::new(known),
            wake: Arc::new(Notify::new()),
            used: AtomicBool::new(false),
            generation: AtomicU64::new(0),
        }
    }

    /// The addresses, at once while they are valid, else after asking again; the old ones if that fails or takes long.
    pub async fn addresses(&self) -> Result<Arc<[IpAddr]>, String> {
        self.touch();
        let mut receiver = self.known.subscribe();
        let (is_due, is_known) = {
            let known = receiver.borrow_and_update();
            (Instant::now() >= known.due, known.addresses.is_some())
        };
        if is_due {
            self.wake.notify_one();
            // Never closed while `self` lives, and the caller has a deadline.
            let answered = receiver.changed();
            if is_known {
                let _ = tokio::time::timeout(OLD_ANSWER_PATIENCE, answered).await;
            } else {
                let _ = answered.await;
            }
        }
        let known = receiver.borrow();
        match (&known.addresses, &known.error) {
            (Some(addresses), _) => Ok(Arc::clone(addresses)),
            (None, Some(error)) => Err(format!("name \"{}\" cannot be resolved: {error}", self.host)),
            (None, None) => Err(format!("name \"{}\" is not resolved yet", self.host)),
        }
    }

    /// Says that the name is in use, so that it is resolved again before it expires.
    pub fn touch(&self) {
        if !self.used.load(Relaxed) {
            self.used.store(true, Relaxed);
        }
    }

    /// Counts the changes of the set of addresses: a pooled connection of an older generation must be checked.
    pub fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Whether the address is one of those last seen.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.known.borrow().addresses.as_ref().is_some_and(|addresses| addresses.contains(&address))
    }

    fn publish(&self, answer: Result<Answer, String>) -> Instant {
        let now = Instant::now();
        let refresh_at = match &answer {
            Ok(answer) => now + answer.ttl.saturating_sub((answer.ttl / 5).min(Duration::from_secs(5))),
            Err(_) => now + RETRY,
        };
        self.known.send_modify(|known| match answer {
            Ok(answer) => {
                let same = known.addresses.as_ref().is_some_and(|old| same_set(old, &answer.addresses));
                known.addresses = Some(answer.addresses.into());
                known.error = None;
                known.due = now + answer.ttl;
                if !same {
                    self.generation.fetch_add(1, Relaxed);
                }
            }
            Err(error) => {
                known.error = Some(error.into());
                known.due = now + RETRY;
            }
        });
        refresh_at
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

fn same_set(old: &[IpAddr], new: &[IpAddr]) -> bool {
    old.len() == new.len() && new.iter().all(|address| old.contains(address))
}

/// Keeps a name resolved until nobody holds it any more. Runs on the background thread.
pub(super) async fn keep(name: Weak<Name>, resolver: Rc<Resolver>) {
    let Some(wake) = name.upgrade().map(|name| Arc::clone(&name.wake)) else { return };
    loop {
        let Some(strong) = name.upgrade() else { return };
        strong.used.store(false, Relaxed);
        let refresh_at = strong.publish(resolver.lookup(&strong.host).await);
        drop(strong);
        loop {
            let woken = tokio::time::timeout_at(refresh_at.into(), wake.notified()).await.is_ok();
            let Some(strong) = name.upgrade() else { return };
            let due = Instant::now() >= strong.known.borrow().due;
            if due || (!woken && strong.used.load(Relaxed)) {
                break;
            }
            drop(strong);
            if !woken {
                // Nobody uses the name: sleep until somebody does.
                wake.notified().await;
                let Some(strong) = name.upgrade() else { return };
                if Instant::now() >= strong.known.borrow().due {
                    break;
                }
            }
        }
    }
}

struct Answer {
    addresses: Vec<IpAddr>,
    ttl: Duration,
}

/// Asks the name servers; built again when the system's configuration changes on disk.
pub(super) struct Resolver {
    servers: NameServers,
    current: RefCell<Option<(Stamp, TokioResolver)>>,
}

/// The modification times of the files that the system's configuration consists of.
type Stamp = [Option<SystemTime>; 2];

impl Resolver {
    pub fn new(servers: NameServers) -> Self {
        Self { servers, current: RefCell::new(None) }
    }

    async fn lookup(&self, host: &str) -> Result<Answer, String> {
        let resolver = self.resolver()?;
        let lookup = resolver.lookup_ip(host).await.map_err(|error| error.to_string())?;
        let addresses: Vec<IpAddr> = lookup.iter().collect();
        if addresses.is_empty() {
            return Err("the answer holds no address".to_owned());
        }
        let ttl = lookup.valid_until().saturating_duration_since(Instant::now()).clamp(TTL_MIN, TTL_MAX);
        Ok(Answer { addresses: interleaved(addresses), ttl })
    }

    fn resolver(&self) -> Result<TokioResolver, String> {
        let modified = |path: &str| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let stamp = [modified("/etc/hosts"), modified("/etc/resolv.conf")];
        let mut current = self.current.borrow_mut();
        if let Some((built_from, resolver)) = &*current
            && *built_from == stamp
        {
            return Ok(resolver.clone());
        }
        let resolver = self.build().map_err(|error| format!("/etc/resolv.conf: {error}"))?;
        *current = Some((stamp, resolver.clone()));
        Ok(resolver)
    }

    fn build(&self) -> Result<TokioResolver, hickory_resolver::net::NetError> {
        let mut builder = match &self.servers {
            NameServers::System => TokioResolver::builder_tokio()?,
            NameServers::Given(servers) => {
                let servers = servers.iter().map(name_server).collect();
                let config = ResolverConfig::from_parts(None, Vec::new(), servers);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        // The answers are kept here, for their TTL; a second cache would only add to it.
        builder.options_mut().cache_size = 0;
        builder.build()
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ProtocolConfig::Udp, ProtocolConfig::Tcp].map(|protocol| {
        let mut connection = ConnectionConfig::new(protocol);
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.to_vec())
}

/// IPv6 and IPv4 in turns (RFC 8305 §4), in the order of the answer otherwise.
fn interleaved(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let (v6, v4): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut mixed = Vec::new();
    loop {
        let pair = [v6.next(), v4.next()];
        if pair == [None, None] {
            return mixed;
        }
        mixed.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let given = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1"].map(ip).to_vec();
        assert_eq!(interleaved(given), ["fd00::1", "10.0.0.1", "10.0.0.2", "10.0.0.3"].map(ip));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn old_addresses_are_used_while_name_servers_keep_silent() {
        let address: IpAddr = "10.0.0.1".parse().expect("an address");
        let name = Name::new("app");
        name.publish(Ok(Answer { addresses: vec![address], ttl: Duration::ZERO }));
        // Nobody runs `keep`: the question is never answered.
        assert_eq!(name.addresses().await.as_deref(), Ok(&[address][..]));
    }

    #[test]
    fn an_answer_in_another_order_is_no_change() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let answer = |texts: &[&str]| Answer { addresses: texts.iter().map(|text| ip(text)).collect(), ttl: TTL_MIN };
        let name = Name::new("app");
        name.publish(Ok(answer(&["10.0.0.1", "10.0.0.2"])));
        name.publish(Ok(answer(&["10.0.0.2", "10.0.0.1"])));
        assert_eq!(name.generation(), 1);
        name.publish(Err("no answer".to_owned()));
        assert!(name.contains(ip("10.0.0.1")), "the old addresses stay in use while DNS fails");
        name.publish(Ok(answer(&["10.0.0.2"])));
        assert_eq!(name.generation(), 2);
        assert!(!name.contains(ip("10.0.0.1")));
    }
}
