//! Where rules send a request instead: the settings of a zone's origin with some of them changed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::group::{Group, GroupError, Origins};
use super::server::Location;
use super::settings::{ServerSettings, Settings, TlsSettings};

/// What rules change of where a request goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Route {
    /// What `Host` says.
    pub host_header: Option<Arc<str>>,
    /// The name that TLS asks for and verifies.
    pub sni: Option<Arc<str>>,
    /// The host in the place of those of the servers.
    pub host: Option<Arc<str>>,
    /// The port in the place of those of the servers.
    pub port: Option<u16>,
    /// The scheme in the place of those of the servers.
    pub scheme: Option<Scheme>,
}

/// How an origin is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In clear text.
    Http,
    /// Over TLS.
    Https {
        /// Whether the certificate must be valid.
        verify: bool,
    },
}

impl Route {
    /// Adds what a later rule says, which has its way.
    pub fn merge(&mut self, later: &Self) {
        for (own, other) in
            [(&mut self.host_header, &later.host_header), (&mut self.sni, &later.sni), (&mut self.host, &later.host)]
        {
            if other.is_some() {
                own.clone_from(other);
            }
        }
        self.port = later.port.or(self.port);
        self.scheme = later.scheme.or(self.scheme);
    }

    /// TLS towards the origin. As documented, the name of `Host` is asked for where no other is given.
    pub fn tls(&self, of_zone: &TlsSettings) -> TlsSettings {
        let name = self.sni.as_deref().or_else(|| self.host_header.as_deref().map(without_port));
        let server_name = name.map_or_else(|| of_zone.server_name.clone(), |name| Some(name.to_owned()));
        let verify = match self.scheme {
            Some(Scheme::Https { verify }) => verify,
            Some(Scheme::Http) | None => of_zone.verify,
        };
        TlsSettings { verify, server_name, ..of_zone.clone() }
    }

    /// The settings of a zone's origin as this route has them; the same ones where it changes nothing of them, so that the
    /// servers are those of the zone.
    pub fn settings(&self, of_zone: &Settings) -> Settings {
        let routed = self.changed(of_zone);
        let probed = Settings { active_health: of_zone.active_health.clone(), ..routed.clone() };
        if probed == *of_zone { probed } else { routed }
    }

    fn changed(&self, of_zone: &Settings) -> Settings {
        let mut servers: Vec<ServerSettings> = Vec::with_capacity(of_zone.servers.len());
        for server in &of_zone.servers {
            let url = self.url(&server.url);
            // Servers that differed in what the route gives are one now, with the share of all of them.
            match servers.iter_mut().find(|other| Location::parse(&other.url) == Location::parse(&url)) {
                Some(same) => same.weight = (same.weight + server.weight).min(super::settings::WEIGHT_MAX),
                None => servers.push(ServerSettings { url, weight: server.weight }),
            }
        }
        Settings {
            servers,
            host_header: self.host_header.as_deref().map(str::to_owned).or_else(|| of_zone.host_header.clone()),
            tls: self.tls(&of_zone.tls),
            active_health: None,
            ..of_zone.clone()
        }
    }

    fn url(&self, url: &str) -> String {
        // The zone's settings were checked, so that this is a location.
        let Ok(location) = Location::parse(url) else { return url.to_owned() };
        let (host, port) = match &location {
            Location::Unix(_) if self.host.is_none() => return url.to_owned(),
            Location::Unix(_) => (String::new(), 80),
            Location::Address { address, .. } => (bracketed(address.ip()), address.port()),
            Location::Name { name, port, .. } => (name.clone(), *port),
        };
        let host = match self.host.as_deref() {
            Some(host) => host.parse().map_or_else(|_| host.to_owned(), bracketed),
            None => host,
        };
        let is_tls = self.scheme.map_or(location.is_tls(), |scheme| scheme != Scheme::Http);
        // A server at the usual port of its own scheme is at the usual port of the other one too.
        let port = match (self.port, port) {
            (Some(port), _) => port,
            (None, 80) if is_tls && !location.is_tls() => 443,
            (None, 443) if !is_tls && location.is_tls() => 80,
            (None, port) => port,
        };
        let scheme = if is_tls { "https" } else { "http" };
        let made = format!("{scheme}://{host}:{port}");
        if Location::parse(&made).is_ok_and(|made| made == location) { url.to_owned() } else { made }
    }
}

fn bracketed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// A host with a port has that port behind its last colon, unless the colon is one of an address in brackets.
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    }
}

/// Whether a text is a host alone: a name, or an address without brackets.
pub fn is_host(text: &str) -> bool {
    let is_name = || !text.contains(':') && !text.contains('/') && Location::parse(&format!("http://{text}")).is_ok();
    text.parse::<IpAddr>().is_ok() || is_name()
}

/// More combinations of rules than this are not kept.
const KEPT: usize = 1024;

/// The servers of the routes that requests of a zone took.
#[derive(Debug)]
pub struct Routes {
    origins: Arc<Origins>,
    groups: Mutex<HashMap<Route, Arc<Group>>>,
}

