//! The pages that the edge writes itself: the block page, and one for each way in which a request can end here.
//!
//! One page, three forms: HTML for a browser, JSON where `Accept` asks for it, text for a terminal. All show the status, a
//! short reason, the Ray ID, the time and the host, and nothing of the rule that acted. The HTML loads nothing from anywhere
//! (its Content-Security-Policy forbids it), follows the reader's light or dark setting and reads well to a screen reader.
//! What comes from the request is escaped in every form. Status codes: RFC 9110 §15, 421 §15.5.20, 429 and 431 RFC 6585, 508 RFC 5842 §7.2.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// The form in which a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a browser.
    Html,
    /// For a program that asks for JSON.
    Json,
    /// For all else.
    Text,
}

/// Why the edge answers by itself. One row each in one table: name, status, title, what it means to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A rule blocked the request.
    Blocked,
    /// The request breaks HTTP or is ambiguous.
    BadRequest,
    /// The host is not served here.
    UnknownHost,
    /// The TLS connection was made for another host.
    MisdirectedRequest,
    /// The client was too slow.
    RequestTimeout,
    /// The body is larger than allowed.
    BodyTooLarge,
    /// The request target is longer than allowed.
    TargetTooLong,
    /// Too many requests.
    RateLimited,
    /// The head is larger than allowed.
    HeadTooLarge,
    /// The edge failed.
    Internal,
    /// The method or coding is not implemented.
    NotImplemented,
    /// The origin could not be reached or answered what is not HTTP.
    OriginUnreachable,
    /// No origin server is healthy, or the edge is at its limit.
    Unavailable,
    /// The origin was too slow.
    OriginTimeout,
    /// The HTTP version is not spoken here.
    VersionNotSupported,
    /// The request has passed this edge before.
    LoopDetected,
}

/// What a page shows.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Why; gives title and text.
    pub reason: Reason,
    /// The status sent; usually [`Reason::status`], but a block rule may choose its own.
    pub status: u16,
    /// The Ray ID; empty when the request had none.
    pub ray_id: &'a str,
    /// The host as asked for; empty when unknown.
    pub host: &'a [u8],
    /// When the request arrived.
    pub time: SystemTime,
}

impl Format {
    /// The form that an `Accept` header (RFC 9110 §12.5.1) asks for: HTML or JSON, whichever has the greater weight (HTML on a
    /// tie), text when neither is named.
    pub fn negotiate(accept: Option<&[u8]>) -> Self {
        let (mut html, mut json) = (0u16, 0u16);
        for range in accept.unwrap_or_default().split(|byte| *byte == b',') {
            let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let media = parts.next().unwrap_or_default();
            let weight = parts.find_map(quality).unwrap_or(1000);
            if media.eq_ignore_ascii_case(b"text/html") || media.eq_ignore_ascii_case(b"application/xhtml+xml") {
                html = html.max(weight);
            } else if media.eq_ignore_ascii_case(b"application/json")
                || (media.len() > 5 && media[media.len() - 5..].eq_ignore_ascii_case(b"+json"))
            {
                json = json.max(weight);
            }
        }
        match (html, json) {
            (0, 0) => Self::Text,
            (html, json) if html >= json => Self::Html,
            _ => Self::Json,
        }
    }

    /// All headers of a page in this form but its length, in the order to send them.
    pub fn headers(self) -> &'static [(&'static str, &'static str)] {
        const HTML: &[(&str, &str)] = &[
            ("content-type", "text/html; charset=utf-8"),
            ("cache-control", "private, no-store"),
            ("x-content-type-options", "nosniff"),
            (
                "content-security-policy",
                "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ),
            ("referrer-policy", "same-origin"),
            ("vary", "accept"),
        ];
        const JSON: &[(&str, &str)] = &[
            ("content-type", "application/json"),
            ("cache-control", "private, no-store"),
            ("x-content-type-options", "nosniff"),
            ("vary", "accept"),
        ];
        const TEXT: &[(&str, &str)] = &[
            ("content-type", "text/plain; charset=utf-8"),
            ("cache-control", "private, no-store"),
            ("x-content-type-options", "nosniff"),
            ("vary", "accept"),
        ];
        match self {
            Self::Html => HTML,
            Self::Json => JSON,
            Self::Text => TEXT,
        }
    }
}

