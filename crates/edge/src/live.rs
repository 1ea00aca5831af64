//! The policy with what it needs around it to serve: origin groups, trusted networks, the codec's limits.
//!
//! A [`Live`] is made whole beside the one in effect and swapped in; a request takes it once and keeps it to its event.

use std::net::IpAddr;
use std::sync::Arc;

use fields::Geo;

use crate::geo::Databases;
use crate::origin::{Group, Origins, Routes};
use crate::policy::{Diagnostic, EdgeSettings, Policy, Severity, Step, Zone};
use crate::tls::{CertificateStore, CertificateTable, ZoneCertificates};

/// A policy, ready to serve.
#[derive(Debug)]
pub struct Live {
    /// The compiled policy.
    pub policy: Arc<Policy>,
    /// The limits of the HTTP/1 codec.
    pub http1_limits: http1::Limits,
    /// Where https is served, for redirects.
    pub https_port: u16,
    trusted: Vec<Network>,
    served: Vec<Arc<Served>>,
    databases: Databases,
}

/// A zone and what it takes to serve it. A request holds this and not the policy, so that a tunnel of days keeps one
/// zone in memory and not a thousand.
#[derive(Debug)]
pub struct Served {
    /// The zone.
    pub zone: Arc<Zone>,
    /// Its name, to outlive the policy in an event.
    pub name: Arc<str>,
    /// Its origin servers.
    pub group: Arc<Group>,
    /// The servers that rules send requests to instead.
    pub routes: Routes,
    /// The settings of the edge as a whole.
    pub settings: Arc<EdgeSettings>,
    /// Databases of addresses, where there are any.
    pub geo: Option<Arc<Geo>>,
}

impl Live {
    /// Builds what `policy` needs; files that `before` has read and that did not change are not read again. The certificates
    /// stand in the returned table, to be installed with the swap.
    pub fn prepare(
        policy: Arc<Policy>,
        before: Option<&Self>,
        origins: &Arc<Origins>,
        certificates: &CertificateStore,
        warnings: &mut Vec<Diagnostic>,
    ) -> Result<(Self, Arc<CertificateTable>), Vec<Diagnostic>> {
        let mut errors = Vec::new();
        let live = Self::of(policy, before, origins, warnings, &mut errors);
        let prepared = certificates.prepare(zone_certificates(&live.policy));
        for finding in &prepared.findings {
            let found = if finding.problem.is_warning() { &mut *warnings } else { &mut errors };
            found.push(finding.diagnostic());
        }
        if errors.is_empty() { Ok((live, prepared.table)) } else { Err(errors) }
    }

    /// Builds what `policy` needs to judge requests that nobody sends: no certificate is read.
    pub fn offline(policy: Arc<Policy>, origins: &Arc<Origins>) -> Result<Self, Vec<Diagnostic>> {
        let (mut warnings, mut errors) = (Vec::new(), Vec::new());
        let live = Self::of(policy, None, origins, &mut warnings, &mut errors);
        if errors.is_empty() { Ok(live) } else { Err(errors) }
    }

    fn of(
        policy: Arc<Policy>,
        before: Option<&Self>,
        origins: &Arc<Origins>,
        warnings: &mut Vec<Diagnostic>,
        errors: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut found = Vec::new();
        let databases = Databases::load(&policy, before.map(|before| &before.databases), &mut found);
        for diagnostic in found {
            let of_its_kind = if diagnostic.severity == Severity::Warning { &mut *warnings } else { &mut *errors };
            of_its_kind.push(diagnostic);
        }
        let geo = databases.geo();
        let mut served = Vec::with_capacity(policy.zones().len());
        for (index, zone) in policy.zones().iter().enumerate() {
            match origins.group(zone.origin()) {
                Ok(group) => served.push(Arc::new(Served {
                    zone: Arc::clone(zone),
                    name: zone.name().into(),
                    group,
                    routes: Routes::new(origins),
                    settings: Arc::clone(policy.edge()),
                    geo: geo.clone(),
                })),
                Err(error) => errors.push(Diagnostic::error(&zone_path(index, &["origin"]), error.to_string())),
            }
        }
        let mut trusted = Vec::new();
        for (index, text) in policy.edge().trusted_proxies.iter().enumerate() {
            match Network::parse(text) {
                Some(network) => trusted.push(network),
                None => errors.push(Diagnostic::error(
                    &[Step::Key("edge".into()), Step::Key("trusted_proxies".into()), Step::Index(index)],
                    format!("\"{text}\" is no address and no network; write 192.0.2.0/24 or 2001:db8::/32"),
                )),
            }
        }
        let limits = &policy.edge().limits;
        let http1_limits = http1::Limits {
            head_bytes: limits.head_bytes as usize,
            headers: limits.headers as usize,
            target_bytes: limits.target_bytes as usize,
            ..http1::Limits::default()
        };
        let https_port =
            policy.edge().listen.iter().find(|listen| listen.tls).map_or(443, |listen| listen.address.port());
        Self { policy, http1_limits, https_port, trusted, served, databases }
    }

    /// The zone that serves a host as it stands in `Host`, `:authority` or SNI.
    pub fn zone(&self, host: &[u8]) -> Option<&Arc<Served>> {
        self.served.get(self.policy.zone(host)?.index())
    }

    /// All zones, in the order of the document.
    pub fn served(&self) -> &[Arc<Served>] {
        &self.served
    }

    /// Whether what `address` says of its clients is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let number = number_of(address);
        self.trusted.iter().any(|network| (network.first..=network.last).contains(&number))
    }
}

/// What the certificate store needs of each zone.
pub fn zone_certificates(policy: &Policy) -> Vec<ZoneCertificates> {
    let of = |zone: &Arc<Zone>| ZoneCertificates {
        name: zone.name().to_owned(),
        hosts: zone.hosts().to_vec(),
        is_default: zone.is_default(),
        certificates: zone.tls().certificates.clone(),
        min_version: zone.tls().min_version,
    };
    policy.zones().iter().map(of).collect()
}

fn zone_path(index: usize, rest: &[&str]) -> Vec<Step> {
    let mut path = vec![Step::Key("zones".into()), Step::Index(index)];
    path.extend(rest.iter().map(|key| Step::Key((*key).to_owned())));
    path
}

/// A range of addresses; IPv4 stands in it as IPv4-mapped IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    first: u128,
    last: u128,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = match (address, bits) {
            (_, None) => 128,
            (IpAddr::V4(_), Some(bits @ 0..=32)) => bits + 96,
            (IpAddr::V6(_), Some(bits @ 0..=128)) => bits,
            _ => return None,
        };
        let host_mask = if bits == 0 { u128::MAX } else { (1u128 << (128 - bits)).wrapping_sub(1) };
        let number = number_of(address);
        Some(Self { first: number & !host_mask, last: number | host_mask })
    }
}

fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        let holds = |network: &str, address: &str| {
            let network = Network::parse(network).unwrap();
            (network.first..=network.last).contains(&number_of(address.parse().unwrap()))
        };
        assert!(holds("192.0.2.0/24", "192.0.2.255") && !holds("192.0.2.0/24", "192.0.3.0"));
        assert!(holds("192.0.2.7", "::ffff:192.0.2.7"));
        assert!(holds("2001:db8::/32", "2001:db8:ffff::1") && !holds("2001:db8::/32", "2001:db9::"));
        assert!(holds("0.0.0.0/0", "255.255.255.255") && !holds("0.0.0.0/0", "2001:db8::"));
        assert!(holds("::/0", "192.0.2.1"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "192.0.2.0/33", "2001:db8::/129", "example.com", "192.0.2.0/x", "/8"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
