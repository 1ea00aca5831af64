//! The `origin` object of a zone in the policy document: which servers answer for it and how they are reached.
//!
//! These are the types that serde fills; [`Settings::check`] says everything that is wrong with them at once, each with
//! the key it concerns. What passes the check becomes a [`super::Group`].

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The largest number of servers in one group: the choice is linear in it.
pub const SERVERS_MAX: usize = 256;

/// The largest weight of a server.
pub const WEIGHT_MAX: u32 = 1_000;

/// Where the requests of a zone go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The servers, at least one.
    pub servers: Vec<ServerSettings>,
    /// Whether one client keeps going to one server.
    #[serde(default)]
    pub stickiness: Stickiness,
    /// The `Host` sent to the origin; the client's own when absent.
    #[serde(default)]
    pub host_header: Option<String>,
    /// How `https://` servers are verified.
    #[serde(default)]
    pub tls: TlsSettings,
    /// The HTTP version spoken to the servers.
    #[serde(default)]
    pub http_version: HttpVersion,
    /// Probes of our own; none when absent.
    #[serde(default)]
    pub active_health: Option<ActiveHealth>,
    /// What is learnt from the requests themselves.
    #[serde(default)]
    pub passive_health: PassiveHealth,
    /// How often a request that got no answer at all is tried again.
    #[serde(default = "default_retries")]
    pub retries: u32,
    /// Seconds that a connection, TLS included, may take to be established.
    #[serde(default = "default_connect_timeout_s")]
    pub connect_timeout_s: f64,
}

/// One server of a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// `http://host[:port]`, `https://host[:port]` or `unix:/path/to/socket`.
    pub url: String,
    /// Its share of the requests, relative to the other servers; 0 keeps it out unless all others are down.
    #[serde(default = "default_weight")]
    pub weight: u32,
}

/// How the server of a returning client is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stickiness {
    /// Each request on its own, by weight.
    #[default]
    None,
    /// By a cookie that the edge sets.
    Cookie,
    /// By the address of the client (IPv6 by /64).
    Ip,
}

/// Verification of the servers' certificates.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// Whether the certificate must be valid for the name. Off accepts anything, and is for private networks only.
    #[serde(default = "default_verify")]
    pub verify: bool,
    /// PEM file with the authorities to trust instead of those of the system.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The name asked for by SNI and verified; the host of the URL when absent.
    #[serde(default)]
    pub server_name: Option<String>,
}

/// The HTTP version spoken to the servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HttpVersion {
    /// HTTP/1.1 over pooled connections.
    #[default]
    #[serde(rename = "1.1")]
    Http11,
    /// HTTP/2: by ALPN over TLS, by prior knowledge in clear text (RFC 9113 §3.3).
    #[serde(rename = "2")]
    Http2,
    /// What ALPN agrees on; HTTP/1.1 in clear text.
    #[serde(rename = "auto")]
    Auto,
}

/// Probes that the edge sends by itself, once per process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActiveHealth {
    /// The path asked for by `GET`.
    #[serde(default = "default_path")]
    pub path: String,
    /// Seconds between two probes of a server.
    #[serde(default = "default_interval_s")]
    pub interval_s: f64,
    /// Seconds a probe may take, connection included.
    #[serde(default = "default_timeout_s")]
    pub timeout_s: f64,
    /// Good probes in a row that bring a server back.
    #[serde(default = "default_healthy")]
    pub healthy: u32,
    /// Failed probes in a row that take a server out.
    #[serde(default = "default_unhealthy")]
    pub unhealthy: u32,
    /// The statuses that count as good: `200`, `200-399`, or a list as in `200-299,404`.
    #[serde(default = "default_status")]
    pub status: String,
}

/// What is learnt from the requests themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassiveHealth {
    /// Failures in a row (no connection, or no answer) after which a server rests; 0 switches this off.
    #[serde(default = "default_failures")]
    pub failures: u32,
    /// Seconds of the first rest. It doubles while the server keeps failing, up to [`super::health::COOLDOWN_DOUBLINGS`] times.
    #[serde(default = "default_cooldown_s")]
    pub cooldown_s: f64,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self { verify: default_verify(), ca_file: None, server_name: None }
    }
}

impl Default for PassiveHealth {
    fn default() -> Self {
        Self { failures: default_failures(), cooldown_s: default_cooldown_s() }
    }
}

impl Default for ActiveHealth {
    fn default() -> Self {
        Self {
            path: default_path(),
            interval_s: default_interval_s(),
            timeout_s: default_timeout_s(),
            healthy: default_healthy(),
            unhealthy: default_unhealthy(),
            status: default_status(),
        }
    }
}

