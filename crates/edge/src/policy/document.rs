//! The policy document: the JSON that Python writes and this crate reads.
//!
//! Each part is a type of its own and refuses keys that it does not know, so that a misspelt setting is an error and not a
//! silence. Values are read into the types that the edge works with (a port is a `u16`, an address a `SocketAddr`); what
//! only makes sense between parts is checked in [`super::compile`]. Units stand in the names: `_s` seconds, `_ms`
//! milliseconds, `_bytes` bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use fields::Normalization;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::limits::Limits;
use crate::origin;
use crate::pseudonym::ClientAddress;
use redact::SecretNames;

/// The version of the document's form that this build reads.
pub const FORMAT: u64 = 1;

/// The whole document, with the parts that are compared before they are read still as text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document<'a> {
    pub format: u64,
    pub version: u64,
    #[serde(borrow)]
    pub edge: &'a RawValue,
    #[serde(borrow, default)]
    pub lists: BTreeMap<Cow<'a, str>, &'a RawValue>,
    #[serde(borrow, default)]
    pub rulesets: BTreeMap<Cow<'a, str>, &'a RawValue>,
    #[serde(borrow, default)]
    pub account: Option<&'a RawValue>,
    #[serde(borrow)]
    pub zones: Vec<&'a RawValue>,
}

/// What belongs to the edge as a whole and not to a zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeSettings {
    /// The addresses to listen on.
    pub listen: Vec<Listen>,
    /// Networks whose `X-Forwarded-For` and PROXY headers are believed, as CIDR prefixes or addresses.
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
    /// The code after the dash of a Ray ID, and `cf.edge.colo`-like columns: three letters naming the place.
    #[serde(default = "default_colo")]
    pub colo: String,
    /// Worker threads; 0 is one for each core.
    #[serde(default)]
    pub threads: usize,
    /// Every deadline and cap.
    #[serde(default)]
    pub limits: Limits,
    /// Databases of addresses.
    #[serde(default)]
    pub geo: GeoSettings,
    /// Where events go.
    pub spool: SpoolSettings,
    /// What events keep.
    #[serde(default)]
    pub events: EventSettings,
}

/// What events keep of a request, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventSettings {
    /// How the addresses of clients are kept.
    pub client_ip: ClientAddress,
    /// Whether the values of secret parameters are taken out of URLs, and those that rules of the WAF matched are not kept.
    pub redact: bool,
    /// Parameters that are secret beside those that are named like it.
    pub secret_parameters: SecretNames,
    /// Days that rows are kept; the event store's business, like those of single columns.
    pub retention_days: u32,
    /// Days that the values of a column are kept, where they are fewer.
    pub retention: BTreeMap<String, u32>,
}

/// Databases of addresses in the `MaxMind` DB format, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeoSettings {
    /// Of cities or countries.
    pub location_file: Option<String>,
    /// Of autonomous systems.
    pub asn_file: Option<String>,
}

/// One listening socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Address and port; port 0 asks the system for a free one.
    pub address: SocketAddr,
    /// Whether TLS is spoken here.
    #[serde(default)]
    pub tls: bool,
    /// Whether each connection must begin with a PROXY protocol header.
    #[serde(default)]
    pub proxy_protocol: bool,
}

/// Where and in what portions events are written, what they may take, and when they are forced to the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpoolSettings {
    /// The directory of the segments.
    pub dir: String,
    /// A segment is closed at this size.
    #[serde(default = "default_segment_bytes")]
    pub segment_bytes: u64,
    /// A segment is closed at this age.
    #[serde(default = "default_segment_s")]
    pub segment_seconds: u64,
    /// What all segments may take together.
    #[serde(default = "default_spool_bytes")]
    pub max_bytes: u64,
    /// When rows are forced to the disk.
    #[serde(default)]
    pub fsync: FsyncPolicy,
    /// How often, with [`FsyncPolicy::Interval`].
    #[serde(default = "default_fsync_ms")]
    pub fsync_interval_ms: u64,
}

/// When the spool is forced to the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FsyncPolicy {
    /// After every write.
    Always,
    /// By the clock.
    #[default]
    Interval,
    /// Left to the system.
    Never,
}

/// A named list that expressions reach as `$name`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List<'a> {
    pub kind: String,
    /// An array, see [`super::lists`].
    #[serde(borrow)]
    pub items: &'a RawValue,
}

/// A string of the document that is borrowed where it holds no escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// A ruleset that `execute` reaches by its id: rules of the edge, or `SecLang`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ruleset {
    /// For people; events name the rules.
    pub name: String,
    pub phase: String,
    #[serde(default)]
    pub rules: Vec<Rule>,
    #[serde(default)]
    pub seclang: Option<SecLang>,
}

/// Whether a ruleset is of `SecLang`, asked of its text before it is read.
#[derive(Deserialize)]
pub(super) struct Kind<'a> {
    #[serde(borrow, default)]
    pub seclang: Option<&'a RawValue>,
}

/// A rule set of the `ModSecurity` rule language with all the files that it reads.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecLang {
    pub paranoia_level: u8,
    /// What stands before the directive that sets the paranoia level.
    pub before: String,
    /// What stands after it.
    pub after: String,
    pub files: BTreeMap<String, FileContent>,
    /// Files that are not read, and why.
    #[serde(default)]
    pub left_out: BTreeMap<String, String>,
}

/// A file of a rule set.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum FileContent {
    /// UTF-8, as most are.
    Text(String),
    /// Each character is a byte.
    Bytes { latin1: String },
}

