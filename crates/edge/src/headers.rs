//! Which headers go on, and which are ours: the head that an origin sees and the head that a client sees.
//!
//! Nothing is copied: both heads are written anew from the parsed form (RFC 9110 §7.6). Hop-by-hop headers and whatever
//! `Connection` names stay behind. What identifies the client (`CF-Connecting-IP`, `CF-IPCountry`, `CF-Ray`, `CF-Visitor`,
//! `X-Forwarded-*`) is always the edge's own word: the same names from a client that is no trusted proxy are dropped, in
//! every spelling, because applications read `x_forwarded_for` and `X-Forwarded-For` as one.
//!
//! `Via` (RFC 9110 §7.6.3) and `CDN-Loop` (RFC 8586) get one more member each. The latter carries a name that only this
//! process has, by which a request that comes back is known; edges that stand one behind the other do not mistake each
//! other's.

use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

use http1::{Headers, Known, Line, RequestHead, ResponseHead, Version};
use smallvec::SmallVec;

use crate::policy::{HeaderChange, HeaderOperation};

/// Header lines to be written, borrowed from wherever they stand.
pub type Lines<'a> = SmallVec<[Line<'a>; 32]>;

/// What the edge tells an origin about a request.
#[derive(Debug)]
pub struct Told<'a> {
    /// The client's address as text.
    pub client_ip: &'a str,
    /// The code of the client's country, where the origin is told.
    pub country: Option<&'a str>,
    /// What `X-Forwarded-For` says: the trusted chain and the peer.
    pub forwarded_for: &'a str,
    /// `https` or `http`.
    pub scheme: &'static str,
    /// Ray ID with the location: `0123456789abcdef-LOC`.
    pub ray: &'a [u8],
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
    /// The edge's own member of `CDN-Loop`.
    pub loop_mark: &'a [u8],
    /// What `Max-Forwards` says, where the edge changes it.
    pub max_forwards: Option<&'a [u8]>,
}

/// The mark by which a process knows a request that it has passed on before.
#[derive(Debug)]
pub struct LoopMark {
    value: String,
}

impl LoopMark {
    const NAME: &str = "bartizan; edge=";

    /// A mark that no other process has.
    pub fn random() -> Self {
        let half = |salt: u64| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
            RandomState::new().hash_one((salt, now, std::process::id()))
        };
        Self { value: format!("{}{:016x}{:016x}", Self::NAME, half(1), half(2)) }
    }

    /// The member of `CDN-Loop`.
    pub fn value(&self) -> &[u8] {
        self.value.as_bytes()
    }

    /// Whether a request bears it, even if others have rewritten the white space around it.
    pub fn is_on(&self, head: &RequestHead) -> bool {
        let own = &self.value()[Self::NAME.len()..];
        head.headers().contains(Known::CdnLoop)
            && head.headers().known_all(Known::CdnLoop).any(|value| memchr::memmem::find(value, own).is_some())
    }
}

/// How often a request may still be forwarded (RFC 9110 §7.6.2), which is said of OPTIONS and TRACE; TRACE ends here.
pub fn forwards_left(head: &RequestHead) -> Option<u64> {
    if !head.headers().contains(Known::MaxForwards) || head.method() != b"OPTIONS" {
        return None;
    }
    std::str::from_utf8(head.headers().known(Known::MaxForwards)?).ok()?.parse().ok()
}