impl Settings {
    /// The settings of a group of one server with every default.
    pub fn single(url: &str) -> Self {
        Self {
            servers: vec![ServerSettings { url: url.to_owned(), weight: default_weight() }],
            stickiness: Stickiness::default(),
            host_header: None,
            tls: TlsSettings::default(),
            http_version: HttpVersion::default(),
            active_health: None,
            passive_health: PassiveHealth::default(),
            retries: default_retries(),
            connect_timeout_s: default_connect_timeout_s(),
        }
    }

    /// Whether a request may reach a server by HTTP/2, which is what gRPC needs.
    pub fn may_speak_http2(&self) -> bool {
        self.http_version != HttpVersion::Http11
    }

    /// Everything that is wrong with these settings, without touching the network or a file; empty when all is well.
    pub fn check(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.servers.is_empty() {
            faults.push(Fault::at(vec![Key::name("servers")], "no server is given: name at least one by its url"));
        }
        if self.servers.len() > SERVERS_MAX {
            let message = format!("{} servers are given, at most {SERVERS_MAX} may be", self.servers.len());
            faults.push(Fault::at(vec![Key::name("servers")], message));
        }
        for (index, server) in self.servers.iter().enumerate() {
            let at = |key| vec![Key::name("servers"), Key::Index(index), Key::name(key)];
            if let Err(message) = super::Location::parse(&server.url) {
                faults.push(Fault::at(at("url"), message));
            }
            if server.weight > WEIGHT_MAX {
                let message =
                    format!("weight {} is above {WEIGHT_MAX}: weights are relative, use smaller ones", server.weight);
                faults.push(Fault::at(at("weight"), message));
            }
            let earlier = self.servers[..index].iter().position(|other| other.url == server.url);
            if let Some(earlier) = earlier {
                let message =
                    format!("\"{}\" is given twice (server {earlier} too): raise its weight instead", server.url);
                faults.push(Fault::at(at("url"), message));
            }
        }
        if !self.servers.is_empty() && self.servers.iter().all(|server| server.weight == 0) {
            faults.push(Fault::at(vec![Key::name("servers")], "every weight is 0: give at least one server a weight"));
        }
        if let Some(host) = &self.host_header
            && !is_authority(host)
        {
            let message = format!("\"{host}\" is not a host name with an optional port");
            faults.push(Fault::at(vec![Key::name("host_header")], message));
        }
        if let Some(name) = &self.tls.server_name
            && rustls::pki_types::ServerName::try_from(name.as_str()).is_err()
        {
            let message = format!("\"{name}\" is neither a DNS name nor an IP address");
            faults.push(Fault::at(vec![Key::name("tls"), Key::name("server_name")], message));
        }
        if self.retries > 10 {
            let message = format!("{} retries would multiply every outage: use at most 10", self.retries);
            faults.push(Fault::at(vec![Key::name("retries")], message));
        }
        seconds(&mut faults, &["connect_timeout_s"], self.connect_timeout_s);
        seconds(&mut faults, &["passive_health", "cooldown_s"], self.passive_health.cooldown_s);
        if let Some(active) = &self.active_health {
            seconds(&mut faults, &["active_health", "interval_s"], active.interval_s);
            seconds(&mut faults, &["active_health", "timeout_s"], active.timeout_s);
            let at = |key| vec![Key::name("active_health"), Key::name(key)];
            let printable = active.path.bytes().all(|byte| byte.is_ascii_graphic());
            if !active.path.starts_with('/') || !printable {
                faults.push(Fault::at(at("path"), format!("\"{}\" is not a path: it must start with /", active.path)));
            }
            if active.healthy == 0 || active.unhealthy == 0 {
                let key = if active.healthy == 0 { "healthy" } else { "unhealthy" };
                faults.push(Fault::at(at(key), "a threshold of 0 would never be counted to: use 1 or more"));
            }
            if let Err(message) = super::probe::StatusSet::parse(&active.status) {
                faults.push(Fault::at(at("status"), message));
            }
        }
        faults
    }
}

/// One step of the way to a value in the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// The key of an object.
    Name(&'static str),
    /// The place in a list, from 0.
    Index(usize),
}

impl Key {
    fn name(name: &'static str) -> Self {
        Self::Name(name)
    }
}

/// Something wrong in the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, counted from the `origin` object.
    pub path: Vec<Key>,
    /// What, and the way out.
    pub message: String,
}

