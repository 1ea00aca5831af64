//! The certificates of all zones, found by server name while the handshake waits.
//!
//! The store outlives policies. [`CertificateStore::prepare`] makes a table for a new policy and reads only the files that
//! changed since the last one (by device, inode, size and time), [`CertificateStore::install`] puts it in force, and
//! [`CertificateStore::reload_changed`] looks whether files were replaced beneath the policy in force, as ACME clients
//! do. A handshake reads the table without a lock.

use std::{
    collections::HashMap,
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use arc_swap::{ArcSwap, Guard};
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::certificate::{Certificate, CertificateProblem, Stamp};
use crate::policy::{CertificateFiles, Diagnostic, HostTable, Step, TlsVersion};

/// What the policy says of one zone's TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneCertificates {
    /// The zone's name, for messages.
    pub name: String,
    /// The hosts in the form of [`HostTable`]: lower case, exact or `*.`.
    pub hosts: Vec<String>,
    /// Whether it serves names that no zone has, and clients that name none.
    pub is_default: bool,
    /// The files; with several, the first that is valid for the name and fit for the client serves.
    pub certificates: Vec<CertificateFiles>,
    /// The oldest version accepted.
    pub min_version: TlsVersion,
}

/// Something found wrong with a zone's certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFinding {
    /// The zone's index in what was prepared.
    pub zone: usize,
    /// The zone's name.
    pub zone_name: String,
    /// The index of the certificate within the zone; none where the finding is about the zone's hosts.
    pub certificate: Option<usize>,
    /// What it is, and the way out. [`CertificateProblem::is_warning`] tells the grave from the less grave.
    pub problem: CertificateProblem,
}

impl CertificateFinding {
    /// What the author of the policy is told, at the zone's place in the document.
    pub fn diagnostic(&self) -> Diagnostic {
        let mut path: Vec<Step> = vec!["zones".into(), self.zone.into(), "tls".into(), "certificates".into()];
        path.extend(self.certificate.map(Step::from));
        let make = if self.problem.is_warning() { Diagnostic::warning } else { Diagnostic::error };
        make(&path, self.problem.to_string())
    }
}

impl fmt::Display for CertificateFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "zone \"{}\"", self.zone_name)?;
        if let Some(index) = self.certificate {
            write!(f, " certificate {}", index + 1)?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// A table that is ready to be installed, and what is to be said about it.
#[derive(Debug)]
pub struct Prepared {
    /// The table. Certificates with errors are not in it, so that an edge that must start can serve the other zones.
    pub table: Arc<CertificateTable>,
    /// Errors and warnings, in the order of the zones.
    pub findings: Vec<CertificateFinding>,
    /// How many certificates were read from files, not taken over from the table in force.
    pub loaded: usize,
}

/// The certificates of one policy by host.
#[derive(Debug, Default)]
pub struct CertificateTable {
    /// What it was made from, for the reload.
    source: Vec<ZoneCertificates>,
    zones: Vec<Zone>,
    /// Values index `zones`.
    hosts: HostTable,
    /// Who serves a client that names no host.
    nameless: Option<u32>,
    files: HashMap<CertificateFiles, Arc<Certificate>>,
}

/// A zone that has a certificate.
#[derive(Debug)]
pub(super) struct Zone {
    pub(super) min_version: TlsVersion,
    /// At least one.
    certificates: Vec<Arc<Certificate>>,
}

/// The certificates in force, for all acceptors of the process.
#[derive(Debug, Default)]
pub struct CertificateStore {
    table: ArcSwap<CertificateTable>,
    /// Held by whoever replaces the table; remembers which files failed how, so that a sweep says each thing once.
    failures: Mutex<HashMap<CertificateFiles, CertificateProblem>>,
}

/// What a reload did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// How many certificates were replaced.
    pub changed: usize,
    /// What is newly wrong. A certificate in force stays in force.
    pub findings: Vec<CertificateFinding>,
}

impl CertificateStore {
    /// A store without certificates.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a table for these zones. Reads files: not for a thread that serves.
    pub fn prepare(&self, zones: Vec<ZoneCertificates>) -> Prepared {
        let current = self.table.load_full();
        let mut loaded = 0;
        let (table, findings) = build(zones, |files| {
            let stamp = stamp(files)?;
            if let Some(same) = current.files.get(files).filter(|certificate| certificate.stamp == stamp) {
                return Ok(Arc::clone(same));
            }
            loaded += 1;
            load(files, stamp)
        });
        Prepared { table: Arc::new(table), findings, loaded }
    }

    /// Puts a table in force. Handshakes under way finish with the one they began with.
    pub fn install(&self, table: Arc<CertificateTable>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.clear();
        self.table.store(table);
    }

