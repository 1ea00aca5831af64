//! From a document to a policy: read, compare with the policy before, compile what changed, check what lies between parts.
//!
//! Reading takes three steps, so that an unchanged zone costs no more than its digest: the document is split into parts
//! that stay text, each part is digested ([`super::digest`]), and only a part whose digest the policy before does not have is
//! read and compiled. Compiling runs on threads of low priority, as many as there are cores, so that requests go first.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use fields::columns;
use rules::Phase;
use seclang::ruleset::RuleSet;
use serde_json::value::RawValue;

use super::actions::Ruleset;
use super::config::HELD_MAX;
use super::constants;
use super::costs;
use super::diagnostic::{Diagnostic, Place, Severity};
use super::digest::{self, Digest, Named};
use super::document::{self, Document, EdgeSettings, EventSettings, FORMAT, ZoneSource};
use super::error_page::ErrorPages;
use super::hosts::{self, HostTable};
use super::inspection;
use super::lists;
use super::read::read_raw;
use super::rule::Compiler;
use super::too_early;
use super::{Compiled, Level, Policy, Report, Zone};
use crate::origin::settings::Key;

/// Parts below this number are not worth another thread.
const PARTS_PER_THREAD: usize = 4;

impl Policy {
    /// Compiles a document. What `previous` has compiled from the same source is used again.
    ///
    /// The errors are all that could be found at once: those of a part that cannot be read hide only what is inside it.
    pub fn compile(document: &[u8], previous: Option<&Self>) -> Result<(Arc<Self>, Report), Vec<Diagnostic>> {
        let started = Instant::now();
        let document: Document<'_> = serde_json::from_slice(document)
            .map_err(|error| vec![Place::Root.error(format!("the policy document cannot be read: {error}"))])?;
        if document.format != FORMAT {
            let message = format!("format {} is not known to this edge, which reads format {FORMAT}", document.format);
            return Err(vec![Place::Root.key("format").error(message)]);
        }
        let mut found = Vec::new();
        let edge = edge(document.edge, previous, &mut found);
        let cache = previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.cache));

        let (lists, list_digests) = lists::build(&document, previous, &mut found);
        let by_name = lists::by_name(&lists);
        let mut named = Named::new(list_digests);
        let compiler = Compiler { lists: &by_name, cache: &cache, rulesets: None, begun: &[], begun_in_part: false };
        // Kept until the zones have theirs: the first plan of a rule set is compiled to find out what is wrong with it.
        let (rulesets, _first_plans) = rulesets(&document, previous, &mut named, compiler, &mut found);
        let by_id = rulesets.iter().map(|(id, (_, ruleset))| (id.clone(), ruleset.clone())).collect();
        let compiler = Compiler { rulesets: Some(&by_id), ..compiler };
        let account = account(document.account, previous, &named, compiler, &mut found);
        let (ready, changed_zones) = zones(&document, previous, &named, compiler, &mut found);

        let hosts = hosts(&ready, previous, &mut found);
        late_configuration(&account, &ready, &mut found);
        if let Some(edge) = &edge {
            lost_redirects(edge, &ready, &mut found);
        }
        let (warnings, errors): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|diagnostic| diagnostic.severity == Severity::Warning);
        let (Some(edge), true) = (edge, errors.is_empty()) else {
            return Err(errors.into_iter().chain(warnings).collect());
        };
        let zones = ready.into_iter().flatten().enumerate().map(|(index, compiled)| {
            let same = previous
                .and_then(|previous| previous.zones.get(index))
                .filter(|zone| Arc::ptr_eq(&zone.compiled, &compiled) && Arc::ptr_eq(&zone.account, &account));
            same.map_or_else(|| Arc::new(Zone::new(index, compiled, Arc::clone(&account))), Arc::clone)
        });
        let policy = Self {
            version: document.version,
            edge,
            zones: zones.collect(),
            hosts,
            lists: lists.into_iter().filter_map(|(name, list)| Some((name, list.ok()?))).collect(),
            rulesets: rulesets
                .into_iter()
                .filter_map(|(id, (digest, ruleset))| Some((id, (digest, ruleset?))))
                .collect(),
            account,
            cache,
        };
        let warnings = warnings.into_iter().chain(constants::readers(&policy)).chain(costs::excesses(&policy));
        let warnings = warnings.chain(too_early::readers(&policy)).chain(inspection::blind_zones(&policy));
        let warnings = warnings.chain(inspection::warnings(&policy.seclang())).collect();
        let report = Report {
            version: policy.version,
            zones: policy.zones.len(),
            changed_zones,
            compile_ms: started.elapsed().as_secs_f64() * 1e3,
            warnings,
        };
        Ok((Arc::new(policy), report))
    }
}