impl Fault {
    fn at(path: Vec<Key>, message: impl Into<String>) -> Self {
        Self { path, message: message.into() }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "origin")?;
        for key in &self.path {
            match key {
                Key::Name(name) => write!(f, ".{name}")?,
                Key::Index(index) => write!(f, "[{index}]")?,
            }
        }
        write!(f, ": {}", self.message)
    }
}

fn seconds(faults: &mut Vec<Fault>, path: &[&'static str], value: f64) {
    if !(0.001..=86_400.0).contains(&value) {
        let path = path.iter().map(|name| Key::name(name)).collect();
        faults.push(Fault::at(path, format!("{value} is no sensible number of seconds: use 0.001 to 86400")));
    }
}

/// Whether the text may stand in a `Host` header: a reg-name or bracketed address with an optional port.
fn is_authority(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    !text.is_empty() && text.bytes().all(allowed)
}

fn default_weight() -> u32 {
    1
}
fn default_verify() -> bool {
    true
}
fn default_retries() -> u32 {
    1
}
fn default_connect_timeout_s() -> f64 {
    5.0
}
fn default_path() -> String {
    "/".to_owned()
}
fn default_interval_s() -> f64 {
    10.0
}
fn default_timeout_s() -> f64 {
    2.0
}
fn default_healthy() -> u32 {
    2
}
fn default_unhealthy() -> u32 {
    3
}
fn default_status() -> String {
    "200-399".to_owned()
}
fn default_failures() -> u32 {
    3
}
fn default_cooldown_s() -> f64 {
    10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault_texts(json: &str) -> Vec<String> {
        let settings: Settings = serde_json::from_str(json).expect("the document parses");
        settings.check().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_shortest_document_gets_every_default() {
        let settings: Settings =
            serde_json::from_str(r#"{"servers":[{"url":"http://127.0.0.1:8001"}]}"#).expect("parses");
        assert_eq!(settings, Settings::single("http://127.0.0.1:8001"));
        assert_eq!(settings.check(), vec![]);
    }

    #[test]
    fn the_document_of_the_contract_is_read_whole() {
        let json = r#"{"servers":[{"url":"http://127.0.0.1:8001","weight":1}],"stickiness":"cookie","host_header":null,
            "tls":{"verify":true,"ca_file":null,"server_name":null},"http_version":"auto",
            "active_health":{"path":"/","interval_s":10,"timeout_s":2,"healthy":2,"unhealthy":3,"status":"200-399"},
            "passive_health":{"failures":3,"cooldown_s":10},"retries":1,"connect_timeout_s":5}"#;
        let expected = Settings {
            stickiness: Stickiness::Cookie,
            http_version: HttpVersion::Auto,
            active_health: Some(ActiveHealth::default()),
            ..Settings::single("http://127.0.0.1:8001")
        };
        assert_eq!(serde_json::from_str::<Settings>(json).expect("parses"), expected);
    }

    #[test]
    fn a_misspelt_key_is_refused_by_name() {
        let refused = serde_json::from_str::<Settings>(r#"{"servers":[],"sticky":"none"}"#).expect_err("unknown key");
        assert!(refused.to_string().contains("unknown field `sticky`"), "{refused}");
    }

    #[test]
    fn every_fault_is_told_at_once_with_its_place() {
        let json = r#"{"servers":[{"url":"http://a"},{"url":"ftp://b"},{"url":"http://a","weight":5000}],
            "host_header":"a b","retries":11,"connect_timeout_s":0,
            "active_health":{"path":"x","status":"abc","healthy":0}}"#;
        let texts = fault_texts(json);
        let places: Vec<_> = texts.iter().map(|text| text.split(": ").next().unwrap_or_default()).collect();
        assert_eq!(
            places,
            [
                "origin.servers[1].url",
                "origin.servers[2].weight",
                "origin.servers[2].url",
                "origin.host_header",
                "origin.retries",
                "origin.connect_timeout_s",
                "origin.active_health.path",
                "origin.active_health.healthy",
                "origin.active_health.status",
            ]
        );
    }

    #[test]
    fn a_group_that_nothing_can_reach_is_refused() {
        assert_eq!(
            fault_texts(r#"{"servers":[]}"#),
            ["origin.servers: no server is given: name at least one by its url"]
        );
        assert_eq!(
            fault_texts(r#"{"servers":[{"url":"http://a","weight":0}]}"#),
            ["origin.servers: every weight is 0: give at least one server a weight"]
        );
    }
}