/// `q=0.5` in thousandths (RFC 9110 §12.4.2); nothing if the parameter is another one. A malformed weight counts as 0.
pub(crate) fn quality(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', value @ ..] = parameter else { return None };
    let (whole, fraction) = match value {
        [whole] => (*whole, &[][..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (*whole, fraction),
        _ => return Some(0),
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Some(0);
    }
    match whole {
        b'1' if fraction.iter().all(|digit| *digit == b'0') => Some(1000),
        b'0' => {
            Some((0..3).fold(0, |sum, place| sum * 10 + fraction.get(place).map_or(0, |digit| u16::from(digit - b'0'))))
        }
        _ => Some(0),
    }
}

impl Reason {
    /// The page for a status when nothing more is known.
    pub fn for_status(status: u16) -> Self {
        match status {
            403 => Self::Blocked,
            404 => Self::UnknownHost,
            408 => Self::RequestTimeout,
            413 => Self::BodyTooLarge,
            414 => Self::TargetTooLong,
            421 => Self::MisdirectedRequest,
            429 => Self::RateLimited,
            431 => Self::HeadTooLarge,
            501 => Self::NotImplemented,
            502 => Self::OriginUnreachable,
            503 => Self::Unavailable,
            504 => Self::OriginTimeout,
            505 => Self::VersionNotSupported,
            508 => Self::LoopDetected,
            400..=499 => Self::BadRequest,
            _ => Self::Internal,
        }
    }

    /// The status that belongs to the reason.
    pub fn status(self) -> u16 {
        self.row().0
    }

    /// The word that programs read: `blocked`, `bad_request`, …
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The error in one sentence, without anything that HTML would have escaped.
    pub fn sentence(self, status: u16) -> String {
        format!("{status} {}: {}", self.title(), self.text())
    }

    fn title(self) -> &'static str {
        self.row().2
    }

    fn text(self) -> &'static str {
        self.row().3
    }

    fn row(self) -> (u16, &'static str, &'static str, &'static str) {
        match self {
            Self::Blocked => (
                403,
                "blocked",
                "Request blocked",
                "This site is protected, and a rule of its owner stopped this request. If you think that this is a mistake, tell the owner what you were doing and quote the Ray ID below.",
            ),
            Self::BadRequest => (
                400,
                "bad_request",
                "Bad request",
                "The request was not valid HTTP, or could be read in more than one way, so it was not passed on.",
            ),
            Self::UnknownHost => {
                (404, "unknown_host", "Unknown host", "No site of this name is served here. Check the address.")
            }
            Self::MisdirectedRequest => (
                421,
                "misdirected_request",
                "Misdirected request",
                "The connection was made for another host than the request asks for. Open a new connection and try again.",
            ),
            Self::RequestTimeout => {
                (408, "request_timeout", "Request timeout", "The request took too long to arrive. Try again.")
            }
            Self::BodyTooLarge => {
                (413, "body_too_large", "Content too large", "The request carries more data than this site accepts.")
            }
            Self::TargetTooLong => {
                (414, "target_too_long", "Address too long", "The address is longer than this site accepts.")
            }
            Self::RateLimited => (
                429,
                "rate_limited",
                "Too many requests",
                "You have sent too many requests in a short time. Wait a little, then try again.",
            ),
            Self::HeadTooLarge => (
                431,
                "head_too_large",
                "Request headers too large",
                "The headers of the request are larger than this site accepts. Clearing the cookies of this site may help.",
            ),
            Self::Internal => (
                500,
                "internal",
                "Something went wrong",
                "The request could not be handled. The fault is on this side.",
            ),
            Self::NotImplemented => (
                501,
                "not_implemented",
                "Not implemented",
                "The request asks for something that is not supported here.",
            ),
            Self::OriginUnreachable => (
                502,
                "origin_unreachable",
                "Bad gateway",
                "The server behind this site could not be reached or gave no valid answer. Try again in a moment.",
            ),
            Self::Unavailable => {
                (503, "unavailable", "Service unavailable", "The site cannot answer right now. Try again in a moment.")
            }
            Self::OriginTimeout => (
                504,
                "origin_timeout",
                "Gateway timeout",
                "The server behind this site took too long to answer. Try again in a moment.",
            ),
            Self::VersionNotSupported => (
                505,
                "version_not_supported",
                "HTTP version not supported",
                "The request uses a version of HTTP that is not spoken here.",
            ),
            Self::LoopDetected => (
                508,
                "loop_detected",
                "Loop detected",
                "The request came back to the place that had passed it on: the server behind this site leads here again. Its owner can mend that.",
            ),
        }
    }
}

