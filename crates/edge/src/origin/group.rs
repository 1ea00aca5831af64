//! The servers of a zone and the choice among them, and the registry that shares them.

use super::dns::{self, Name, NameServers, Resolver};
use super::health::{Health, Standing};
use super::probe;
use super::server::{Location, Server, ServerId, ServerTls};
use super::settings::{ActiveHealth, Fault, HttpVersion, Settings, Stickiness, TlsSettings};
use crate::metrics::Recorder;
use crate::tls::{Alpn, ClientTls, OriginTls};
use rustls::pki_types::ServerName;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

/// What is known of a client when a server is chosen for it.
#[derive(Clone, Copy, Debug)]
pub struct Pick<'a> {
    /// The address of the client, behind trusted proxies.
    pub client_ip: IpAddr,
    /// The value of the stickiness cookie, by [`sticky_token`]; only needed if [`Group::wants_cookie`].
    pub cookie: Option<&'a [u8]>,
    /// The servers that this request has already failed on.
    pub tried: &'a [ServerId],
    /// Whether only HTTP/1.1 will do, as for an upgrade to WebSocket.
    pub http1: bool,
}

/// The value of the stickiness cookie among the values of the request's `Cookie` fields (RFC 6265 §4.2.1).
pub fn sticky_token<'a>(cookies: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    for cookie in cookies {
        for pair in cookie.split(|byte| *byte == b';') {
            let value = pair.trim_ascii().strip_prefix(super::STICKY_COOKIE.as_bytes());
            if let Some(value) = value.and_then(|rest| rest.strip_prefix(b"=")) {
                return Some(value);
            }
        }
    }
    None
}

/// One server of a group with its share.
#[derive(Debug)]
struct Member {
    server: Arc<Server>,
    weight: u32,
}

/// The servers of a zone.
#[derive(Debug)]
pub struct Group {
    id: u64,
    members: Vec<Member>,
    stickiness: Stickiness,
    host_header: Option<String>,
    retries: u32,
}

/// The turns of a group on one thread: the current weights of smooth weighted round robin.
#[derive(Debug, Default)]
pub(super) struct Turns(Vec<i64>);

impl Group {
    /// Names the group within the process.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Whether there is nothing to choose.
    pub(super) fn is_single(&self) -> bool {
        self.members.len() == 1
    }

    /// The servers.
    pub fn servers(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.members.iter().map(|member| &member.server)
    }

    /// The `Host` to send instead of the client's.
    pub fn host_header(&self) -> Option<&str> {
        self.host_header.as_deref()
    }

    /// How often a request that got no answer at all may be tried again.
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// Whether the choice needs the stickiness cookie.
    pub fn wants_cookie(&self) -> bool {
        self.stickiness == Stickiness::Cookie && self.members.len() > 1
    }

    /// Chooses a server.
    ///
    /// The sticky one if it is up; else by weight among those that are up, those of weight 0 only if there is no other.
    /// A server whose rest is over gets one request as its trial. If none is up, the least bad one is tried all the same,
    /// the one whose rest ends first: what health knows is a guess from the past, and answering 503 without asking would
    /// turn a guess into an outage. Servers that this request failed on already come last.
    pub(super) fn choose(&self, pick: &Pick<'_>, turns: &mut Turns) -> &Arc<Server> {
        if let [only] = self.members.as_slice() {
            if only.server.health.standing() == Standing::Trial {
                only.server.health.begin_trial();
            }
            return &only.server;
        }
        let untried = |member: &Member| !pick.tried.contains(&member.server.id);
        if let Some(sticky) = self.sticky(pick, &untried) {
            return &sticky.server;
        }
        let on_trial = self.members.iter().find(|member| {
            untried(member) && member.server.health.standing() == Standing::Trial && member.server.health.begin_trial()
        });
        if let Some(member) = on_trial {
            return &member.server;
        }
        if let Some(member) = self.next_in_turn(turns, &untried) {
            return &member.server;
        }
        self.least_bad(&untried)
    }

