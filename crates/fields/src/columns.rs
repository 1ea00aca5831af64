//! The event tables: what the edge writes about every request, every rule that acted and every refusal.
//!
//! One source for the edge (typed column indices), the spool (the schema in every segment), ClickHouse (the tables) and the
//! documentation. Names and meaning are those of Cloudflare's Logpush datasets `http_requests` and `firewall_events`
//! (<https://developers.cloudflare.com/logs/logpush/logpush-job/datasets/>); a column that Logpush has no name for starts
//! with `Bartizan`, but for `ZoneName` and `SampleInterval`, which are Cloudflare's names in other datasets and in its
//! GraphQL analytics. What Logpush documents and this edge does not fill stands in [`ABSENT`], with the reason.
//!
//! Columns are set in the order of this page:
//!
//! ```
//! use fields::columns::{HttpRequests, http_requests};
//!
//! let mut buffer = Vec::new();
//! let mut row = spool::RowWriter::<HttpRequests>::new(&mut buffer);
//! row.set(http_requests::EDGE_START_TIMESTAMP, std::time::SystemTime::now());
//! row.set(http_requests::RAY_ID, "9f1c2d3e4a5b6c7d");
//! row.set_some(http_requests::JA4, None::<&str>);
//! row.set(http_requests::SAMPLE_INTERVAL, 1u32);
//! let _row = row.finish();
//! ```

use spool::{Column, ColumnType, Index, Table, TableMarker, kind};

use crate::table::Lack;