const HTML_HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<meta name=\"robots\" content=\"noindex\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>";
const HTML_STYLE: &str = "</title>\n<style>\n:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--page:#f6f7f9;--card:#fff;--line:#d8dee4;--accent:#b4441f}\n@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--soft:#9aa4af;--page:#101418;--card:#181d23;--line:#2c343d;--accent:#f0865c}}\nbody{margin:0;min-height:100vh;display:flex;align-items:center;justify-content:center;background:var(--page);color:var(--ink);font:1rem/1.6 system-ui,sans-serif}\nmain{max-width:34rem;margin:1.5rem;padding:2rem;background:var(--card);border:1px solid var(--line);border-top:4px solid var(--accent);border-radius:.5rem}\nh1{margin:0 0 .75rem;font-size:1.5rem;line-height:1.3}\nh1 span{color:var(--accent)}\ndl{display:grid;grid-template-columns:auto 1fr;gap:.25rem 1rem;margin:1.5rem 0 0;padding-top:1rem;border-top:1px solid var(--line);font-size:.9rem}\ndt{color:var(--soft)}\ndd{margin:0;overflow-wrap:anywhere;font-family:ui-monospace,monospace}\n</style>\n</head>\n<body>\n<main>\n<h1><span>";

/// The headers of a page that the owner has written, but its length: it may load what it wants.
pub const OWN_PAGE_HEADERS: &[(&str, &[u8])] = &[
    ("content-type", b"text/html; charset=utf-8"),
    ("cache-control", b"private, no-store"),
    ("x-content-type-options", b"nosniff"),
    ("referrer-policy", b"same-origin"),
];

impl Page<'_> {
    /// Appends the page's body to `out`.
    pub fn render(&self, format: Format, out: &mut Vec<u8>) {
        match format {
            Format::Html => self.html(out),
            Format::Json => self.json(out),
            Format::Text => self.text(out),
        }
    }

    fn html(&self, out: &mut Vec<u8>) {
        let (title, text) = (self.reason.title(), self.reason.text());
        out.reserve(HTML_HEAD.len() + HTML_STYLE.len() + 2 * title.len() + text.len() + 6 * self.host.len() + 320);
        out.extend_from_slice(HTML_HEAD.as_bytes());
        out.extend_from_slice(title.as_bytes());
        out.extend_from_slice(HTML_STYLE.as_bytes());
        // Writing to a Vec cannot fail.
        let _ = write!(out, "{}</span> {title}</h1>\n<p>{text}</p>\n<dl>\n", self.status);
        if !self.ray_id.is_empty() {
            out.extend_from_slice(b"<dt>Ray ID</dt><dd>");
            escape_html(self.ray_id.as_bytes(), out);
            out.extend_from_slice(b"</dd>\n");
        }
        if !self.host.is_empty() {
            out.extend_from_slice(b"<dt>Host</dt><dd>");
            escape_html(self.host, out);
            out.extend_from_slice(b"</dd>\n");
        }
        out.extend_from_slice(b"<dt>Time</dt><dd>");
        write_time(self.time, out);
        out.extend_from_slice(b"</dd>\n</dl>\n</main>\n</body>\n</html>\n");
    }

    fn json(&self, out: &mut Vec<u8>) {
        out.reserve(self.reason.text().len() + 6 * self.host.len() + 192);
        let _ =
            write!(out, "{{\"error\":{{\"status\":{},\"reason\":\"{}\",\"message\":", self.status, self.reason.name());
        escape_json(self.reason.text().as_bytes(), out);
        out.extend_from_slice(b",\"ray_id\":");
        escape_json(self.ray_id.as_bytes(), out);
        out.extend_from_slice(b",\"host\":");
        escape_json(self.host, out);
        out.extend_from_slice(b",\"time\":\"");
        write_time(self.time, out);
        out.extend_from_slice(b"\"}}\n");
    }

    fn text(&self, out: &mut Vec<u8>) {
        let (title, text) = (self.reason.title(), self.reason.text());
        out.reserve(title.len() + text.len() + self.host.len() + 128);
        let _ = write!(out, "{} {title}\n\n{text}\n\n", self.status);
        if !self.ray_id.is_empty() {
            out.extend_from_slice(b"Ray ID: ");
            escape_text(self.ray_id.as_bytes(), out);
            out.push(b'\n');
        }
        if !self.host.is_empty() {
            out.extend_from_slice(b"Host: ");
            escape_text(self.host, out);
            out.push(b'\n');
        }
        out.extend_from_slice(b"Time: ");
        write_time(self.time, out);
        out.push(b'\n');
    }
}

fn escape_html(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            0x20..=0x7e => out.push(byte),
            _ => out.push(b'?'),
        }
    }
}

fn escape_json(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            // JSON inlined into HTML by a careless client must not open a tag.
            b'<' => out.extend_from_slice(b"\\u003c"),
            0x20..=0x7e => out.push(byte),
            _ => out.push(b'?'),
        }
    }
    out.push(b'"');
}

/// Terminals obey control bytes; so what is not printable ASCII becomes a question mark.
fn escape_text(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(bytes.iter().map(|byte| if (0x20..=0x7e).contains(byte) { *byte } else { b'?' }));
}