impl Routes {
    /// None yet.
    pub fn new(origins: &Arc<Origins>) -> Self {
        Self { origins: Arc::clone(origins), groups: Mutex::default() }
    }

    /// The servers of a route from a zone's origin.
    pub fn group(&self, route: &Route, of_zone: &Settings) -> Result<Arc<Group>, GroupError> {
        // Nothing in the map is half done when a panic unwinds through it.
        let lock = || self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = lock().get(route) {
            return Ok(Arc::clone(group));
        }
        let group = self.origins.group(&route.settings(of_zone))?;
        let mut groups = lock();
        if groups.len() >= KEPT {
            groups.clear();
        }
        groups.insert(route.clone(), Arc::clone(&group));
        Ok(group)
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::ActiveHealth;
    use super::*;

    fn urls(route: &Route, servers: &[(&str, u32)]) -> Vec<(String, u32)> {
        let servers = servers.iter().map(|(url, weight)| ServerSettings { url: (*url).to_owned(), weight: *weight });
        let settings = Settings { servers: servers.collect(), ..Settings::single("http://a") };
        route.settings(&settings).servers.into_iter().map(|server| (server.url, server.weight)).collect()
    }

    #[test]
    fn a_route_changes_what_it_names_of_every_server_and_keeps_their_shares() {
        let servers = [("http://a:8000", 1), ("https://192.0.2.1", 2), ("http://[::1]:1", 3), ("unix:/run/a", 4)];
        let port = Route { port: Some(9), ..Route::default() };
        let expected = [("http://a:9", 1), ("https://192.0.2.1:9", 2), ("http://[::1]:9", 3), ("unix:/run/a", 4)];
        assert_eq!(urls(&port, &servers), expected.map(|(url, weight)| (url.to_owned(), weight)));
        let host = Route { host: Some("b".into()), ..Route::default() };
        let expected = [("http://b:8000", 1), ("https://b:443", 2), ("http://b:1", 3), ("http://b:80", 4)];
        assert_eq!(urls(&host, &servers), expected.map(|(url, weight)| (url.to_owned(), weight)));
        let both = Route { host: Some("::2".into()), port: Some(9), ..Route::default() };
        let expected = [("http://[::2]:9", 8), ("https://[::2]:9", 2)];
        assert_eq!(urls(&both, &servers), expected.map(|(url, weight)| (url.to_owned(), weight)));
    }

    #[test]
    fn a_scheme_takes_the_usual_port_of_a_server_with_it_and_changes_nothing_where_it_is_spoken_already() {
        let servers = [
            ("http://a", 1),
            ("http://a:8000", 1),
            ("https://a", 2),
            ("https://192.0.2.1:8443", 2),
            ("unix:/run/a", 4),
        ];
        let to = |scheme| urls(&Route { scheme: Some(scheme), ..Route::default() }, &servers);
        let owned =
            |urls: &[(&str, u32)]| urls.iter().map(|(url, weight)| ((*url).to_owned(), *weight)).collect::<Vec<_>>();
        let https = [("https://a:443", 3), ("https://a:8000", 1), ("https://192.0.2.1:8443", 2)];
        assert_eq!(to(Scheme::Https { verify: true }), [owned(&https), owned(&[("unix:/run/a", 4)])].concat());
        let http = [("http://a", 3), ("http://a:8000", 1), ("http://192.0.2.1:8443", 2)];
        assert_eq!(to(Scheme::Http), [owned(&http), owned(&[("unix:/run/a", 4)])].concat());

        let zone = Settings { active_health: Some(ActiveHealth::default()), ..Settings::single("https://a") };
        let to = |scheme| Route { scheme: Some(scheme), ..Route::default() }.settings(&zone);
        assert_eq!(to(Scheme::Https { verify: true }), zone);
        let unverified = to(Scheme::Https { verify: false });
        assert_eq!((unverified.tls.verify, unverified.active_health), (false, None));
    }

    #[test]
    fn the_name_for_tls_is_that_of_the_host_header_unless_another_is_given() {
        let zone = Settings {
            tls: TlsSettings { server_name: Some("z".into()), ..TlsSettings::default() },
            ..Settings::single("https://a")
        };
        let name = |route: &Route| route.settings(&zone).tls.server_name;
        let mut route = Route { port: Some(1), ..Route::default() };
        assert_eq!(name(&route).as_deref(), Some("z"));
        route.merge(&Route { host_header: Some("h.example:81".into()), ..Route::default() });
        assert_eq!(name(&route).as_deref(), Some("h.example"));
        route.merge(&Route { sni: Some("s.example".into()), ..Route::default() });
        assert_eq!(name(&route).as_deref(), Some("s.example"));
        assert_eq!((route.port, route.settings(&zone).host_header.as_deref()), (Some(1), Some("h.example:81")));
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_nothing_more() {
        assert!(["a", "a.example", "192.0.2.1", "::1"].into_iter().all(is_host));
        assert!(!["", "a:80", "http://a", "a/b", "a@b", "[::1]", "a b"].into_iter().any(is_host));
    }
}