    fn sticky(&self, pick: &Pick<'_>, untried: &dyn Fn(&Member) -> bool) -> Option<&Member> {
        let usable = |member: &Member| {
            untried(member)
                && match member.server.health.standing() {
                    Standing::Up => true,
                    Standing::Trial => member.server.health.begin_trial(),
                    Standing::Resting | Standing::ProbedDown => false,
                }
        };
        match self.stickiness {
            Stickiness::None => None,
            Stickiness::Cookie => {
                let token = pick.cookie?;
                self.members
                    .iter()
                    .find(|member| member.server.token.as_bytes() == token)
                    .filter(|member| usable(member))
            }
            Stickiness::Ip => {
                let client = client_number(pick.client_ip);
                let best = |standings: &[Standing]| {
                    let fit =
                        |member: &&Member| untried(member) && standings.contains(&member.server.health.standing());
                    let score = |member: &&Member| rendezvous(client, member);
                    self.members.iter().filter(fit).max_by(|left, right| score(left).total_cmp(&score(right)))
                };
                // Losing the race for a trial leaves the servers that are up.
                let first = best(&[Standing::Up, Standing::Trial])?;
                if usable(first) { Some(first) } else { best(&[Standing::Up]) }
            }
        }
    }

    /// Smooth weighted round robin: every candidate gains its weight, the richest one is taken and pays the sum. Servers
    /// thus take turns in proportion to their weights without bursts.
    fn next_in_turn(&self, turns: &mut Turns, untried: &dyn Fn(&Member) -> bool) -> Option<&Member> {
        turns.0.resize(self.members.len(), 0);
        let up = |member: &&Member| untried(member) && member.server.health.standing() == Standing::Up;
        let spare_only = !self.members.iter().filter(up).any(|member| member.weight > 0);
        let mut sum = 0;
        let mut richest: Option<usize> = None;
        for (index, member) in self.members.iter().enumerate() {
            if !up(&member) || (member.weight == 0 && !spare_only) {
                continue;
            }
            let weight = if spare_only { 1 } else { i64::from(member.weight) };
            sum += weight;
            turns.0[index] += weight;
            if richest.is_none_or(|best| turns.0[index] > turns.0[best]) {
                richest = Some(index);
            }
        }
        let chosen = richest?;
        turns.0[chosen] -= sum;
        Some(&self.members[chosen])
    }

    fn least_bad(&self, untried: &dyn Fn(&Member) -> bool) -> &Arc<Server> {
        let badness = |member: &&Member| {
            let health = &member.server.health;
            (!untried(member), health.standing(), health.rest_until_ms())
        };
        // A group has at least one member: `Settings::check` sees to it.
        &self.members.iter().min_by_key(badness).unwrap_or(&self.members[0]).server
    }

    /// Whether the client has to be given the cookie of the server that it got.
    pub(super) fn assigns_cookie(&self, pick: &Pick<'_>, server: &Server) -> bool {
        self.wants_cookie() && pick.cookie != Some(server.token.as_bytes())
    }
}

/// The score of a member for a client: the highest wins. Weighted rendezvous hashing, in which a change of the group moves
/// only the clients of the server that came or went.
fn rendezvous(client: u64, member: &Member) -> f64 {
    let hash = mixed(client ^ member.server.token_number);
    // In (0, 1]: the logarithm of 0 is not wanted.
    let unit = ((hash >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
    if member.weight == 0 { -1.0 - unit } else { f64::from(member.weight) / -unit.ln().min(-f64::MIN_POSITIVE) }
}

/// The finaliser of `SplitMix64`: every bit of the input moves every bit of the output.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// A client as a number: IPv6 by /64, since one client has that many addresses.
fn client_number(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => mixed(u64::from(u32::from(ip))),
        IpAddr::V6(ip) => mixed((u128::from(ip) >> 64) as u64),
    }
}

/// How [`Origins`] is set up.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which name servers are asked.
    pub name_servers: NameServers,
    /// The key of the stickiness cookies. Edges that share clients must share it; a random one (`None`) makes clients
    /// change their server when the edge starts anew.
    pub sticky_key: Option<[u8; 32]>,
    /// Counts the changes of the servers' health.
    pub recorder: Option<Recorder>,
}

/// Why a group cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupError {
    /// The settings are wrong.
    Settings(Vec<Fault>),
    /// The authorities to trust cannot be read.
    Tls(String),
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(faults) => {
                for (index, fault) in faults.iter().enumerate() {
                    write!(f, "{}{fault}", if index == 0 { "" } else { "; " })?;
                }
                Ok(())
            }
            Self::Tls(message) => write!(f, "origin.tls: {message}"),
        }
    }
}

impl std::error::Error for GroupError {}