/// `2026-11-21T06:38:40Z` (RFC 3339), in the proleptic Gregorian calendar; times before 1970 show as 1970.
fn write_time(time: SystemTime, out: &mut Vec<u8>) {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Eras of 400 years that begin on 1 March, so that the leap day is the last day of its year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn page(host: &[u8]) -> Page<'_> {
        Page {
            reason: Reason::Blocked,
            status: 403,
            ray_id: "8c1f0e5d2a7b4c3d",
            host,
            time: UNIX_EPOCH + Duration::from_secs(1_709_210_096),
        }
    }

    fn rendered(page: Page<'_>, format: Format) -> String {
        let mut out = Vec::new();
        page.render(format, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_sentence_needs_no_escape() {
        for status in 400..600 {
            let sentence = Reason::for_status(status).sentence(status);
            assert!(!sentence.contains(['<', '>', '&', '"', '\'']), "{sentence}");
        }
    }

    #[test]
    fn the_form_follows_the_weights_of_accept() {
        for (accept, expected) in [
            (None, Format::Text),
            (Some("*/*"), Format::Text),
            (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Format::Html),
            (Some("application/json"), Format::Json),
            (Some("application/json, text/html;q=0.5"), Format::Json),
            (Some("application/json;q=0.5, text/html"), Format::Html),
            (Some("application/json, text/html"), Format::Html),
            (Some("application/problem+JSON ; charset=utf-8 ; q=0.3"), Format::Json),
            (Some("text/html;q=0"), Format::Text),
            (Some("text/html;q=nonsense, application/json;q=0.001"), Format::Json),
            (Some("+json,,;;="), Format::Text),
        ] {
            assert_eq!(Format::negotiate(accept.map(str::as_bytes)), expected, "{accept:?}");
        }
    }

    #[test]
    fn what_comes_from_the_request_is_escaped_in_every_form() {
        let hostile = b"a\"><script>alert('1')</script>\\\x1b[31m\n\xff&";
        let html = rendered(page(hostile), Format::Html);
        assert!(html.contains("a&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;\\?[31m??&amp;"), "{html}");
        assert_eq!(html.matches('<').count(), rendered(page(b"a"), Format::Html).matches('<').count());
        let json: serde_json::Value = serde_json::from_str(&rendered(page(hostile), Format::Json)).unwrap();
        assert_eq!(json["error"]["host"], "a\"><script>alert('1')</script>\\?[31m??&");
        let text = rendered(page(hostile), Format::Text);
        assert!(text.contains("Host: a\"><script>alert('1')</script>\\?[31m??&\n"), "{text}");
    }

    #[test]
    fn json_carries_status_reason_ray_host_and_time() {
        let json: serde_json::Value = serde_json::from_str(&rendered(page(b"shop.example"), Format::Json)).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"error": {
                "status": 403,
                "reason": "blocked",
                "message": Reason::Blocked.text(),
                "ray_id": "8c1f0e5d2a7b4c3d",
                "host": "shop.example",
                "time": "2024-02-29T12:34:56Z",
            }})
        );
    }

    #[test]
    fn html_loads_nothing_and_names_ray_host_and_time() {
        let html = rendered(page(b"shop.example"), Format::Html);
        for forbidden in ["http:", "https:", "src=", "href=", "<script", "url(", "@import"] {
            assert!(!html.contains(forbidden), "{forbidden} stands in the page");
        }
        for expected in [
            "<html lang=\"en\">",
            "403</span> Request blocked</h1>",
            "<dd>8c1f0e5d2a7b4c3d</dd>",
            "<dd>shop.example</dd>",
            "<dd>2024-02-29T12:34:56Z</dd>",
        ] {
            assert!(html.contains(expected), "{expected} is missing from\n{html}");
        }
    }

    #[test]
    fn a_page_is_one_allocation() {
        for format in [Format::Html, Format::Json, Format::Text] {
            let mut out = Vec::new();
            page(&[b'"'; 200]).render(format, &mut out);
            let mut again = Vec::with_capacity(out.len());
            page(&[b'"'; 200]).render(format, &mut again);
            assert_eq!(out, again);
            let reserved = {
                let mut probe = Vec::new();
                page(b"").render(format, &mut probe);
                probe.capacity()
            };
            assert!(reserved >= rendered(page(b""), format).len());
        }
    }

    #[test]
    fn every_reason_is_found_again_by_its_status() {
        for status in [400, 403, 404, 408, 413, 414, 421, 429, 431, 500, 501, 502, 503, 504, 505, 508] {
            assert_eq!(Reason::for_status(status).status(), status);
        }
        assert_eq!(Reason::for_status(405), Reason::BadRequest);
        assert_eq!(Reason::for_status(599), Reason::Internal);
    }
}