macro_rules! table {
    (
        $(#[$table_doc:meta])*
        $marker:ident = $position:literal, $module:ident, $name:literal;
        $($column:ident: $kind:ident = $spelling:literal, $summary:literal $(, partly $difference:literal)?;)*
    ) => {
        $(#[$table_doc])*
        #[derive(Debug)]
        pub struct $marker;

        impl TableMarker for $marker {
            const POSITION: u8 = $position;
            const COLUMNS: u16 = $module::COLUMNS.len() as u16;
        }

        $(#[$table_doc])*
        pub mod $module {
            use super::{Column, ColumnType, Index, kind, $marker};

            #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
            enum Place { $($column,)* }

            $(#[doc = concat!("`", $spelling, "`: ", $summary)]
            pub const $column: Index<$marker, kind::$kind> = Index::new(Place::$column as u16);)*

            /// The columns in row order.
            pub static COLUMNS: &[Column] = &[$(Column::new($spelling, ColumnType::$kind, $summary),)*];

            /// The columns that differ from the documented field of their name, and in what.
            pub static DIFFERENCES: &[(&str, &str)] = &[$($(($spelling, $difference),)?)*];

            /// The table's name.
            pub const NAME: &str = $name;
        }
    };
}

table! {
    /// One row per request that was parsed.
    HttpRequests = 0, http_requests, "http_requests";

    EDGE_START_TIMESTAMP: Timestamp = "EdgeStartTimestamp", "When the first byte of the request arrived.";
    EDGE_END_TIMESTAMP: Timestamp = "EdgeEndTimestamp", "When the last byte of the response was handed to the client's connection, or the exchange was given up.";
    RAY_ID: Text = "RayID", "The request's identifier, as in the CF-Ray header without the place.";
    ZONE_NAME: Label = "ZoneName", "Name of the zone that the host belongs to.";
    CLIENT_IP: Ip = "ClientIP", "Address of the client, read behind trusted proxies; whole, cut or hashed, as the site file says.";
    CLIENT_ASN: UInt32 = "ClientASN", "Number of the autonomous system that announces the client's address, from the site's database; 0 if unknown.";
    CLIENT_COUNTRY: Label = "ClientCountry", "Country of the client's address, two small letters (ISO 3166-1), from the site's database.";
    CLIENT_REGION_CODE: Label = "ClientRegionCode", "First subdivision of that country (ISO 3166-2), without the country.";
    CLIENT_CITY: Label = "ClientCity", "City of the client's address, in English.";
    CLIENT_LATITUDE: Label = "ClientLatitude", "Latitude of the client's address in degrees.";
    CLIENT_LONGITUDE: Label = "ClientLongitude", "Longitude of the client's address in degrees.";
    CLIENT_SRC_PORT: UInt16 = "ClientSrcPort", "Source port of the client's connection.";
    CLIENT_TCP_RTT_MS: UInt32 = "ClientTCPRTTMs", "Round-trip time of the client's connection as the system smooths it, in milliseconds.", partly "measured once, when the connection was accepted, for its later requests too";
    CLIENT_REQUEST_SOURCE: Label = "ClientRequestSource", "Where the request came from.", partly "always eyeball: this edge makes no requests of its own that it serves";
    CLIENT_REQUEST_METHOD: Label = "ClientRequestMethod", "Method of the request.";
    CLIENT_REQUEST_HOST: Label = "ClientRequestHost", "Host that was asked for, without the port.";
    CLIENT_REQUEST_PATH: Text = "ClientRequestPath", "Path that was asked for, without the query.";
    CLIENT_REQUEST_URI: Text = "ClientRequestURI", "Path and query that were asked for, without the values of secret parameters.";
    CLIENT_REQUEST_SCHEME: Label = "ClientRequestScheme", "http or https.";
    CLIENT_REQUEST_PROTOCOL: Label = "ClientRequestProtocol", "HTTP/1.0, HTTP/1.1 or HTTP/2.";
    CLIENT_REQUEST_REFERER: Text = "ClientRequestReferer", "The Referer header, without user information and the values of secret parameters.";
    CLIENT_REQUEST_USER_AGENT: Text = "ClientRequestUserAgent", "The User-Agent header.";
    CLIENT_X_REQUESTED_WITH: Label = "ClientXRequestedWith", "The X-Requested-With header.";
    CLIENT_REQUEST_BYTES: UInt64 = "ClientRequestBytes", "Bytes of the request: head and body as received.";
    CLIENT_SSL_PROTOCOL: Label = "ClientSSLProtocol", "TLS version of the client's connection, none without TLS.";
    CLIENT_SSL_CIPHER: Label = "ClientSSLCipher", "Cipher suite of the client's connection, NONE without TLS.";
    JA3_HASH: Label = "JA3Hash", "JA3 fingerprint of the client's TLS hello, MD5 in hex.";
    JA4: Label = "JA4", "JA4 fingerprint of the client's TLS hello.";
    EDGE_SERVER_PORT: UInt16 = "BartizanEdgeServerPort", "Port of this edge that the client connected to.";
    EDGE_COLO_CODE: Label = "EdgeColoCode", "The place of this edge as its operator named it.";
    EDGE_PATHING_OP: Label = "EdgePathingOp", "What became of the request: wl (let through), ban (a rule answered it), errHost (there was no origin to pass it on to).", partly "wl, ban and errHost only";
    EDGE_PATHING_SRC: Label = "EdgePathingSrc", "What decided that: macro (nothing objected), filterBasedFirewall (a rule), err.", partly "macro, filterBasedFirewall and err only";
    EDGE_PATHING_STATUS: Label = "EdgePathingStatus", "Why: nr, or for errHost cyclic, badHost or noExistingHost.", partly "there is no reputation of addresses, so of its classes there is nr alone";
    EDGE_REQUEST_HOST: Label = "EdgeRequestHost", "The Host that the origin was sent; none if it was not asked.";
    EDGE_SERVER_IP: Ip = "EdgeServerIP", "Address from which this edge asked the origin.";
    EDGE_RESPONSE_STATUS: UInt16 = "EdgeResponseStatus", "Status that the client was sent; 0 if none was.";
    EDGE_RESPONSE_BYTES: UInt64 = "EdgeResponseBytes", "Bytes of the response: head and body as sent.";
    EDGE_RESPONSE_BODY_BYTES: UInt64 = "EdgeResponseBodyBytes", "Bytes of the response's body as sent.";
    EDGE_RESPONSE_CONTENT_TYPE: Label = "EdgeResponseContentType", "The Content-Type of the response.";
    EDGE_RESPONSE_COMPRESSION_RATIO: Float64 = "EdgeResponseCompressionRatio", "Size before compression over size after it, where this edge compressed.";
    EDGE_TIME_TO_FIRST_BYTE_MS: UInt32 = "EdgeTimeToFirstByteMs", "From the first byte of the request to the first byte of the response, in milliseconds.", partly "counted from the request, not from the connection: the TLS handshake is not in it";
    ORIGIN_IP: Ip = "OriginIP", "Address of the origin server.";
    ORIGIN_RESPONSE_STATUS: UInt16 = "OriginResponseStatus", "Status that the origin answered; 0 if it did not answer or was not asked.";
    ORIGIN_RESPONSE_BYTES: UInt64 = "OriginResponseBytes", "Bytes of the origin's response: head and content.", partly "deprecated by Cloudflare; without what frames the content";
    ORIGIN_RESPONSE_HTTP_EXPIRES: Label = "OriginResponseHTTPExpires", "The Expires header of the origin, if it is a date.";
    ORIGIN_RESPONSE_HTTP_LAST_MODIFIED: Label = "OriginResponseHTTPLastModified", "The Last-Modified header of the origin, if it is a date.";
    ORIGIN_RESPONSE_TIME: UInt64 = "OriginResponseTime", "What OriginResponseDurationMs says, in nanoseconds.";
    ORIGIN_RESPONSE_DURATION_MS: UInt32 = "OriginResponseDurationMs", "From choosing an origin to the end of its response head, connecting included, in milliseconds.";
    ORIGIN_RESPONSE_HEADER_RECEIVE_DURATION_MS: UInt32 = "OriginResponseHeaderReceiveDurationMs", "From the request's head being sent to the response's head being read, in milliseconds.";
    ORIGIN_REQUEST_HEADER_SEND_DURATION_MS: UInt32 = "OriginRequestHeaderSendDurationMs", "Time to send the request's head to the origin, in milliseconds.";
    ORIGIN_TCP_HANDSHAKE_DURATION_MS: UInt32 = "OriginTCPHandshakeDurationMs", "Time to connect to the origin, in milliseconds; 0 for a pooled connection.";
    ORIGIN_TLS_HANDSHAKE_DURATION_MS: UInt32 = "OriginTLSHandshakeDurationMs", "Time for TLS with the origin, in milliseconds; 0 for a pooled connection.";
    ORIGIN_DNS_RESPONSE_TIME_MS: UInt32 = "OriginDNSResponseTimeMs", "Time to resolve the origin's name, in milliseconds; 0 where it was known.";
    ORIGIN_SSL_PROTOCOL: Label = "OriginSSLProtocol", "TLS version of the connection to the origin, none without TLS.";
    SECURITY_ACTION: Label = "SecurityAction", "Action of the rule that ended the request, if one did.";
    SECURITY_ACTIONS: Labels = "SecurityActions", "Actions of the rules that acted, in the order of SecurityRuleIDs.";
    SECURITY_RULE_ID: Label = "SecurityRuleID", "Identifier of the rule that ended the request, if one did.";
    SECURITY_RULE_IDS: Labels = "SecurityRuleIDs", "Identifiers of the rules that acted.";
    SECURITY_RULE_DESCRIPTION: Label = "SecurityRuleDescription", "Description of the rule that ended the request, if one did.";
    SECURITY_SOURCES: Labels = "SecuritySources", "Products of the rules that acted, in the order of SecurityRuleIDs.";
    SAMPLE_INTERVAL: UInt32 = "SampleInterval", "How many requests the row stands for; sums weight by it.";
    HTTP2_FINGERPRINT: Label = "BartizanHTTP2Fingerprint", "Fingerprint of the client's HTTP/2 preface in Akamai's form.";
    POLICY_VERSION: UInt64 = "BartizanPolicyVersion", "Version of the policy that decided.";
    OUTCOME: Label = "BartizanOutcome", "How the exchange ended: ok, blocked, client_gone, origin_error, and so on.";
    ORIGIN_ERROR: Text = "BartizanOriginError", "What went wrong with the origin, in words; none if nothing did.";
    ORIGIN_TRIES: UInt16 = "BartizanOriginTries", "How many origin connections were tried.";
    TRACE_ID: Text = "BartizanTraceID", "The trace that the client says the request belongs to, 32 hexadecimal digits of its traceparent header (W3C Trace Context).";
    PARENT_SPAN_ID: Text = "BartizanParentSpanID", "The client's part of that trace, 16 hexadecimal digits of the same header.";
    REQUEST_HEADERS: Json = "RequestHeaders", "Request headers that a rule with the action log_custom_field names.";
    RESPONSE_HEADERS: Json = "ResponseHeaders", "Response headers that such a rule names.";
    COOKIES: Json = "Cookies", "Cookies of the request that such a rule names.";
    WAF_SCORE: UInt32 = "BartizanWAFScore", "The anomaly score that a rule set in the ModSecurity rule language gave the request; 0 if none judged it.";
    WAF_OUTBOUND_SCORE: UInt32 = "BartizanWAFOutboundScore", "The anomaly score that such a rule set gave the response.";
    WAF_RULE_IDS: Labels = "BartizanWAFRuleIDs", "Numbers of the rules of such rule sets that matched and say so, also where nothing was done about it.";
    WAF_MATCHES: Json = "BartizanWAFMatches", "What those rules say and where they matched, by their numbers; values only where events.redact is off.";
}

table! {
    /// One row per rule that acted on a request.
    FirewallEvents = 1, firewall_events, "firewall_events";

    DATETIME: Timestamp = "Datetime", "When the rule acted.";
    RAY_ID: Text = "RayID", "Identifier of the request.";
    ZONE_NAME: Label = "ZoneName", "Name of the zone that the host belongs to.";
    ACTION: Label = "Action", "What the rule did: block, log, skip and so on.";
    SOURCE: Label = "Source", "Product that the rule belongs to: firewallCustom and so on.";
    KIND: Label = "Kind", "Kind of the event: firewall.";
    RULE_ID: Label = "RuleID", "Identifier of the rule.";
    REF: Label = "Ref", "The rule's name given by its author, stable across edits.";
    DESCRIPTION: Label = "Description", "The rule's description.";
    MATCH_INDEX: UInt32 = "MatchIndex", "Place of the rule among those that matched: 0 is the last.";
    CLIENT_IP: Ip = "ClientIP", "Address of the client, read behind trusted proxies; whole, cut or hashed, as the site file says.";
    CLIENT_ASN: UInt32 = "ClientASN", "Number of the autonomous system that announces the client's address, from the site's database; 0 if unknown.";
    CLIENT_ASN_DESCRIPTION: Label = "ClientASNDescription", "Who runs that autonomous system.";
    CLIENT_COUNTRY: Label = "ClientCountry", "Country of the client's address, two small letters (ISO 3166-1), from the site's database.";
    CLIENT_REQUEST_METHOD: Label = "ClientRequestMethod", "Method of the request.";
    CLIENT_REQUEST_HOST: Label = "ClientRequestHost", "Host that was asked for, without the port.";
    CLIENT_REQUEST_PATH: Text = "ClientRequestPath", "Path that was asked for, without the query.";
    CLIENT_REQUEST_QUERY: Text = "ClientRequestQuery", "Query that was asked for, with its question mark, without the values of secret parameters.";
    CLIENT_REQUEST_SCHEME: Label = "ClientRequestScheme", "http or https.";
    CLIENT_REQUEST_PROTOCOL: Label = "ClientRequestProtocol", "HTTP/1.0, HTTP/1.1 or HTTP/2.";
    CLIENT_REQUEST_USER_AGENT: Text = "ClientRequestUserAgent", "The User-Agent header.";
    CLIENT_REFERER_SCHEME: Label = "ClientRefererScheme", "Scheme of the Referer header.";
    CLIENT_REFERER_HOST: Text = "ClientRefererHost", "Host of the Referer header.";
    CLIENT_REFERER_PATH: Text = "ClientRefererPath", "Path of the Referer header.";
    CLIENT_REFERER_QUERY: Text = "ClientRefererQuery", "Query of the Referer header, with its question mark, without the values of secret parameters.";
    EDGE_COLO_CODE: Label = "EdgeColoCode", "The place of this edge as its operator named it.";
    EDGE_RESPONSE_STATUS: UInt16 = "EdgeResponseStatus", "Status that the client was sent; 0 if not known when the rule acted.";
    ORIGIN_RESPONSE_STATUS: UInt16 = "OriginResponseStatus", "Status that the origin answered; 0 if it did not answer or was not asked.";
    SAMPLE_INTERVAL: UInt32 = "SampleInterval", "How many events the row stands for; sums weight by it.";
    POLICY_VERSION: UInt64 = "BartizanPolicyVersion", "Version of the policy that decided.";
    METADATA: Json = "Metadata", "What a rule set in the ModSecurity rule language decided by: the rule set, its rule, scores and thresholds.", partly "Cloudflare's own keys are those of its products";
}

table! {
    /// Sampled rows about what was refused before a request could be parsed; the metrics have the whole count.
    BartizanRefusals = 2, bartizan_refusals, "bartizan_refusals";

    DATETIME: Timestamp = "Datetime", "When the refusal happened.";
    REASON: Label = "Reason", "Why: the name that the metric carries too.";
    CLIENT_IP: Ip = "ClientIP", "Address of the client of the sampled refusal; whole, cut or hashed, as the site file says.";
    CLIENT_IP_PREFIX: Label = "ClientIPPrefix", "What refusals are counted by: the IPv4 address, or the IPv6 /64; cut or hashed as ClientIP is.";
    EDGE_SERVER_PORT: UInt16 = "BartizanEdgeServerPort", "Port of this edge that the client connected to.";
    EDGE_RESPONSE_STATUS: UInt16 = "EdgeResponseStatus", "Status that the client was sent; 0 if the connection was closed without one.";
    SAMPLE_INTERVAL: UInt32 = "SampleInterval", "How many refusals the row stands for; sums weight by it.";
}

/// The tables in the order in which segments name them.
pub static TABLES: [Table; 3] = [
    Table::from_static(http_requests::NAME, http_requests::COLUMNS),
    Table::from_static(firewall_events::NAME, firewall_events::COLUMNS),
    Table::from_static(bartizan_refusals::NAME, bartizan_refusals::COLUMNS),
];

/// The columns of each table that differ from the documented field of their name, and in what.
pub static DIFFERENCES: [(&str, &[(&str, &str)]); 3] = [
    (http_requests::NAME, http_requests::DIFFERENCES),
    (firewall_events::NAME, firewall_events::DIFFERENCES),
    (bartizan_refusals::NAME, bartizan_refusals::DIFFERENCES),
];

/// A field that Logpush documents and no row of ours has.
#[derive(Debug)]
pub struct Absent {
    /// The table whose dataset has it.
    pub table: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its documented type.
    pub kind: &'static str,
    /// Why it is not here.
    pub lack: Lack,
}

const fn later(product: &'static str, reason: &'static str) -> Lack {
    Lack { product: Some(product), reason }
}

const fn never(reason: &'static str) -> Lack {
    Lack { product: None, reason }
}

const API_SHIELD: Lack = later("api_shield", "it belongs to API Shield, which is not built yet");
const BOTS: Lack = later("bots", "it belongs to bot detection, which is not built yet");
const CERTIFICATES: Lack = later("edge", "clients are not asked for certificates yet");
const CHALLENGES: Lack = later("turnstile", "it belongs to challenges, which are not built yet");
const INTEL: Lack = later("intel", "it belongs to threat intelligence, which is not built yet");
const LEAKED: Lack = later("waf", "it belongs to the check for leaked credentials, which is not built yet");
const PROMPTS: Lack = later("waf", "it belongs to the detection of prompts, which is not built yet");
const SCAN: Lack = later("safety", "it belongs to the scanning of content, which is not built yet");
const WAF: Lack = later("waf", "it belongs to the WAF's scores by machine learning, which are not built yet");
const AGENTS: Lack = later("bots", "what a User-Agent says of the device is not read yet");
const CACHE: Lack = never("this edge is no cache");
const FRAUD: Lack = never("it is of Cloudflare's fraud detection");
const NETWORK: Lack = never("it is of Cloudflare's network of data centres");
const OBSOLETE: Lack = never("it is of a firewall that Cloudflare has given up");
const CRAWLERS: Lack = never("crawlers are not charged here");
const WORKERS: Lack = never("no scripts run on this edge");

macro_rules! absent {
    ($($table:ident: $($name:literal $kind:literal $lack:ident;)*)*) => {
        /// The documented fields that are in no row, with their type as Logpush has it.
        pub static ABSENT: &[Absent] =
            &[$($(Absent { table: $table::NAME, name: $name, kind: $kind, lack: $lack },)*)*];
    };
}

absent! {
    http_requests:
        "BotDetectionIDs" "array[int]" BOTS;
        "BotDetectionTags" "array[string]" BOTS;
        "BotScore" "int" BOTS;
        "BotScoreSrc" "string" BOTS;
        "BotTags" "array[string]" BOTS;
        "CacheCacheStatus" "string" CACHE;
        "CacheReserveUsed" "bool" CACHE;
        "CacheResponseBytes" "int" CACHE;
        "CacheResponseStatus" "int" CACHE;
        "CacheTieredFill" "bool" CACHE;
        "ClientDeviceType" "string" AGENTS;
        "ClientIPClass" "string" INTEL;
        "ClientMTLSAuthCertFingerprint" "string" CERTIFICATES;
        "ClientMTLSAuthStatus" "string" CERTIFICATES;
        "ContentScanObjResults" "array[string]" SCAN;
        "ContentScanObjSizes" "array[int]" SCAN;
        "ContentScanObjTypes" "array[string]" SCAN;
        "EdgeCFConnectingO2O" "bool" NETWORK;
        "EdgeColoID" "int" NETWORK;
        "FraudAttack" "string" FRAUD;
        "FraudDetectionIDs" "array[int]" FRAUD;
        "FraudDetectionTags" "array[string]" FRAUD;
        "FraudEmailRisk" "string" FRAUD;
        "FraudUserID" "string" FRAUD;
        "JA4Signals" "object" BOTS;
        "JSDetectionPassed" "string" BOTS;
        "LeakedCredentialCheckResult" "string" LEAKED;
        "ParentRayID" "string" WORKERS;
        "PayPerCrawlStatus" "string" CRAWLERS;
        "SmartRouteColoID" "int" NETWORK;
        "UpperTierColoID" "int" CACHE;
        "VerifiedBotCategory" "string" BOTS;
        "WAFAttackScore" "int" WAF;
        "WAFFlags" "string" OBSOLETE;
        "WAFMatchedVar" "string" OBSOLETE;
        "WAFRCEAttackScore" "int" WAF;
        "WAFSQLiAttackScore" "int" WAF;
        "WAFXSSAttackScore" "int" WAF;
        "WebAssetsLabelsManaged" "array[string]" API_SHIELD;
        "WebAssetsOperationID" "string" API_SHIELD;
        "WorkerCPUTime" "int" WORKERS;
        "WorkerScriptName" "string" WORKERS;
        "WorkerStatus" "string" WORKERS;
        "WorkerSubrequest" "bool" WORKERS;
        "WorkerSubrequestCount" "int" WORKERS;
        "WorkerWallTimeUs" "int" WORKERS;
    firewall_events:
        "AISecurityInjectionScore" "int" PROMPTS;
        "AISecurityPIICategories" "array[string]" PROMPTS;
        "AISecurityTokenCount" "int" PROMPTS;
        "AISecurityUnsafeTopicCategories" "array[string]" PROMPTS;
        "ClientIPClass" "string" INTEL;
        "ContentScanObjResults" "array[string]" SCAN;
        "ContentScanObjSizes" "array[int]" SCAN;
        "ContentScanObjTypes" "array[string]" SCAN;
        "FirewallForAIInjectionScore" "int" PROMPTS;
        "FirewallForAIPIICategories" "array[string]" PROMPTS;
        "FirewallForAITokenCount" "int" PROMPTS;
        "FirewallForAIUnsafeTopicCategories" "array[string]" PROMPTS;
        "FraudUserID" "string" FRAUD;
        "LeakedCredentialCheckResult" "string" LEAKED;
        "OriginatorRayID" "string" CHALLENGES;
}

/// The columns that rows are ordered and weighted by: they last as long as their row.
pub static BELONG_TO_THE_ROW: &[&str] =
    &["EdgeStartTimestamp", "EdgeEndTimestamp", "Datetime", "ZoneName", "RayID", "Reason", "SampleInterval"];

/// Whether a column has a name of ours and not one that Logpush documents for that table.
pub fn is_ours(table: &str, column: &str) -> bool {
    column.starts_with("Bartizan")
        || column == "SampleInterval"
        || table == bartizan_refusals::NAME
        || (table, column) == (firewall_events::NAME, "ZoneName")
}

/// The schema that the edge opens its spool with.
///
/// # Errors
/// None in practice: a test holds the tables to the rules of [`spool::Schema::new`].
pub fn schema() -> Result<spool::Schema, spool::Error> {
    spool::Schema::new(TABLES.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_make_a_schema_and_stand_at_their_markers() {
        let schema = schema().expect("sound tables");
        let place = |name: &str| schema.table(name).map(|(position, table)| (position, table.columns.len()));
        let marker = |position: u8, columns: u16| Some((usize::from(position), usize::from(columns)));
        assert_eq!(place("http_requests"), marker(HttpRequests::POSITION, HttpRequests::COLUMNS));
        assert_eq!(place("firewall_events"), marker(FirewallEvents::POSITION, FirewallEvents::COLUMNS));
        assert_eq!(place("bartizan_refusals"), marker(BartizanRefusals::POSITION, BartizanRefusals::COLUMNS));
    }

    #[test]
    fn every_column_says_what_it_holds() {
        let silent: Vec<_> = TABLES
            .iter()
            .flat_map(|table| table.columns.iter())
            .filter(|column| !column.summary.ends_with('.'))
            .map(|column| column.name.as_ref())
            .collect();
        assert_eq!(silent, Vec::<&str>::new());
    }

    #[test]
    fn what_is_absent_is_no_column_and_says_why() {
        for absent in ABSENT {
            let table = TABLES.iter().find(|table| table.name == absent.table).expect("a table of ours");
            assert_eq!(table.column(absent.name), None, "{}", absent.name);
            assert!(!absent.lack.reason.is_empty());
        }
        let names: Vec<_> = ABSENT.iter().map(|absent| (absent.table, absent.name)).collect();
        assert!(names.windows(2).all(|pair| pair[0].0 != pair[1].0 || pair[0].1 < pair[1].1), "in order, none twice");
    }

    #[test]
    fn an_index_names_its_column() {
        let name = |index: u16| http_requests::COLUMNS[usize::from(index)].name.as_ref();
        assert_eq!(name(http_requests::EDGE_START_TIMESTAMP.position()), "EdgeStartTimestamp");
        assert_eq!(name(http_requests::JA4.position()), "JA4");
        assert_eq!(name(http_requests::ORIGIN_TRIES.position()), "BartizanOriginTries");
    }
}