/// The origins of the process: shares groups, servers, names and TLS configurations that are equal, and runs the
/// background thread that resolves names and sends probes.
#[derive(Debug)]
pub struct Origins {
    sticky_key: ring::hmac::Key,
    recorder: Option<Recorder>,
    background: mpsc::UnboundedSender<Task>,
    registry: Mutex<Registry>,
    tls: ClientTls,
}

/// What the background thread is asked to do.
#[derive(Debug)]
enum Task {
    Resolve(Weak<Name>),
    Probe(Weak<Server>, Box<ActiveHealth>, Option<String>),
}

#[derive(Debug, Default)]
struct Registry {
    groups: HashMap<String, Weak<Group>>,
    servers: HashMap<ServerKey, Weak<Server>>,
    names: HashMap<String, Weak<Name>>,
}

/// All that makes two servers the same; the weight is the group's.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ServerKey {
    url: String,
    tls: Option<TlsKey>,
    http_version: HttpVersion,
    connect_timeout: Duration,
    passive: (u32, u64),
    /// In its canonical text, with the `Host` it asks for.
    active: Option<(String, Option<String>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct TlsKey {
    settings: TlsSettings,
    http_version: HttpVersion,
    /// Size and modification time of the file of authorities: a new file is a new configuration.
    authorities: Option<(u64, SystemTime)>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Origins {
    /// Starts the background thread. It ends when the last reference to the returned value is dropped.
    pub fn start(options: Options) -> io::Result<Arc<Self>> {
        let key = match options.sticky_key {
            Some(key) => key,
            None => random_key()?,
        };
        let (sender, receiver) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let Options { name_servers, recorder, .. } = options;
        std::thread::Builder::new().name("bartizan-origin".to_owned()).spawn(move || {
            tokio::task::LocalSet::new().block_on(&runtime, in_background(receiver, name_servers));
            // A lookup may hang in a system call; nobody has to wait for it.
            runtime.shutdown_background();
        })?;
        let sticky_key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
        let (registry, tls) = (Mutex::default(), ClientTls::new());
        Ok(Arc::new(Self { sticky_key, recorder, background: sender, registry, tls }))
    }

    /// Origins that nobody will be connected to: no name is resolved and no probe is sent.
    pub fn unreached() -> io::Result<Arc<Self>> {
        let sticky_key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &random_key()?);
        let (registry, tls) = (Mutex::default(), ClientTls::new());
        let (background, _) = mpsc::unbounded_channel();
        Ok(Arc::new(Self { sticky_key, recorder: None, background, registry, tls }))
    }

    /// The group of these settings, the same one for equal settings as long as anybody holds it.
    pub fn group(&self, settings: &Settings) -> Result<Arc<Group>, GroupError> {
        let faults = settings.check();
        if !faults.is_empty() {
            return Err(GroupError::Settings(faults));
        }
        let authorities = authorities_stamp(&settings.tls).map_err(GroupError::Tls)?;
        let text = serde_json::to_string(settings).map_err(|error| GroupError::Tls(error.to_string()))?;
        let key = format!("{text}{authorities:?}");
        let mut registry = self.registry();
        if let Some(group) = registry.groups.get(&key).and_then(Weak::upgrade) {
            return Ok(group);
        }
        let mut members = Vec::with_capacity(settings.servers.len());
        for server in &settings.servers {
            let weight = server.weight;
            members.push(Member { server: self.server(&mut registry, &server.url, settings, authorities)?, weight });
        }
        let group = Arc::new(Group {
            id: NEXT_ID.fetch_add(1, Relaxed),
            members,
            stickiness: settings.stickiness,
            host_header: settings.host_header.clone(),
            retries: settings.retries,
        });
        registry.forget_unused();
        registry.groups.insert(key, Arc::downgrade(&group));
        Ok(group)
    }

    fn server(
        &self,
        registry: &mut Registry,
        url: &str,
        settings: &Settings,
        authorities: Option<(u64, SystemTime)>,
    ) -> Result<Arc<Server>, GroupError> {
        let location = Location::parse(url).map_err(GroupError::Tls)?;
        let tls_key = location.is_tls().then(|| TlsKey {
            settings: settings.tls.clone(),
            http_version: settings.http_version,
            authorities,
        });
        let connect_timeout = Duration::from_secs_f64(settings.connect_timeout_s);
        let passive = &settings.passive_health;
        let active = settings
            .active_health
            .as_ref()
            .map(|active| (serde_json::to_string(active).unwrap_or_default(), settings.host_header.clone()));
        let key = ServerKey {
            url: url.to_owned(),
            tls: tls_key.clone(),
            http_version: settings.http_version,
            connect_timeout,
            passive: (passive.failures, passive.cooldown_s.to_bits()),
            active,
        };
        if let Some(server) = registry.servers.get(&key).and_then(Weak::upgrade) {
            return Ok(server);
        }
        let tls = match tls_key {
            Some(_) => Some(self.server_tls(settings, &location)?),
            None => None,
        };
        let addresses = match &location {
            Location::Name { name, .. } => Some(self.name(registry, name)),
            Location::Address { .. } | Location::Unix(_) => None,
        };
        let tag = ring::hmac::sign(&self.sticky_key, url.as_bytes());
        let mut number = [0_u8; 8];
        number.copy_from_slice(&tag.as_ref()[..8]);
        let token_number = u64::from_be_bytes(number);
        let server = Arc::new(Server {
            id: ServerId(NEXT_ID.fetch_add(1, Relaxed)),
            url: url.to_owned(),
            authority: location.authority(),
            location,
            addresses,
            tls,
            http_version: settings.http_version,
            connect_timeout,
            token: format!("{token_number:016x}"),
            token_number,
            health: Health::new(passive, self.recorder.clone()),
        });
        registry.servers.insert(key, Arc::downgrade(&server));
        if let Some(active) = &settings.active_health {
            self.spawn(Task::Probe(Arc::downgrade(&server), Box::new(active.clone()), settings.host_header.clone()));
        }
        Ok(server)
    }

    fn server_tls(&self, settings: &Settings, location: &Location) -> Result<ServerTls, GroupError> {
        let alpn = match settings.http_version {
            HttpVersion::Http11 => Alpn::Http1,
            HttpVersion::Http2 => Alpn::Http2,
            HttpVersion::Auto => Alpn::Any,
        };
        let tls = &settings.tls;
        let given = tls.server_name.as_deref().and_then(|name| ServerName::try_from(name.to_owned()).ok());
        let name = given.or_else(|| location.server_name());
        let name = name.ok_or_else(|| GroupError::Tls(format!("{} is no name for TLS", location.authority())))?;
        let wanted = OriginTls { verify: tls.verify, ca_file: tls.ca_file.as_deref(), alpn };
        let config = self.tls.config(wanted).map_err(|error| GroupError::Tls(error.to_string()))?;
        Ok(ServerTls { config, name })
    }

    fn name(&self, registry: &mut Registry, host: &str) -> Arc<Name> {
        if let Some(name) = registry.names.get(host).and_then(Weak::upgrade) {
            return name;
        }
        let name = Arc::new(Name::new(host));
        registry.names.insert(host.to_owned(), Arc::downgrade(&name));
        self.spawn(Task::Resolve(Arc::downgrade(&name)));
        name
    }

    fn spawn(&self, task: Task) {
        // The thread lives as long as the sender; if it died of a panic, connecting says so by its timeout.
        let _ = self.background.send(task);
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        // Nothing in the registry is half done when a panic unwinds through it.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    fn forget_unused(&mut self) {
        self.groups.retain(|_, group| group.strong_count() > 0);
        self.servers.retain(|_, server| server.strong_count() > 0);
        self.names.retain(|_, name| name.strong_count() > 0);
    }
}

async fn in_background(mut tasks: mpsc::UnboundedReceiver<Task>, name_servers: NameServers) {
    let resolver = Rc::new(Resolver::new(name_servers));
    while let Some(task) = tasks.recv().await {
        match task {
            Task::Resolve(name) => drop(tokio::task::spawn_local(dns::keep(name, Rc::clone(&resolver)))),
            Task::Probe(server, active, host) => {
                drop(tokio::task::spawn_local(probe::run(server, *active, host)));
            }
        }
    }
}

fn authorities_stamp(settings: &TlsSettings) -> Result<Option<(u64, SystemTime)>, String> {
    let Some(path) = &settings.ca_file else { return Ok(None) };
    let unreadable =
        |error| format!("ca_file \"{}\" cannot be read: {error}; correct the path or the rights", path.display());
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    let modified = metadata.modified().map_err(unreadable)?;
    Ok(Some((metadata.len(), modified)))
}

fn random_key() -> io::Result<[u8; 32]> {
    let mut key = [0_u8; 32];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut key)
        .map_err(|_| io::Error::other("the system has no randomness to give"))?;
    Ok(key)
}
