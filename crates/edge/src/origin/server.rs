//! One server of an origin: where it listens, how it is spoken to, and how it has been doing.
//!
//! A server is shared by every group, policy and worker thread whose settings of it are equal, so that its health and
//! its pooled connections survive a swap of the policy.

use super::dns;
use super::health::Health;
use super::settings::HttpVersion;
use rustls::pki_types::ServerName;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Names a server within the process. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId(pub(super) u64);

/// Where a server listens, as its URL says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Location {
    /// An address, with TLS or without.
    Address {
        /// Whether TLS is spoken.
        tls: bool,
        /// The address and port.
        address: SocketAddr,
    },
    /// A host name that DNS or the hosts file knows.
    Name {
        /// Whether TLS is spoken.
        tls: bool,
        /// The name, in lower case.
        name: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl Location {
    /// Reads `http://host[:port]`, `https://host[:port]` or `unix:/path`; the error says what is wrong and the way out.
    pub fn parse(url: &str) -> Result<Self, String> {
        if let Some(path) = url.strip_prefix("unix:") {
            if !path.starts_with('/') {
                return Err(format!("\"{url}\": the path of a Unix socket must be absolute, as in unix:/run/app.sock"));
            }
            // sun_path holds 108 bytes with its terminator (unix(7)).
            if path.len() > 107 || path.contains('\0') {
                return Err(format!("\"{url}\": the path of a Unix socket may have at most 107 bytes"));
            }
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        let (tls, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(format!("\"{url}\": use http://host:port, https://host:port or unix:/path")),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(format!("\"{url}\": an origin has no path; rewrite paths with a rule"));
        }
        if authority.contains('@') {
            return Err(format!("\"{url}\": credentials do not belong in the URL of an origin"));
        }
        let default_port = if tls { 443 } else { 80 };
        if let Ok(address) = authority.parse::<SocketAddr>() {
            return nonzero_port(address.port(), url).map(|_| Self::Address { tls, address });
        }
        let bare = authority.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(authority);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            if ip.is_ipv6() && bare == authority {
                return Err(format!("\"{url}\": write an IPv6 address in brackets, as in http://[::1]:8000"));
            }
            return Ok(Self::Address { tls, address: SocketAddr::new(ip, default_port) });
        }
        let (name, port) = match authority.split_once(':') {
            Some((name, port)) => {
                let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
                let port = if digits { port.parse::<u16>().ok() } else { None };
                let port = port.ok_or_else(|| format!("\"{url}\": the port must be a number from 1 to 65535"))?;
                (name, nonzero_port(port, url)?)
            }
            None => (authority, default_port),
        };
        if !is_host_name(name) {
            return Err(format!("\"{url}\": \"{name}\" is not a host name"));
        }
        Ok(Self::Name { tls, name: name.to_ascii_lowercase(), port })
    }

    /// Whether TLS is spoken.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Address { tls: true, .. } | Self::Name { tls: true, .. })
    }

    /// The host as TLS verifies it; none for a Unix socket.
    pub(super) fn server_name(&self) -> Option<ServerName<'static>> {
        match self {
            Self::Address { address, .. } => Some(ServerName::from(address.ip())),
            Self::Name { name, .. } => ServerName::try_from(name.clone()).ok(),
            Self::Unix(_) => None,
        }
    }

    /// What stands in `Host` when nothing else does: the host, with the port unless it is the scheme's own.
    pub fn authority(&self) -> String {
        let (tls, host, port) = match self {
            Self::Unix(_) => return "localhost".to_owned(),
            Self::Name { tls, name, port } => (*tls, name.clone(), *port),
            Self::Address { tls, address } => {
                let host = match address.ip() {
                    IpAddr::V4(ip) => ip.to_string(),
                    IpAddr::V6(ip) => format!("[{ip}]"),
                };
                (*tls, host, address.port())
            }
        };
        if port == if tls { 443 } else { 80 } { host } else { format!("{host}:{port}") }
    }
}

fn nonzero_port(port: u16, url: &str) -> Result<u16, String> {
    if port == 0 { Err(format!("\"{url}\": the port must be a number from 1 to 65535")) } else { Ok(port) }
}

