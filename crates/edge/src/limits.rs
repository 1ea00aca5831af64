//! Every deadline and cap of the edge, in one table.
//!
//! The table is the only place where a limit gets its name, unit, default, range and meaning: the policy document is
//! read through it, the site file's `[edge.limits]` is validated against it and `docs/reference/limits.md` is made from
//! it. Units stand in the names: `_ms` is milliseconds, `_bytes` is bytes, `_bytes_per_s` is bytes per second.

use serde::{Deserialize, Serialize};

/// One row of the table, as documentation and the site file's validation read it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Limit {
    /// The key in `[edge.limits]`.
    pub name: &'static str,
    /// The value that holds where the site file is silent.
    pub default: u64,
    /// The smallest value that is accepted.
    pub min: u64,
    /// The largest value that is accepted.
    pub max: u64,
    /// What it bounds, what happens at the bound, and what `0` means where `0` is accepted.
    pub summary: &'static str,
}

macro_rules! limits {
    ($($name:ident = $default:expr, $min:expr, $max:expr, $summary:literal;)*) => {
        /// The limits in force: one number for each row of [`TABLE`].
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Limits { $(#[doc = $summary] pub $name: u64,)* }

        impl Default for Limits {
            fn default() -> Self { Self { $($name: $default,)* } }
        }

        /// The table itself, in the order of a request's life.
        pub static TABLE: &[Limit] = &[
            $(Limit { name: stringify!($name), default: $default, min: $min, max: $max, summary: $summary },)*
        ];

        impl Limits {
            /// The limits that lie outside their range, each with its row and the value found.
            pub fn out_of_range(&self) -> Vec<(&'static Limit, u64)> {
                let values = [$(self.$name,)*];
                TABLE.iter().zip(values).filter(|(row, value)| *value < row.min || *value > row.max).collect()
            }
        }
    };
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

limits! {
    connections = 50_000, 1, 10_000_000,
        "Client connections open at once, over all listeners. A connection above it is closed at once.";
    connections_per_address = 1_024, 1, 10_000_000,
        "Client connections open at once from one IPv4 address or one IPv6 /64. A connection above it is closed at once.";
    proxy_protocol_timeout_ms = 5 * SECOND, 100, HOUR,
        "Time for the PROXY protocol header on a listener that expects one. Then the connection is closed.";
    tls_handshake_timeout_ms = 10 * SECOND, 100, HOUR,
        "Time from accept to the end of the TLS handshake. Then the connection is closed.";
    first_byte_timeout_ms = 15 * SECOND, 100, HOUR,
        "Time a new connection may be silent before its first request. Then it is closed.";
    header_timeout_ms = 15 * SECOND, 100, HOUR,
        "Time from the first byte of a request head to its last. Then 408 and close.";
    idle_timeout_ms = 75 * SECOND, 100, 24 * HOUR,
        "Time a connection may rest between requests. Then it is closed (HTTP/2: GOAWAY).";
    body_min_bytes_per_s = 240, 0, GIB,
        "Least rate at which a client must send a request body and take a response, averaged over `body_rate_window_ms`. Time spent waiting for the origin does not count; what a client took of a response beyond that is its credit for up to six windows more. Below it the connection is closed. 0: no minimum.";
    body_rate_window_ms = 10 * SECOND, SECOND, HOUR,
        "Window over which `body_min_bytes_per_s` is averaged.";
    total_timeout_ms = 6 * HOUR, 0, 7 * 24 * HOUR,
        "Time from the first byte of a request to the last of its response, tunnels aside. Then the connection is closed. 0: none.";
    tunnel_idle_timeout_ms = 10 * MINUTE, SECOND, 24 * HOUR,
        "Time an upgraded connection (WebSocket) may be silent in both directions. Then it is closed.";
    head_bytes = 64 * KIB, KIB, MIB,
        "Size of a request or response head, the request line included. Above it 431 to the client; 502 where the origin sent it.";
    headers = 128, 8, 10_000,
        "Header lines in a head. Above it 431 to the client; 502 where the origin sent it.";
    target_bytes = 16 * KIB, 256, MIB,
        "Size of the request target. Above it 414.";
    body_bytes = 5 * GIB, 0, u64::MAX >> 1,
        "Size of a request body. Above it 413. 0: no maximum.";
    held_body_bytes = 256 * MIB, MIB, 1024 * GIB,
        "Memory for request bodies held for inspection, over all requests. A body that finds no room is inspected as far as it fits and marked truncated.";
    requests_per_connection = 100_000, 1, u64::MAX >> 1,
        "Requests served on one HTTP/1 connection or streams on one HTTP/2 connection. Then it is closed (HTTP/2: GOAWAY).";
    h2_concurrent_streams = 128, 1, 10_000,
        "HTTP/2 streams open at once on a connection (`SETTINGS_MAX_CONCURRENT_STREAMS`).";
    h2_resets_per_window = 100, 10, 1_000_000,
        "Streams of a connection that end by reset, from either side, within `h2_reset_window_ms`. Above it GOAWAY with `ENHANCE_YOUR_CALM` (CVE-2023-44487, CVE-2025-8671).";
    h2_reset_window_ms = 30 * SECOND, SECOND, HOUR,
        "Window over which `h2_resets_per_window` is counted.";
    h2_stream_window_bytes = 256 * KIB, 64 * KIB, 16 * MIB,
        "HTTP/2 flow-control window of a stream: what a client may send before the origin has taken it.";
    h2_connection_window_bytes = MIB, 64 * KIB, 64 * MIB,
        "HTTP/2 flow-control window of a connection.";
    origin_response_timeout_ms = 100 * SECOND, 100, HOUR,
        "Time that a request waits for a connection to the origin, and again from the request sent to the head of the response. Then 504.";
    origin_body_timeout_ms = 15 * MINUTE, SECOND, 24 * HOUR,
        "Time an origin may be silent within a response body, or take nothing of a request body. Then the exchange is cut off.";
    origin_idle_timeout_ms = MINUTE, SECOND, HOUR,
        "Time an unused connection to an origin is kept.";
    origin_idle_connections = 256, 0, 65_536,
        "Unused connections kept to each origin server by each worker thread.";
    informational_responses = 16, 0, 1_000,
        "Informational responses (1xx) that an origin may send before its response. Above it 502.";
    drain_timeout_ms = 30 * SECOND, 0, HOUR,
        "Time that requests in flight have to end at a stop. Then they are cut off.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_lies_in_its_range() {
        assert_eq!(Limits::default().out_of_range().len(), 0);
    }

    #[test]
    fn a_value_outside_its_range_is_named() {
        let limits = Limits { head_bytes: 1, ..Limits::default() };
        let names: Vec<_> = limits.out_of_range().into_iter().map(|(row, value)| (row.name, value)).collect();
        assert_eq!(names, [("head_bytes", 1)]);
    }

    #[test]
    fn an_unknown_limit_is_refused() {
        assert!(serde_json::from_str::<Limits>(r#"{"head_byte": 5}"#).is_err());
    }
}