/// Lets requests go first: on Linux the nice value belongs to the thread.
pub(super) fn lower_priority() {
    // Refused only where a process may not even be modest; then it runs as it is.
    let _ = rustix::process::nice(10);
}

/// Runs `work` over all items on threads of low priority. The results stand in the order of the items; what a panic took
/// is missing.
pub(super) fn in_background<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<Option<R>> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(items.len().div_ceil(PARTS_PER_THREAD));
    let next = AtomicUsize::new(0);
    let mut results: Vec<Option<R>> = items.iter().map(|_| None).collect();
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    lower_priority();
                    let mut done = Vec::new();
                    while let Some((index, item)) = {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        items.get(index).map(|item| (index, item))
                    } {
                        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(item)));
                        done.push((index, result.ok()));
                    }
                    done
                })
            })
            .collect();
        for (index, result) in running.into_iter().filter_map(|thread| thread.join().ok()).flatten() {
            results[index] = result;
        }
    });
    results
}

pub(super) fn crashed(place: &Place<'_>) -> Diagnostic {
    place.error(
        "the compiler failed on this part; that is a bug in Bartizan, please report it with this part of the policy",
    )
}

fn edge(source: &RawValue, previous: Option<&Policy>, found: &mut Vec<Diagnostic>) -> Option<Arc<EdgeSettings>> {
    let place = Place::Root.key("edge");
    let settings: EdgeSettings = read_raw(source, &place, found)?;
    if settings.listen.is_empty() {
        found.push(
            place.key("listen").error("the edge listens nowhere; give it an address, such as \"127.0.0.1:8080\""),
        );
    }
    for (index, listen) in settings.listen.iter().enumerate() {
        let twice = settings.listen[..index].iter().any(|other| other.address == listen.address);
        if twice && listen.address.port() != 0 {
            let list = place.key("listen");
            found.push(list.index(index).error(format!("the edge already listens on {}; remove one", listen.address)));
        }
    }
    for (index, network) in settings.trusted_proxies.iter().enumerate() {
        if !is_network(network) {
            let list = place.key("trusted_proxies");
            let message =
                format!("\"{network}\" is no address or network; write it as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32");
            found.push(list.index(index).error(message));
        }
    }
    if settings.colo.len() != 3 || !settings.colo.bytes().all(|byte| byte.is_ascii_uppercase()) {
        let message =
            format!("\"{}\" is no place; it is three capital letters, as in the code of an airport", settings.colo);
        found.push(place.key("colo").error(message));
    }
    if settings.threads > 1024 {
        found.push(
            place
                .key("threads")
                .error(format!("{} threads are more than 1024; 0 takes one for each core", settings.threads)),
        );
    }
    for (row, value) in settings.limits.out_of_range() {
        let limits = place.key("limits");
        found
            .push(limits.key(row.name).error(format!("{} is {value}; it can be {} to {}", row.name, row.min, row.max)));
    }
    if settings.spool.dir.is_empty() {
        let spool = place.key("spool");
        found.push(spool.key("dir").error("the spool needs a directory"));
    }
    kept_columns(&settings.events, &place.key("events"), found);
    let same = previous.map(|previous| &previous.edge).filter(|before| ***before == settings);
    Some(same.map_or_else(|| Arc::new(settings), Arc::clone))
}