impl FileContent {
    /// What is in the file, if it can be.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.clone().into_bytes()),
            Self::Bytes { latin1 } => latin1.chars().map(|byte| u8::try_from(byte).ok()).collect(),
        }
    }
}

/// What holds for all zones: rules by phase, and HTML in the place of errors by their type.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Account {
    #[serde(default)]
    pub phases: BTreeMap<String, Vec<Rule>>,
    #[serde(default)]
    pub error_pages: BTreeMap<String, String>,
}

/// One rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub id: String,
    #[serde(default, rename = "ref")]
    pub reference: Option<String>,
    #[serde(default)]
    pub description: String,
    pub expression: String,
    pub action: String,
    #[serde(default)]
    pub action_parameters: Option<serde_json::Value>,
    #[serde(default)]
    pub logging: Option<Logging>,
    #[serde(default)]
    pub categories: Vec<String>,
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// Whether a rule with the action `skip` leaves a trace.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Logging {
    pub enabled: bool,
}

/// One zone as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ZoneSource {
    pub name: String,
    #[serde(default)]
    pub hosts: Vec<String>,
    #[serde(default)]
    pub default: bool,
    pub origin: origin::Settings,
    #[serde(default)]
    pub tls: TlsSettings,
    #[serde(default)]
    pub normalization: NormalizationSettings,
    #[serde(default)]
    pub body: BodySettings,
    #[serde(default)]
    pub compression: CompressionSettings,
    #[serde(default = "yes")]
    pub ip_geolocation: bool,
    /// HTML in the place of errors, by their type.
    #[serde(default)]
    pub error_pages: BTreeMap<String, String>,
    #[serde(default)]
    pub phases: BTreeMap<String, Vec<Rule>>,
}

/// TLS towards clients.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// PEM files; the zone's hosts are served with the first that covers them.
    pub certificates: Vec<CertificateFiles>,
    /// The oldest version accepted.
    pub min_version: TlsVersion,
    /// Whether plain HTTP is answered with a redirect to HTTPS.
    pub https_redirect: bool,
    /// HTTP Strict Transport Security (RFC 6797); not sent where absent.
    pub hsts: Option<Hsts>,
}

/// A certificate chain and its key, by path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// PEM, leaf first.
    pub certificate_file: String,
    /// PEM.
    pub key_file: String,
}

/// A TLS version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    #[serde(rename = "1.3")]
    Tls13,
}

/// The parameters of `Strict-Transport-Security`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hsts {
    /// How long a browser remembers.
    pub max_age_s: u64,
    /// Whether it holds for all hosts below.
    #[serde(default)]
    pub include_subdomains: bool,
    /// Whether the owner agrees to the browsers' preload lists.
    #[serde(default)]
    pub preload: bool,
}

impl Hsts {
    /// The value of the header (RFC 6797 §6.1).
    pub(super) fn header(&self) -> String {
        let subdomains = if self.include_subdomains { "; includeSubDomains" } else { "" };
        let preload = if self.preload { "; preload" } else { "" };
        format!("max-age={}{subdomains}{preload}", self.max_age_s)
    }
}

/// URL normalisation of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NormalizationSettings {
    /// What rules and routing see.
    #[serde(with = "normalization")]
    pub incoming: Normalization,
    /// Whether the origin gets the normalised form too.
    pub to_origin: bool,
}

/// How a zone holds request bodies for inspection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BodySettings {
    /// Bytes held at most.
    pub inspection_limit: usize,
    /// Time waited for the body at most.
    pub wait_ms: u64,
    /// What happens to a body that is longer; nothing where the zone does not say.
    pub past_limit: Option<PastLimit>,
}

impl BodySettings {
    /// What happens to a body that is longer.
    pub fn past_limit(&self) -> PastLimit {
        self.past_limit.unwrap_or_default()
    }
}

/// What happens to a body past the inspection limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PastLimit {
    /// Rules see the beginning, and `http.request.body.truncated` is true.
    #[default]
    InspectPrefix,
    /// 413.
    Reject,
}

/// Compression of responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompressionSettings {
    /// Whether the edge compresses at all.
    pub enabled: bool,
    /// Responses known to be shorter are left alone.
    pub min_bytes: u64,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self {
            client_ip: ClientAddress::default(),
            redact: true,
            secret_parameters: SecretNames::default(),
            retention_days: 30,
            retention: BTreeMap::new(),
        }
    }
}

impl Default for NormalizationSettings {
    fn default() -> Self {
        Self { incoming: Normalization::Cloudflare, to_origin: false }
    }
}

impl Default for BodySettings {
    fn default() -> Self {
        Self { inspection_limit: 128 << 10, wait_ms: 1_000, past_limit: None }
    }
}

impl Default for CompressionSettings {
    fn default() -> Self {
        Self { enabled: true, min_bytes: 1_024 }
    }
}

mod normalization {
    use fields::Normalization;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    // The signature is serde's.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub fn serialize<S: Serializer>(value: &Normalization, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(value.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Normalization, D::Error> {
        let name = String::deserialize(deserializer)?;
        Normalization::by_name(&name).ok_or_else(|| {
            D::Error::custom(format!("\"{name}\" is no way to normalise a URL; choose cloudflare, rfc3986 or none"))
        })
    }
}

fn yes() -> bool {
    true
}

fn default_colo() -> String {
    "LOC".to_owned()
}

fn default_segment_bytes() -> u64 {
    64 << 20
}

fn default_segment_s() -> u64 {
    60
}

fn default_spool_bytes() -> u64 {
    4 << 30
}

fn default_fsync_ms() -> u64 {
    1000
}
