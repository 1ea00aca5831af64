//! The user's databases of addresses: read into memory when a policy is prepared, and again where a file has changed.
//!
//! They are read and not mapped: a file that somebody overwrites in place would take a mapped one away from under the
//! requests that look into it.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use fields::table::Category;
use fields::{Database, FieldId, FieldSet, Geo, TABLE};

use crate::policy::{Diagnostic, Policy, Step};

/// The databases of a policy.
#[derive(Debug, Default)]
pub struct Databases {
    places: Option<Loaded>,
    autonomous_systems: Option<Loaded>,
}

/// A database and the file that it was read from.
#[derive(Clone, Debug)]
struct Loaded {
    file: String,
    stamp: Stamp,
    database: Arc<Database>,
}

/// What tells a file from the one that stood there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Databases {
    /// Reads the databases that the policy names, but for those that `before` has of the same file. What is wrong goes to
    /// `found`: errors, and warnings of rules that read what no database fills.
    pub fn load(policy: &Policy, before: Option<&Self>, found: &mut Vec<Diagnostic>) -> Self {
        let settings = &policy.edge().geo;
        let mut load = |key: &str, file: &Option<String>, before: Option<&Loaded>, fits: fn(&Database) -> bool| {
            let path: [Step; 3] = ["edge".into(), "geo".into(), key.into()];
            let file = file.as_ref()?;
            let loaded = match Loaded::read(file, before) {
                Ok(loaded) => loaded,
                Err(reason) => {
                    found.push(Diagnostic::error(&path, format!("the database {file} cannot be used: {reason}")));
                    return None;
                }
            };
            if !fits(&loaded.database) {
                let kind = loaded.database.kind();
                let message =
                    format!("the database {file} is of the kind {kind}, which may not have what {key} is for");
                found.push(Diagnostic::warning(&path, message));
            }
            Some(loaded)
        };
        let places = before.and_then(|before| before.places.as_ref());
        let systems = before.and_then(|before| before.autonomous_systems.as_ref());
        let loaded = Self {
            places: load("location_file", &settings.location_file, places, Database::has_places),
            autonomous_systems: load("asn_file", &settings.asn_file, systems, Database::has_autonomous_systems),
        };
        found.extend(unfilled(policy));
        loaded
    }

    /// For views to look into; `None` where there is no database.
    pub fn geo(&self) -> Option<Arc<Geo>> {
        let database = |loaded: &Option<Loaded>| loaded.as_ref().map(|loaded| Arc::clone(&loaded.database));
        let geo = Geo { places: database(&self.places), autonomous_systems: database(&self.autonomous_systems) };
        (geo.places.is_some() || geo.autonomous_systems.is_some()).then(|| Arc::new(geo))
    }
}