/// What events keep: no more than a person who says so wants, and no column that there is not.
fn kept_columns(events: &EventSettings, place: &Place<'_>, found: &mut Vec<Diagnostic>) {
    if !events.redact {
        let message =
            "passwords and tokens in the URLs of visitors are kept in events; leave it out to have them taken out";
        found.push(place.key("redact").warning(message));
    }
    let retention = place.key("retention");
    for (name, days) in &events.retention {
        let place = retention.key(name);
        if !columns::TABLES.iter().any(|table| table.column(name).is_some()) {
            found.push(place.error(format!("no event has a column \"{name}\"; docs/reference/events.md lists them")));
        } else if columns::BELONG_TO_THE_ROW.contains(&name.as_str()) {
            found.push(
                place.error(format!("\"{name}\" is what rows are found by; it goes with them, by retention_days")),
            );
        } else if *days == 0 || *days >= events.retention_days {
            let all = events.retention_days;
            found.push(place.error(format!("{days} days are not fewer than the {all} of the whole row; leave it out")));
        }
    }
}

/// Zones that redirect to HTTPS where no TLS is spoken: right only behind something that does.
fn lost_redirects(edge: &EdgeSettings, zones: &[Option<Arc<Compiled>>], found: &mut Vec<Diagnostic>) {
    if edge.listen.iter().any(|listen| listen.tls) {
        return;
    }
    let list = Place::Root.key("zones");
    for (index, zone) in zones.iter().enumerate() {
        if zone.as_ref().is_some_and(|zone| zone.tls.https_redirect) {
            let message = "plain HTTP is redirected to HTTPS, but no listener speaks TLS; add one, unless a trusted proxy in front does";
            found.push(list.index(index).key("tls").key("https_redirect").warning(message));
        }
    }
}

/// Rules that read the body before those have run that say how it is held.
fn late_configuration(account: &Level, zones: &[Option<Arc<Compiled>>], found: &mut Vec<Diagnostic>) {
    let configures = |level: &Level| level.phases.iter().any(|(_, rules)| rules.configures_body(|_| true));
    let by_account = configures(account);
    let list = Place::Root.key("zones");
    let mut of_account = by_account;
    for (index, zone) in zones.iter().enumerate() {
        let Some(zone) = zone else { continue };
        let by_zone = configures(&zone.level);
        of_account |= by_zone;
        if by_zone || by_account {
            early_readers(&zone.level, &list.index(index), found);
        }
    }
    if of_account {
        early_readers(account, &Place::Root.key("account"), found);
    }
}

fn early_readers(level: &Level, place: &Place<'_>, found: &mut Vec<Diagnostic>) {
    for (phase, rules) in level.phases.iter().filter(|(phase, _)| *phase <= Phase::ConfigSettings) {
        if let Some(index) = rules.body_reader() {
            let message = format!(
                "the rule reads the request body before {} has said how it is held; read it in a later phase, or take \
                 what is said of the body out of set_config",
                Phase::ConfigSettings
            );
            found.push(place.key("phases").key(phase.name()).index(index).error(message));
        }
    }
}

fn is_network(text: &str) -> bool {
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let longest: u8 = if address.is_ipv4() { 32 } else { 128 };
    length.is_none_or(|length| length.parse::<u8>().is_ok_and(|length| length <= longest))
}

type RulesetEntry = (Digest, Option<Arc<Ruleset>>);

