//! Which headers go on, and which are ours: the head that an origin sees and the head that a client sees.
//!
//! Nothing is copied: both heads are written anew from the parsed form (RFC 9110 §7.6). Hop-by-hop headers and whatever
//! `Connection` names stay behind. What identifies the client (`CF-Connecting-IP`, `CF-Ray`, `CF-Visitor`,
//! `X-Forwarded-*`) is always the edge's own word: the same names from a client that is no trusted proxy are dropped, in
//! every spelling, because applications read `x_forwarded_for` and `X-Forwarded-For` as one.

use http1::{Headers, Known, Line, RequestHead, ResponseHead};
use smallvec::SmallVec;

/// Header lines to be written, borrowed from wherever they stand.
pub type Lines<'a> = SmallVec<[Line<'a>; 32]>;

/// What the edge tells an origin about a request.
#[derive(Debug)]
pub struct Told<'a> {
    /// The client's address as text.
    pub client_ip: &'a str,
    /// What `X-Forwarded-For` says: the trusted chain and the peer.
    pub forwarded_for: &'a str,
    /// `https` or `http`.
    pub scheme: &'static str,
    /// Ray ID with the location: `0123456789abcdef-LOC`.
    pub ray: &'a str,
    /// The Host header to send.
    pub host: &'a [u8],
    /// The host that the client asked for.
    pub client_host: &'a [u8],
    /// Whether the peer is a trusted proxy, whose other forwarding headers are passed on.
    pub trusted: bool,
    /// The protocol asked for by `Upgrade`, where it is passed on.
    pub upgrade: Option<&'a [u8]>,
    /// Whether the origin is asked to say `100 Continue`.
    pub expect_continue: bool,
    /// Whether the client takes trailers.
    pub trailers: bool,
}

/// The header lines of the request to an origin, framing aside.
pub fn to_origin<'a>(head: &'a RequestHead, told: &Told<'a>) -> Lines<'a> {
    let headers = head.headers();
    let mut lines = Lines::new();
    lines.push(Line::new(b"Host", told.host));
    for line in headers.end_to_end() {
        let keep = match line.known {
            Known::Host | Known::ContentLength | Known::Expect | Known::Te => false,
            // 0-RTT is off, so nothing is early data here (RFC 8470 §5.1).
            Known::EarlyData => false,
            Known::Forwarded | Known::XForwardedPort | Known::XRealIp => told.trusted,
            Known::Other => !is_ours_in_disguise(headers.name(line)),
            known => !is_ours(known),
        };
        if keep {
            lines.push(headers.written(line));
        }
    }
    lines.push(Line::new(b"CF-Connecting-IP", told.client_ip.as_bytes()));
    lines.push(Line::new(b"CF-Ray", told.ray.as_bytes()));
    let visitor: &[u8] = if told.scheme == "https" { br#"{"scheme":"https"}"# } else { br#"{"scheme":"http"}"# };
    lines.push(Line::new(b"CF-Visitor", visitor));
    lines.push(Line::new(b"X-Forwarded-For", told.forwarded_for.as_bytes()));
    lines.push(Line::new(b"X-Forwarded-Proto", told.scheme.as_bytes()));
    lines.push(Line::new(b"X-Forwarded-Host", told.client_host));
    if told.trailers {
        lines.push(Line::new(b"TE", b"trailers"));
    }
    if let Some(protocol) = told.upgrade {
        lines.push(Line::new(b"Connection", b"Upgrade"));
        lines.push(Line::new(b"Upgrade", protocol));
    }
    if told.expect_continue {
        lines.push(Line::new(b"Expect", b"100-continue"));
    }
    lines
}

/// Whether only the edge may say this to an origin.
fn is_ours(known: Known) -> bool {
    matches!(
        known,
        Known::CfConnectingIp
            | Known::CfConnectingIpv6
            | Known::CfIpcountry
            | Known::CfRay
            | Known::CfVisitor
            | Known::CfWorker
            | Known::TrueClientIp
            | Known::XForwardedFor
            | Known::XForwardedHost
            | Known::XForwardedProto
    )
}

/// Whether `name` is one of [`is_ours`] with `_` for `-`, which CGI, WSGI and PHP take for the same header.
fn is_ours_in_disguise(name: &[u8]) -> bool {
    if !name.contains(&b'_') {
        return false;
    }
    let plain: SmallVec<[u8; 64]> = name.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte }).collect();
    let known = Known::of(&plain);
    is_ours(known) || matches!(known, Known::Forwarded | Known::XForwardedPort | Known::XRealIp)
}

/// What the edge adds to a response.
#[derive(Debug)]
pub struct Added<'a> {
    /// Ray ID with the location.
    pub ray: &'a str,
    /// The value of `Strict-Transport-Security`, on https where the zone has one.
    pub hsts: Option<&'a [u8]>,
    /// The sticky cookie, where this response sets it.
    pub cookie: Option<&'a [u8]>,
    /// The current time as an HTTP date, for a response that has none.
    pub date: &'a [u8],
}

/// The header lines of an origin's response for the client, framing aside.
pub fn to_client<'a>(head: &'a ResponseHead, added: &Added<'a>) -> Lines<'a> {
    let headers = head.headers();
    let mut lines = Lines::new();
    let mut dated = false;
    for line in headers.end_to_end() {
        let keep = match line.known {
            Known::ContentLength | Known::CfRay | Known::AltSvc => false,
            Known::StrictTransportSecurity => added.hsts.is_none(),
            Known::Date => {
                dated = true;
                true
            }
            _ => true,
        };
        if keep {
            lines.push(headers.written(line));
        }
    }
    if !dated {
        lines.push(Line::new(b"date", added.date));
    }
    push_added(&mut lines, added);
    lines
}

/// The header lines of a response that the edge makes itself.
pub fn of_edge<'a>(own: &[(&'a str, &'a [u8])], added: &Added<'a>) -> Lines<'a> {
    let mut lines: Lines<'a> = own.iter().map(|(name, value)| Line::new(name.as_bytes(), value)).collect();
    lines.push(Line::new(b"date", added.date));
    push_added(&mut lines, added);
    lines
}

fn push_added<'a>(lines: &mut Lines<'a>, added: &Added<'a>) {
    lines.push(Line::new(b"cf-ray", added.ray.as_bytes()));
    if let Some(value) = added.hsts {
        lines.push(Line::new(b"strict-transport-security", value));
    }
    if let Some(cookie) = added.cookie {
        lines.push(Line::new(b"set-cookie", cookie));
    }
}

/// The lines of an informational response that go on: it has no content and says nothing of any (RFC 9110 §8.6).
pub fn informational(headers: &Headers) -> Lines<'_> {
    let lines = headers.end_to_end().filter(|line| line.known != Known::ContentLength);
    lines.map(|line| headers.written(line)).collect()
}

/// Trailers that may be passed on, in either direction: [`http1`] has refused those that frame or route.
pub fn trailers(headers: &Headers) -> Lines<'_> {
    headers.end_to_end().map(|line| headers.written(line)).collect()
}
