//! The event tables: what the edge writes about every request, every rule that acted and every refusal.
//!
//! One source for the edge (typed column indices), the spool (the schema in every segment), ClickHouse (the tables) and the
//! documentation. Names and meaning are those of Cloudflare's Logpush datasets `http_requests` and `firewall_events`
//! (<https://developers.cloudflare.com/logs/logpush/logpush-job/datasets/>); a column that Logpush has no name for starts
//! with `Bartizan`, but for `ZoneName` and `SampleInterval`, which are Cloudflare's names in other datasets and in its
//! GraphQL analytics. Only columns that this edge fills stand here.
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

macro_rules! table {
    (
        $(#[$table_doc:meta])*
        $marker:ident = $position:literal, $module:ident, $name:literal;
        $($column:ident: $kind:ident = $spelling:literal, $summary:literal;)*
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
    CLIENT_IP: Ip = "ClientIP", "Address of the client, read behind trusted proxies.";
    CLIENT_SRC_PORT: UInt16 = "ClientSrcPort", "Source port of the client's connection.";
    CLIENT_REQUEST_METHOD: Label = "ClientRequestMethod", "Method of the request.";
    CLIENT_REQUEST_HOST: Label = "ClientRequestHost", "Host that was asked for, without the port.";
    CLIENT_REQUEST_PATH: Text = "ClientRequestPath", "Path that was asked for, without the query.";
    CLIENT_REQUEST_URI: Text = "ClientRequestURI", "Path and query that were asked for.";
    CLIENT_REQUEST_SCHEME: Label = "ClientRequestScheme", "http or https.";
    CLIENT_REQUEST_PROTOCOL: Label = "ClientRequestProtocol", "HTTP/1.0, HTTP/1.1 or HTTP/2.";
    CLIENT_REQUEST_REFERER: Text = "ClientRequestReferer", "The Referer header.";
    CLIENT_REQUEST_USER_AGENT: Text = "ClientRequestUserAgent", "The User-Agent header.";
    CLIENT_REQUEST_BYTES: UInt64 = "ClientRequestBytes", "Bytes of the request: head and body as received.";
    CLIENT_SSL_PROTOCOL: Label = "ClientSSLProtocol", "TLS version of the client's connection, none without TLS.";
    CLIENT_SSL_CIPHER: Label = "ClientSSLCipher", "Cipher suite of the client's connection.";
    JA3_HASH: Label = "JA3Hash", "JA3 fingerprint of the client's TLS hello, MD5 in hex.";
    JA4: Label = "JA4", "JA4 fingerprint of the client's TLS hello.";
    EDGE_SERVER_PORT: UInt16 = "BartizanEdgeServerPort", "Port of this edge that the client connected to.";
    EDGE_COLO_CODE: Label = "EdgeColoCode", "The place of this edge as its operator named it.";
    EDGE_RESPONSE_STATUS: UInt16 = "EdgeResponseStatus", "Status that the client was sent; 0 if none was.";
    EDGE_RESPONSE_BYTES: UInt64 = "EdgeResponseBytes", "Bytes of the response: head and body as sent.";
    EDGE_RESPONSE_BODY_BYTES: UInt64 = "EdgeResponseBodyBytes", "Bytes of the response's body as sent.";
    EDGE_RESPONSE_CONTENT_TYPE: Label = "EdgeResponseContentType", "The Content-Type of the response.";
    EDGE_RESPONSE_COMPRESSION_RATIO: Float64 = "EdgeResponseCompressionRatio", "Size before compression over size after it, where this edge compressed.";
    EDGE_TIME_TO_FIRST_BYTE_MS: UInt32 = "EdgeTimeToFirstByteMs", "From the first byte of the request to the first byte of the response, in milliseconds.";
    ORIGIN_IP: Ip = "OriginIP", "Address of the origin server.";
    ORIGIN_RESPONSE_STATUS: UInt16 = "OriginResponseStatus", "Status that the origin answered; 0 if it did not answer or was not asked.";
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
    REQUEST_HEADERS: Text = "RequestHeaders", "Request headers that a rule with the action log_custom_field names, as a JSON object.";
    RESPONSE_HEADERS: Text = "ResponseHeaders", "Response headers that such a rule names, as a JSON object.";
    COOKIES: Text = "Cookies", "Cookies of the request that such a rule names, as a JSON object.";
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
    CLIENT_IP: Ip = "ClientIP", "Address of the client, read behind trusted proxies.";
    CLIENT_REQUEST_METHOD: Label = "ClientRequestMethod", "Method of the request.";
    CLIENT_REQUEST_HOST: Label = "ClientRequestHost", "Host that was asked for, without the port.";
    CLIENT_REQUEST_PATH: Text = "ClientRequestPath", "Path that was asked for, without the query.";
    CLIENT_REQUEST_QUERY: Text = "ClientRequestQuery", "Query that was asked for, with its question mark.";
    CLIENT_REQUEST_SCHEME: Label = "ClientRequestScheme", "http or https.";
    CLIENT_REQUEST_PROTOCOL: Label = "ClientRequestProtocol", "HTTP/1.0, HTTP/1.1 or HTTP/2.";
    CLIENT_REQUEST_USER_AGENT: Text = "ClientRequestUserAgent", "The User-Agent header.";
    CLIENT_REFERER_SCHEME: Label = "ClientRefererScheme", "Scheme of the Referer header.";
    CLIENT_REFERER_HOST: Text = "ClientRefererHost", "Host of the Referer header.";
    CLIENT_REFERER_PATH: Text = "ClientRefererPath", "Path of the Referer header.";
    CLIENT_REFERER_QUERY: Text = "ClientRefererQuery", "Query of the Referer header, with its question mark.";
    EDGE_COLO_CODE: Label = "EdgeColoCode", "The place of this edge as its operator named it.";
    EDGE_RESPONSE_STATUS: UInt16 = "EdgeResponseStatus", "Status that the client was sent; 0 if not known when the rule acted.";
    ORIGIN_RESPONSE_STATUS: UInt16 = "OriginResponseStatus", "Status that the origin answered; 0 if it did not answer or was not asked.";
    SAMPLE_INTERVAL: UInt32 = "SampleInterval", "How many events the row stands for; sums weight by it.";
    POLICY_VERSION: UInt64 = "BartizanPolicyVersion", "Version of the policy that decided.";
}

table! {
    /// Sampled rows about what was refused before a request could be parsed; the metrics have the whole count.
    BartizanRefusals = 2, bartizan_refusals, "bartizan_refusals";

    DATETIME: Timestamp = "Datetime", "When the refusal happened.";
    REASON: Label = "Reason", "Why: the name that the metric carries too.";
    CLIENT_IP: Ip = "ClientIP", "Address of the client of the sampled refusal.";
    CLIENT_IP_PREFIX: Label = "ClientIPPrefix", "What refusals are counted by: the IPv4 address, or the IPv6 /64.";
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
    fn an_index_names_its_column() {
        let name = |index: u16| http_requests::COLUMNS[usize::from(index)].name.as_ref();
        assert_eq!(name(http_requests::EDGE_START_TIMESTAMP.position()), "EdgeStartTimestamp");
        assert_eq!(name(http_requests::JA4.position()), "JA4");
        assert_eq!(name(http_requests::ORIGIN_TRIES.position()), "BartizanOriginTries");
    }
}