fn rulesets(
    document: &Document<'_>,
    previous: Option<&Policy>,
    named: &mut Named,
    compiler: Compiler<'_>,
    found: &mut Vec<Diagnostic>,
) -> (HashMap<String, RulesetEntry>, Vec<Arc<RuleSet>>) {
    let all = Place::Root.key("rulesets");
    let sources = document.rulesets.iter();
    let sources: Vec<_> = sources.map(|(id, source)| (id, *source, ruleset_digest(source.get(), named))).collect();
    let built = in_background(&sources, |(id, source, digest)| {
        let before = previous.and_then(|previous| previous.rulesets.get(&***id));
        if let Some((_, ruleset)) = before.filter(|(before, _)| before == digest) {
            return Ok((Arc::clone(ruleset), None));
        }
        let (place, mut wrong) = (all.key(id), Vec::new());
        let source: Option<document::Ruleset> = read_raw(source, &place, &mut wrong);
        let ruleset = source.and_then(|source| compiler.ruleset(id, &source, &place, &mut wrong));
        let seclang = ruleset.as_ref().and_then(|ruleset| ruleset.seclang.as_ref());
        let first_plan = seclang.and_then(|source| {
            let plan = source.plan(source.paranoia_level);
            plan.map_err(|problems| wrong.extend(inspection::faults(&problems, &place.key("seclang")))).ok()
        });
        match ruleset {
            Some(ruleset) if wrong.is_empty() => Ok((Arc::new(ruleset), first_plan)),
            _ => Err(wrong),
        }
    });
    named.set_rulesets(&sources.iter().map(|(id, _, digest)| ((*id).clone().into_owned(), *digest)).collect());
    let (mut rulesets, mut first_plans) = (HashMap::new(), Vec::new());
    for ((id, _, digest), built) in sources.into_iter().zip(built) {
        let ruleset = match built.unwrap_or_else(|| Err(vec![crashed(&all.key(id))])) {
            Ok((ruleset, first_plan)) => {
                first_plans.extend(first_plan);
                Some(ruleset)
            }
            Err(wrong) => {
                found.extend(wrong);
                None
            }
        };
        rulesets.insert(id.clone().into_owned(), (digest, ruleset));
    }
    (rulesets, first_plans)
}

/// The digest of a ruleset. `SecLang` names no list, whatever in it may look like that.
fn ruleset_digest(source: &str, named: &Named) -> Digest {
    match serde_json::from_str(source) {
        Ok(document::Kind { seclang: Some(_) }) => digest::plain(source),
        _ => named.of(source),
    }
}

fn account(
    source: Option<&RawValue>,
    previous: Option<&Policy>,
    named: &Named,
    compiler: Compiler<'_>,
    found: &mut Vec<Diagnostic>,
) -> Arc<Level> {
    let Some(source) = source else {
        let none = previous.map(|previous| &previous.account).filter(|before| before.digest == Digest::default());
        return none.map_or_else(Arc::default, Arc::clone);
    };
    let digest = named.of(source.get());
    if let Some(before) = previous.map(|previous| &previous.account).filter(|before| before.digest == digest) {
        return Arc::clone(before);
    }
    let place = Place::Root.key("account");
    let account: document::Account = read_raw(source, &place, found).unwrap_or_default();
    let phases = compiler.phases(&account.phases, &place.key("phases"), found);
    let error_pages = ErrorPages::read(account.error_pages, &place.key("error_pages"), found);
    Arc::new(Level { digest, phases, error_pages })
}

/// The zones in their order, `None` for what did not compile, and how many were compiled.
fn zones(
    document: &Document<'_>,
    previous: Option<&Policy>,
    named: &Named,
    compiler: Compiler<'_>,
    found: &mut Vec<Diagnostic>,
) -> (Vec<Option<Arc<Compiled>>>, usize) {
    let before: HashMap<&Digest, &Arc<Compiled>> = previous.map_or_else(HashMap::new, |previous| {
        previous.zones.iter().map(|zone| (&zone.compiled.level.digest, &zone.compiled)).collect()
    });
    let list = Place::Root.key("zones");
    let sources: Vec<_> = document.zones.iter().enumerate().collect();
    let built = in_background(&sources, |(index, source)| {
        let digest = named.of(source.get());
        if let Some(zone) = before.get(&digest) {
            return Ok((Arc::clone(zone), false));
        }
        let (place, mut wrong) = (list.index(*index), Vec::new());
        let zone = zone(source, digest, compiler, &place, &mut wrong);
        match zone {
            Some(zone) if wrong.is_empty() => Ok((Arc::new(zone), true)),
            _ => Err(wrong),
        }
    });
    let mut taken = HashMap::new();
    let mut changed = 0;
    let mut zones = Vec::with_capacity(built.len());
    for (index, built) in built.into_iter().enumerate() {
        match built.unwrap_or_else(|| Err(vec![crashed(&list.index(index))])) {
            Ok((zone, is_new)) => {
                changed += usize::from(is_new);
                if let Some(other) = taken.insert(zone.name.clone(), index) {
                    let message = format!(
                        "two zones have the name \"{}\" (zones {other} and {index}); a name belongs to one",
                        zone.name
                    );
                    found.push(list.index(index).key("name").error(message));
                }
                zones.push(Some(zone));
            }
            Err(wrong) => {
                found.extend(wrong);
                zones.push(None);
            }
        }
    }
    (zones, changed)
}