/// RFC 1123 §2.1, with the underscore that internal names have in practice.
fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// The TLS of a server.
#[derive(Debug)]
pub(super) struct ServerTls {
    pub config: Arc<rustls::ClientConfig>,
    pub name: ServerName<'static>,
}

/// One server.
#[derive(Debug)]
pub struct Server {
    pub(super) id: ServerId,
    pub(super) url: String,
    pub(super) location: Location,
    /// The resolved name; none for addresses and sockets.
    pub(super) addresses: Option<Arc<dns::Name>>,
    pub(super) tls: Option<ServerTls>,
    pub(super) http_version: HttpVersion,
    pub(super) connect_timeout: Duration,
    pub(super) authority: String,
    /// A keyed hash of the URL, in hex: the value of the stickiness cookie. Says nothing about the network inside.
    pub(super) token: String,
    /// The same hash as a number, for rendezvous hashing.
    pub(super) token_number: u64,
    pub(super) health: Health,
}

impl Server {
    /// The identity within the process.
    pub fn id(&self) -> ServerId {
        self.id
    }

    /// The URL as configured.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether TLS is spoken.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// What stands in `Host` when neither the client nor the settings say.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// How it has been doing; report [`Health::succeeded`] or [`Health::failed`] once per request.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The value of `Set-Cookie` that brings a client back to this server.
    pub fn sticky_cookie(&self, secure: bool) -> String {
        let secure = if secure { "; Secure" } else { "" };
        format!("{}={}; Path=/; HttpOnly; SameSite=Lax{secure}", super::STICKY_COOKIE, self.token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_into_locations() {
        let name = |tls, name: &str, port| Location::Name { tls, name: name.to_owned(), port };
        let address = |tls, text: &str| Location::Address { tls, address: text.parse().expect("an address") };
        let cases = [
            ("http://app", name(false, "app", 80)),
            ("https://App.Example/", name(true, "app.example", 443)),
            ("http://app_1.internal:8000", name(false, "app_1.internal", 8000)),
            ("http://127.0.0.1", address(false, "127.0.0.1:80")),
            ("https://127.0.0.1:8443", address(true, "127.0.0.1:8443")),
            ("http://[::1]", address(false, "[::1]:80")),
            ("http://[::1]:9000", address(false, "[::1]:9000")),
            ("unix:/run/app.sock", Location::Unix(PathBuf::from("/run/app.sock"))),
        ];
        for (url, expected) in cases {
            assert_eq!(Location::parse(url), Ok(expected), "{url}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_with_the_way_out() {
        let cases = [
            ("app:8000", "use http://host:port, https://host:port or unix:/path"),
            ("http://", "\"\" is not a host name"),
            ("http://a/b", "an origin has no path; rewrite paths with a rule"),
            ("http://u:p@a", "credentials do not belong in the URL of an origin"),
            ("http://a:0", "the port must be a number from 1 to 65535"),
            ("http://127.0.0.1:0", "the port must be a number from 1 to 65535"),
            ("http://a:+80", "the port must be a number from 1 to 65535"),
            ("http://a:65536", "the port must be a number from 1 to 65535"),
            ("http://::1", "write an IPv6 address in brackets, as in http://[::1]:8000"),
            ("http://-a", "\"-a\" is not a host name"),
            ("http://a b", "\"a b\" is not a host name"),
            ("unix:run/app", "the path of a Unix socket must be absolute, as in unix:/run/app.sock"),
        ];
        for (url, expected) in cases {
            assert_eq!(Location::parse(url), Err(format!("\"{url}\": {expected}")), "{url}");
        }
    }

    #[test]
    fn the_authority_names_the_port_only_where_it_is_unusual() {
        let cases = [
            ("http://app", "app"),
            ("http://app:443", "app:443"),
            ("https://app:443", "app"),
            ("http://[::1]:9000", "[::1]:9000"),
            ("http://127.0.0.1:80", "127.0.0.1"),
            ("unix:/run/app.sock", "localhost"),
        ];
        for (url, expected) in cases {
            assert_eq!(Location::parse(url).expect("a location").authority(), expected, "{url}");
        }
    }
}