/// The header lines of the request to an origin, framing aside.
pub fn to_origin<'a>(head: &'a RequestHead, told: &Told<'a>) -> Lines<'a> {
    let headers = head.headers();
    let mut lines = Lines::new();
    lines.push(Line::own("Host", told.host));
    for line in headers.end_to_end() {
        let keep = match line.known {
            Known::Host | Known::ContentLength | Known::Expect | Known::Te => false,
            // 0-RTT is off, so nothing is early data here (RFC 8470 §5.1).
            Known::EarlyData => false,
            Known::Forwarded | Known::XForwardedPort | Known::XRealIp => told.trusted,
            Known::MaxForwards => told.max_forwards.is_none(),
            Known::Other => !is_ours_in_disguise(headers.name(line)),
            known => !is_ours(known),
        };
        if keep {
            lines.push(headers.written(line));
        }
    }
    lines.push(Line::own("CF-Connecting-IP", told.client_ip.as_bytes()));
    if let Some(country) = told.country {
        lines.push(Line::own("CF-IPCountry", country.as_bytes()));
    }
    lines.push(Line::own("CF-Ray", told.ray));
    let visitor: &[u8] = if told.scheme == "https" { br#"{"scheme":"https"}"# } else { br#"{"scheme":"http"}"# };
    lines.push(Line::own("CF-Visitor", visitor));
    lines.push(Line::own("X-Forwarded-For", told.forwarded_for.as_bytes()));
    lines.push(Line::own("X-Forwarded-Proto", told.scheme.as_bytes()));
    lines.push(Line::own("X-Forwarded-Host", told.client_host));
    lines.push(Line::own("Via", via(head.version())));
    lines.push(Line::own("CDN-Loop", told.loop_mark));
    if let Some(left) = told.max_forwards {
        lines.push(Line::own("Max-Forwards", left));
    }
    if told.trailers {
        lines.push(Line::own("TE", b"trailers"));
    }
    if let Some(protocol) = told.upgrade {
        lines.push(Line::own("Connection", b"Upgrade"));
        lines.push(Line::own("Upgrade", protocol));
    }
    if told.expect_continue {
        lines.push(Line::own("Expect", b"100-continue"));
    }
    lines
}

/// The edge's own member of `Via`: the version in which the request came.
fn via(version: Version) -> &'static [u8] {
    match version {
        Version::Http10 => b"1.0 bartizan",
        Version::Http11 => b"1.1 bartizan",
        Version::Http2 => b"2 bartizan",
    }
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
    pub ray: &'a [u8],
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
        lines.push(Line::own("date", added.date));
    }
    push_added(&mut lines, added);
    lines
}

/// The header lines of a response that the edge makes itself.
pub fn of_edge<'a>(own: &[(&'a str, &'a [u8])], added: &Added<'a>) -> Lines<'a> {
    let mut lines: Lines<'a> = own.iter().map(|(name, value)| Line::new(name.as_bytes(), value)).collect();
    lines.push(Line::own("date", added.date));
    push_added(&mut lines, added);
    lines
}

/// Carries out what rules say of the headers of a response, in their order.
pub fn change<'a>(lines: &mut Lines<'a>, changes: &'a [HeaderChange]) {
    carry_out(lines, changes, <[u8]>::eq_ignore_ascii_case);
}

/// The same for a request. CGI, WSGI and PHP read `_` in a name as `-`, so what a rule sets or removes does not stay under the
/// other spelling, where a client could say it.
pub fn change_request<'a>(lines: &mut Lines<'a>, changes: &'a [HeaderChange]) {
    let plain = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    carry_out(lines, changes, |name, other| name.iter().map(plain).eq(other.iter().map(plain)));
}

fn carry_out<'a>(lines: &mut Lines<'a>, changes: &'a [HeaderChange], is_same: impl Fn(&[u8], &[u8]) -> bool) {
    for change in changes {
        let name = change.name.as_bytes();
        if !matches!(change.operation, HeaderOperation::Add(_)) {
            lines.retain(|line| !is_same(line.name(), name));
        }
        if let HeaderOperation::Set(value) | HeaderOperation::Add(value) = &change.operation {
            lines.push(Line::new(name, value));
        }
    }
}

/// [`change`] of lines that stand for themselves.
pub fn changed<'l>(lines: &[Line<'l>], changes: &'l [HeaderChange]) -> Lines<'l> {
    let mut lines = Lines::from_slice(lines);
    change(&mut lines, changes);
    lines
}