fn zone(
    source: &RawValue,
    digest: Digest,
    compiler: Compiler<'_>,
    place: &Place<'_>,
    wrong: &mut Vec<Diagnostic>,
) -> Option<Compiled> {
    let Ok(source) = serde_json::from_str::<ZoneSource>(source.get()) else {
        misfits(source, compiler, place, wrong);
        return None;
    };
    if source.name.is_empty() || source.name.len() > 253 || source.name.chars().any(char::is_control) {
        wrong.push(place.key("name").error("a zone has a name of 1 to 253 characters"));
    }
    if source.hosts.is_empty() && !source.default {
        let message = format!("zone \"{}\" serves no host; give it hosts, or set default = true", source.name);
        wrong.push(place.key("hosts").error(message));
    }
    let mut hosts = Vec::with_capacity(source.hosts.len());
    for (index, host) in source.hosts.iter().enumerate() {
        let list = place.key("hosts");
        match hosts::pattern(host) {
            Ok(pattern) if hosts.contains(&pattern) => {
                wrong.push(list.index(index).error(format!("host \"{host}\" is given twice; remove one")));
            }
            Ok(pattern) => hosts.push(pattern),
            Err(message) => wrong.push(list.index(index).error(message)),
        }
    }
    origin_faults(&source.origin, &place.key("origin"), wrong);
    let tls = place.key("tls");
    for (index, files) in source.tls.certificates.iter().enumerate() {
        let list = tls.key("certificates");
        let certificate = list.index(index);
        for (key, file) in [("certificate_file", &files.certificate_file), ("key_file", &files.key_file)] {
            if file.is_empty() {
                wrong.push(certificate.key(key).error("the path of a PEM file is missing"));
            }
        }
    }
    if let Some(hsts) = &source.tls.hsts
        && hsts.preload
        && (hsts.max_age_s < 31_536_000 || !hsts.include_subdomains)
    {
        let message =
            "the browsers' preload lists take a host only with max_age_s of 31536000 or more and include_subdomains";
        wrong.push(tls.key("hsts").key("preload").error(message));
    }
    if !(1..=HELD_MAX).contains(&source.body.inspection_limit) {
        let message = format!("inspection_limit is {}; it can be 1 byte to 64 MiB", source.body.inspection_limit);
        wrong.push(place.key("body").key("inspection_limit").error(message));
    }
    if source.body.wait_ms > 600_000 {
        let message = format!("wait_ms is {}; it can be 0 to 600000", source.body.wait_ms);
        wrong.push(place.key("body").key("wait_ms").error(message));
    }
    let phases = compiler.phases(&source.phases, &place.key("phases"), wrong);
    let error_pages = ErrorPages::read(source.error_pages, &place.key("error_pages"), wrong);
    Some(Compiled {
        hsts: source.tls.hsts.as_ref().map(document::Hsts::header),
        name: source.name,
        hosts,
        default: source.default,
        origin: Arc::new(source.origin),
        tls: source.tls,
        normalization: source.normalization,
        body: source.body,
        compression: source.compression,
        ip_geolocation: source.ip_geolocation,
        level: Level { digest, phases, error_pages },
    })
}