impl Loaded {
    fn read(file: &str, before: Option<&Self>) -> Result<Self, String> {
        let said = |error: io::Error| error.to_string();
        let mut opened = File::open(file).map_err(said)?;
        let stamp = Stamp::of(&opened.metadata().map_err(said)?);
        if let Some(same) = before.filter(|before| before.file == file && before.stamp == stamp) {
            return Ok(same.clone());
        }
        let mut bytes = Vec::with_capacity(stamp.bytes as usize);
        opened.read_to_end(&mut bytes).map_err(said)?;
        Ok(Self { file: file.to_owned(), stamp, database: Arc::new(Database::read(bytes)?) })
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// A warning of each rule that reads what no database fills.
fn unfilled(policy: &Policy) -> Vec<Diagnostic> {
    let settings = &policy.edge().geo;
    let lacks = |field: FieldId| match field {
        FieldId::SourceAsn => settings.asn_file.is_none(),
        field => field.field().category == Category::Geolocation && settings.location_file.is_none(),
    };
    let lacking: FieldSet = TABLE.iter().map(|field| field.id).filter(|field| lacks(*field)).collect();
    let warning = |(place, fields): (Vec<Step>, FieldSet)| {
        let names: Vec<_> = fields.iter().map(FieldId::name).collect();
        let keys = match (fields.contains(FieldId::SourceAsn), names.len()) {
            (true, 1) => "asn_file",
            (true, _) => "asn_file and location_file",
            (false, _) => "location_file",
        };
        let message = format!(
            "{} {} no value without a database of addresses; set {keys} in [edge.geo]",
            names.join(", "),
            if names.len() == 1 { "has" } else { "have" }
        );
        Diagnostic::warning(&place, message)
    };
    policy.readers(lacking).into_iter().map(warning).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::mmdb;
    use crate::policy::Severity;

    fn policy(geo: &Value, expressions: &[&str]) -> Arc<Policy> {
        let rule = |(index, expression): (usize, &&str)| json!({"id": format!("{index:032x}"), "expression": expression, "action": "log"});
        let rules: Vec<_> = expressions.iter().enumerate().map(rule).collect();
        let zone = json!({
            "name": "shop", "hosts": ["shop.example"], "origin": {"servers": [{"url": "http://127.0.0.1:9"}]},
            "phases": {"http_request_firewall_custom": rules},
        });
        let edge = json!({"listen": [{"address": "127.0.0.1:0"}], "spool": {"dir": "/nowhere"}, "geo": geo});
        let document = json!({"format": 1, "version": 1, "edge": edge, "zones": [zone]});
        Policy::compile(document.to_string().as_bytes(), None).unwrap().0
    }

    fn said(found: &[Diagnostic]) -> Vec<(bool, String)> {
        found.iter().map(|one| (one.severity == Severity::Warning, one.to_string())).collect()
    }

    #[test]
    fn a_database_is_read_again_when_its_file_has_changed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("asn.mmdb");
        let write = |number| {
            let new = directory.path().join("new");
            let system = mmdb::database("GeoLite2-ASN", &[("192.0.2.0/24", mmdb::autonomous_system(number))]);
            std::fs::write(&new, system).unwrap();
            std::fs::rename(new, &file).unwrap();
        };
        let cities = directory.path().join("city.mmdb");
        let city = mmdb::database("GeoLite2-City", &[("192.0.2.0/24", mmdb::city("GB", false, "London"))]);
        std::fs::write(&cities, city).unwrap();
        let rules = ["ip.src.asnum eq 64496", r#"ip.src.city eq "London""#];
        let policy = policy(&json!({"asn_file": file, "location_file": cities}), &rules);
        let database = |databases: &Databases| Arc::clone(&databases.autonomous_systems.as_ref().unwrap().database);
        let mut found = Vec::new();
        write(64_496);
        let first = Databases::load(&policy, None, &mut found);
        let same = Databases::load(&policy, Some(&first), &mut found);
        assert!(Arc::ptr_eq(&database(&first), &database(&same)));
        write(64_497);
        let second = Databases::load(&policy, Some(&same), &mut found);
        assert!(!Arc::ptr_eq(&database(&same), &database(&second)));
        let places = |databases: &Databases| databases.geo().unwrap().places.clone().unwrap();
        assert!(Arc::ptr_eq(&places(&same), &places(&second)));
        assert_eq!(said(&found), []);
    }

    #[test]
    fn a_database_that_cannot_be_used_is_an_error_and_one_of_another_kind_a_warning() {
        let directory = tempfile::tempdir().unwrap();
        let (text, asn) = (directory.path().join("text"), directory.path().join("asn"));
        std::fs::write(&text, "no database").unwrap();
        std::fs::write(&asn, mmdb::database("GeoLite2-ASN", &[])).unwrap();
        let mut found = Vec::new();
        let loaded = Databases::load(&policy(&json!({"location_file": asn, "asn_file": text}), &[]), None, &mut found);
        let [(true, kind), (false, unusable)] = &said(&found)[..] else { panic!("{found:?}") };
        assert!(kind.contains("is of the kind GeoLite2-ASN, which may not have what location_file is for"), "{kind}");
        assert!(unusable.starts_with("edge.geo.asn_file: the database ") && unusable.contains(" cannot be used: "));
        assert!(loaded.autonomous_systems.is_none() && loaded.places.is_some());
        found.clear();
        let none = Databases::load(&policy(&json!({"location_file": "/nowhere"}), &[]), None, &mut found);
        assert!(said(&found)[0].1.contains("No such file") && none.geo().is_none());
    }

    #[test]
    fn a_rule_that_reads_what_no_database_fills_is_warned_of() {
        let rules = [
            r#"http.host eq "a""#,
            r#"ip.src.country eq "GB" and ip.geoip.asnum eq 64496"#,
            "ip.src.asnum eq 64496",
            "ip.src.is_in_european_union",
        ];
        let mut found = Vec::new();
        Databases::load(&policy(&json!({}), &rules), None, &mut found);
        let phase = "zones[0].phases.http_request_firewall_custom";
        let way_out = "without a database of addresses; set";
        let expected = [
            format!(
                "{phase}[1]: ip.src.asnum, ip.src.country have no value {way_out} asn_file and location_file in [edge.geo]"
            ),
            format!("{phase}[2]: ip.src.asnum has no value {way_out} asn_file in [edge.geo]"),
            format!("{phase}[3]: ip.src.is_in_european_union has no value {way_out} location_file in [edge.geo]"),
        ];
        assert_eq!(said(&found), expected.map(|text| (true, text)));
    }
}