fn push_added<'a>(lines: &mut Lines<'a>, added: &Added<'a>) {
    lines.push(Line::own("cf-ray", added.ray));
    if let Some(value) = added.hsts {
        lines.push(Line::own("strict-transport-security", value));
    }
    if let Some(cookie) = added.cookie {
        lines.push(Line::own("set-cookie", cookie));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> RequestHead {
        let mut parser = http1::RequestParser::new(http1::Limits::default());
        parser.parse(text.as_bytes()).unwrap().unwrap().0
    }

    fn told(head: &RequestHead, mark: &LoopMark, max_forwards: Option<&[u8]>) -> Vec<(String, String)> {
        let told = Told {
            client_ip: "192.0.2.7",
            country: None,
            forwarded_for: "192.0.2.7",
            scheme: "https",
            ray: b"0123456789abcdef-LOC",
            host: b"site.test",
            client_host: b"site.test",
            trusted: false,
            upgrade: None,
            expect_continue: false,
            trailers: false,
            loop_mark: mark.value(),
            max_forwards,
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        to_origin(head, &told).iter().map(|line| (text(line.name()), text(line.value()))).collect()
    }

    fn values<'l>(lines: &'l [(String, String)], name: &str) -> Vec<&'l str> {
        let named = lines.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    #[test]
    fn the_edge_adds_itself_to_via_and_cdn_loop_behind_those_before_it() {
        let mark = LoopMark::random();
        let request = head("GET / HTTP/1.1\r\nHost: site.test\r\nVia: 1.0 fred\r\nCDN-Loop: other.example\r\n\r\n");
        let lines = told(&request, &mark, None);
        assert_eq!(values(&lines, "via"), ["1.0 fred", "1.1 bartizan"]);
        let own = std::str::from_utf8(mark.value()).unwrap();
        assert_eq!(values(&lines, "cdn-loop"), ["other.example", own]);
        assert_eq!(own.strip_prefix("bartizan; edge=").map(str::len), Some(32));
    }

    #[test]
    fn a_request_bears_the_mark_of_the_process_that_passed_it_on_and_of_no_other() {
        let (mark, other) = (LoopMark::random(), LoopMark::random());
        let own = std::str::from_utf8(mark.value()).unwrap();
        let folded = own.replace("; ", " ;\t");
        for value in [own.to_owned(), format!("a.example; x=1, {own} , b.example"), folded] {
            let request = head(&format!("GET / HTTP/1.1\r\nHost: site.test\r\nCDN-Loop: {value}\r\n\r\n"));
            assert!(mark.is_on(&request) && !other.is_on(&request), "{value}");
        }
        let second = format!("GET / HTTP/1.1\r\nHost: site.test\r\nCDN-Loop: bartizan\r\nCDN-Loop: {own}\r\n\r\n");
        assert!(mark.is_on(&head(&second)));
        assert!(!mark.is_on(&head("GET / HTTP/1.1\r\nHost: site.test\r\nCDN-Loop: bartizan\r\n\r\n")));
        assert!(!mark.is_on(&head("GET / HTTP/1.1\r\nHost: site.test\r\n\r\n")));
    }

    #[test]
    fn max_forwards_is_counted_for_options_alone() {
        let left = |method: &str, value: &str| {
            forwards_left(&head(&format!("{method} / HTTP/1.1\r\nHost: site.test\r\nMax-Forwards: {value}\r\n\r\n")))
        };
        assert_eq!((left("OPTIONS", "0"), left("OPTIONS", "3")), (Some(0), Some(3)));
        assert_eq!((left("GET", "0"), left("OPTIONS", "many")), (None, None));
        let request = head("OPTIONS / HTTP/1.1\r\nHost: site.test\r\nMax-Forwards: 3\r\n\r\n");
        assert_eq!(values(&told(&request, &LoopMark::random(), Some(b"2")), "max-forwards"), ["2"]);
        assert_eq!(values(&told(&request, &LoopMark::random(), None), "max-forwards"), ["3"]);
    }
}