fn origin_faults(origin: &crate::origin::Settings, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) {
    for fault in origin.check() {
        let mut diagnostic = place.error(fault.message);
        diagnostic.path.extend(fault.path.into_iter().map(|key| match key {
            Key::Name(name) => name.into(),
            Key::Index(index) => index.into(),
        }));
        wrong.push(diagnostic);
    }
}

/// What does not fit in a zone that cannot be read as a whole: each of its parts is tried by itself.
fn misfits(source: &RawValue, compiler: Compiler<'_>, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) {
    let before = wrong.len();
    let parts: Option<BTreeMap<String, &RawValue>> = serde_json::from_str(source.get()).ok();
    for (key, part) in parts.iter().flatten() {
        let part_place = place.key(key);
        match key.as_str() {
            "origin" => {
                if let Some(origin) = read_raw(part, &part_place, wrong) {
                    origin_faults(&origin, &part_place, wrong);
                }
            }
            "tls" => drop(read_raw::<document::TlsSettings>(part, &part_place, wrong)),
            "normalization" => drop(read_raw::<document::NormalizationSettings>(part, &part_place, wrong)),
            "body" => drop(read_raw::<document::BodySettings>(part, &part_place, wrong)),
            "compression" => drop(read_raw::<document::CompressionSettings>(part, &part_place, wrong)),
            "phases" => {
                let phases: BTreeMap<String, Vec<&RawValue>> = read_raw(part, &part_place, wrong).unwrap_or_default();
                let mut readable = BTreeMap::new();
                for (name, rules) in &phases {
                    let phase_place = part_place.key(name);
                    for (index, rule) in rules.iter().enumerate() {
                        match read_raw::<document::Rule>(rule, &phase_place.index(index), wrong) {
                            Some(rule) => readable.entry(name.clone()).or_insert_with(Vec::new).push(rule),
                            // Places after it would be counted wrongly.
                            None => break,
                        }
                    }
                }
                compiler.phases(&readable, &part_place, wrong);
            }
            _ => {}
        }
    }
    // What is left is a key of the zone itself: unknown, missing or of the wrong type.
    let mut own = Vec::new();
    let _: Option<ZoneSource> = read_raw(source, place, &mut own);
    let (explained, depth) = (wrong.len() > before, place.path().len());
    wrong.extend(own.into_iter().filter(|diagnostic| !explained || diagnostic.path.len() <= depth));
}

fn hosts(zones: &[Option<Arc<Compiled>>], previous: Option<&Policy>, found: &mut Vec<Diagnostic>) -> Arc<HostTable> {
    let same = |previous: &&Policy| {
        previous.zones.len() == zones.len()
            && previous.zones.iter().zip(zones).all(|(before, zone)| {
                zone.as_ref().is_some_and(|zone| {
                    Arc::ptr_eq(&before.compiled, zone)
                        || (before.compiled.hosts == zone.hosts && before.compiled.default == zone.default)
                })
            })
    };
    if let Some(previous) = previous.filter(same) {
        return Arc::clone(&previous.hosts);
    }
    let list = Place::Root.key("zones");
    let name = |index: u32| zones[index as usize].as_ref().map_or("", |zone| zone.name.as_str());
    let mut table = HostTable::default();
    for (index, zone) in zones.iter().enumerate() {
        let Some(zone) = zone else { continue };
        let place = list.index(index);
        for (at, host) in zone.hosts.iter().enumerate() {
            if let Some(other) = table.insert(host, index as u32) {
                let message = format!(
                    "host \"{host}\" is served by zone \"{}\" already; a host belongs to one zone",
                    name(other)
                );
                found.push(place.key("hosts").index(at).error(message));
            }
        }
        if zone.default
            && let Some(other) = table.set_default(index as u32)
        {
            found.push(
                place.key("default").error(format!("zone \"{}\" is the default already; only one can be", name(other))),
            );
        }
    }
    Arc::new(table)
}