    /// Reads again what changed on disk since it was loaded. A certificate that cannot be read or does not fit its key,
    /// as while a renewal is half written, leaves the old one in force and is tried again at the next call.
    /// Reads files: not for a thread that serves.
    pub fn reload_changed(&self) -> Reloaded {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.table.load_full();
        let mut changed: HashMap<&CertificateFiles, Arc<Certificate>> = HashMap::new();
        let mut failed: HashMap<CertificateFiles, CertificateProblem> = HashMap::new();
        let mut findings = Vec::new();
        for (zone, settings) in current.source.iter().enumerate() {
            for (certificate, files) in settings.certificates.iter().enumerate() {
                if changed.contains_key(files) || failed.contains_key(files) {
                    continue; // Several zones may share it.
                }
                let stamp = stamp(files);
                let in_force = current.files.get(files);
                if in_force.is_some_and(|in_force| stamp.as_ref() == Ok(&in_force.stamp)) {
                    continue;
                }
                match stamp.and_then(|stamp| load(files, stamp)) {
                    Ok(certificate) => _ = changed.insert(files, certificate),
                    Err(problem) => {
                        if failures.get(files) != Some(&problem) {
                            let (zone_name, problem) = (settings.name.clone(), problem.clone());
                            findings.push(CertificateFinding {
                                zone,
                                zone_name,
                                certificate: Some(certificate),
                                problem,
                            });
                        }
                        failed.insert(files.clone(), problem);
                    }
                }
            }
        }
        if !changed.is_empty() {
            let (table, found) = build(current.source.clone(), |files| {
                let certificate = changed.get(files).or_else(|| current.files.get(files)).map(Arc::clone);
                certificate.ok_or_else(|| failed[files].clone())
            });
            let is_news = |finding: &CertificateFinding| {
                let zone = &current.source[finding.zone].certificates;
                finding.problem.is_warning() && zone.iter().any(|files| changed.contains_key(files))
            };
            findings.extend(found.into_iter().filter(is_news));
            self.table.store(Arc::new(table));
        }
        let changed = changed.len();
        *failures = failed;
        Reloaded { changed, findings }
    }

    /// The table in force.
    pub(super) fn table(&self) -> Guard<Arc<CertificateTable>> {
        self.table.load()
    }
}

impl ResolvesServerCert for CertificateStore {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let table = self.table();
        let zone = table.find(hello.server_name())?;
        let fits = |certificate: &&Arc<Certificate>| {
            certificate.certified_key.key.choose_scheme(hello.signature_schemes()).is_some()
        };
        let chosen = match (zone.certificates.as_slice(), hello.server_name()) {
            ([only], _) => only,
            (several, Some(name)) => several
                .iter()
                .filter(fits)
                .find(|certificate| certificate.covers(name))
                .or_else(|| several.iter().find(fits))
                .or(several.first())?,
            (several, None) => several.iter().find(fits).or(several.first())?,
        };
        Some(Arc::clone(&chosen.certified_key))
    }
}

impl CertificateTable {
    /// The zone that serves a name: exact, then the longest wildcard, then the default. A client that names none gets
    /// the default zone or, where there is none, the only zone there is.
    pub(super) fn find(&self, name: Option<&str>) -> Option<&Zone> {
        let index = name.map_or(self.nameless, |name| self.hosts.get(name.as_bytes()))?;
        self.zones.get(index as usize)
    }
}

/// Makes a table with whatever `load` gives for the files of each zone.
fn build(
    source: Vec<ZoneCertificates>,
    mut load: impl FnMut(&CertificateFiles) -> Result<Arc<Certificate>, CertificateProblem>,
) -> (CertificateTable, Vec<CertificateFinding>) {
    let now = SystemTime::now();
    let mut table = CertificateTable::default();
    let mut findings = Vec::new();
    let mut default = None;
    for (zone, settings) in source.iter().enumerate() {
        let mut found = |certificate, problem| {
            let zone_name = settings.name.clone();
            findings.push(CertificateFinding { zone, zone_name, certificate, problem });
        };
        let mut certificates = Vec::with_capacity(settings.certificates.len());
        for (index, files) in settings.certificates.iter().enumerate() {
            let known = table.files.get(files).map(Arc::clone);
            match known.map_or_else(|| load(files), Ok) {
                Ok(certificate) => {
                    if let Some(problem) = certificate.date_problem(Path::new(&files.certificate_file), now) {
                        found(Some(index), problem);
                    }
                    table.files.insert(files.clone(), Arc::clone(&certificate));
                    certificates.push(certificate);
                }
                Err(problem) => found(Some(index), problem),
            }
        }
        if certificates.is_empty() {
            continue;
        }
        let is_covered = |host: &&String| certificates.iter().any(|certificate| certificate.covers(host));
        let hosts: Vec<String> = settings.hosts.iter().filter(|host| !is_covered(host)).cloned().collect();
        if !hosts.is_empty() {
            found(None, CertificateProblem::HostsNotCovered { hosts });
        }
        let index = table.zones.len() as u32;
        for host in &settings.hosts {
            // The first zone keeps a host that two claim; the policy refuses such a document anyway.
            table.hosts.insert(host, index);
        }
        if settings.is_default {
            table.hosts.set_default(index);
            default = Some(index);
        }
        table.zones.push(Zone { min_version: settings.min_version, certificates });
    }
    table.nameless = default.or((table.zones.len() == 1).then_some(0));
    table.source = source;
    (table, findings)
}

fn stamp(files: &CertificateFiles) -> Result<Stamp, CertificateProblem> {
    Stamp::of(Path::new(&files.certificate_file), Path::new(&files.key_file))
}

fn load(files: &CertificateFiles, stamp: Stamp) -> Result<Arc<Certificate>, CertificateProblem> {
    Certificate::load(Path::new(&files.certificate_file), Path::new(&files.key_file), stamp).map(Arc::new)
}
