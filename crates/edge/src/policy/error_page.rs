//! Pages of the owner's own in the place of errors: those of the rules `serve_error`, and those that a zone or the account
//! gives for a type of error, which Cloudflare's documentation calls Error Pages.
//!
//! What a rule serves goes before the page of a zone, that before the page of the account, and that before the edge's own; a
//! rule that blocks in its own words is answered by these ([`crate::exchange`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::diagnostic::{Diagnostic, Place};
use crate::page::Reason;

/// A page in the place of an error.
#[derive(Debug)]
pub struct ErrorPage {
    /// The status; the one that there was where nothing.
    pub status: Option<u16>,
    /// The `Content-Type`.
    pub content_type: &'static str,
    /// The body, its tokens not replaced.
    pub content: Bytes,
}

/// What stands in a page for its tokens.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    /// The client's address.
    pub client_ip: &'a str,
    /// The Ray ID.
    pub ray: &'a str,
    /// The code of the client's country; empty where it is not known.
    pub country: &'a str,
    /// The error, in words of the edge's own that need no escape.
    pub error: &'a str,
}

/// The pages that a zone or the account gives, by type.
#[derive(Debug, Default)]
pub(super) struct ErrorPages {
    waf_block: Option<Arc<ErrorPage>>,
    errors_500: Option<Arc<ErrorPage>>,
}

const SERVER_ERROR: &str = "::CLOUDFLARE_ERROR_500S_BOX::";
/// As documented.
const CONTENT_MAX: usize = 1_500_000;

/// Documented types of errors that do not occur here, and why.
const REFUSED: &[(&str, &str)] = &[
    ("1000_errors", "there are no errors of that class"),
    ("basic_challenge", "there are no challenges"),
    ("country_challenge", "there are no challenges"),
    ("ip_block", "there are no rules of that kind; what a rule blocks gets the page \"waf_block\""),
    ("managed_challenge", "there are no challenges"),
    ("ratelimit_block", "there are no rate limits"),
    ("under_attack", "there are no challenges"),
    ("waf_challenge", "there are no challenges"),
];

impl ErrorPage {
    /// The body for a client. What stands for a token is an address, a Ray ID, a code or the edge's own word, none of which
    /// any form of page has to escape.
    pub fn render(&self, tokens: &Tokens<'_>) -> Vec<u8> {
        let values = [
            ("::CLIENT_IP::", tokens.client_ip),
            ("::RAY_ID::", tokens.ray),
            ("::GEO::", tokens.country),
            (SERVER_ERROR, tokens.error),
        ];
        let mut page = Vec::with_capacity(self.content.len() + 128);
        let mut rest = &self.content[..];
        while let Some(at) = memchr::memmem::find(rest, b"::") {
            let found = values.into_iter().find(|(token, _)| rest[at..].starts_with(token.as_bytes()));
            let (taken, value) = found.map_or((1, ":"), |(token, value)| (token.len(), value));
            page.extend_from_slice(&rest[..at]);
            page.extend_from_slice(value.as_bytes());
            rest = &rest[at + taken..];
        }
        page.extend_from_slice(rest);
        page
    }
}

impl ErrorPages {
    /// The pages of a document, by type.
    pub fn read(given: BTreeMap<String, String>, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) -> Self {
        let mut pages = Self::default();
        for (name, content) in given {
            let place = place.key(&name);
            let (slot, token) = match name.as_str() {
                "waf_block" => (&mut pages.waf_block, None),
                "500_errors" => (&mut pages.errors_500, Some(SERVER_ERROR)),
                _ => {
                    wrong.push(place.error(match REFUSED.iter().find(|(refused, _)| *refused == name) {
                        Some((_, reason)) => format!("page \"{name}\" would never be shown: {reason} here; remove it"),
                        None => format!("unknown type of error \"{name}\"; use waf_block or 500_errors"),
                    }));
                    continue;
                }
            };
            if let Some(message) = fault(&name, &content, token) {
                wrong.push(place.error(message));
                continue;
            }
            let content_type = "text/html; charset=utf-8";
            *slot = Some(Arc::new(ErrorPage { status: None, content_type, content: Bytes::from(content) }));
        }
        pages
    }

    /// The page in the place of the edge's own; as documented there is none for the statuses 500, 501, 503 and 505.
    pub fn page(&self, reason: Reason) -> Option<&Arc<ErrorPage>> {
        match (reason, reason.status()) {
            (Reason::Blocked, _) => self.waf_block.as_ref(),
            (_, 500 | 501 | 503 | 505) => None,
            (_, 500..) => self.errors_500.as_ref(),
            _ => None,
        }
    }
}

/// Why a text cannot be the page of that type.
fn fault(name: &str, content: &str, token: Option<&str>) -> Option<String> {
    if content.len() > CONTENT_MAX {
        return Some(format!("page \"{name}\" has {} bytes; it can have {CONTENT_MAX}", content.len()));
    }
    let lower = content.to_ascii_lowercase();
    if !lower.contains("<head>") || !lower.contains("</head>") {
        return Some(format!("page \"{name}\" has no <head> with its </head>; write HTML that has both"));
    }
    let token = token.filter(|token| !content.contains(token))?;
    Some(format!("page \"{name}\" does not say what happened; write {token} where it is to stand"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_its_tokens_replaced_and_nothing_else() {
        let page = |content: &'static str| {
            let page =
                ErrorPage { status: None, content_type: "text/plain", content: Bytes::from_static(content.as_bytes()) };
            let tokens =
                Tokens { client_ip: "192.0.2.7", ray: "0123456789abcdef", country: "DE", error: "504 Gateway timeout" };
            String::from_utf8(page.render(&tokens)).unwrap()
        };
        assert_eq!(page("::CLIENT_IP:: ::RAY_ID:: [::GEO::]"), "192.0.2.7 0123456789abcdef [DE]");
        assert_eq!(page("a::b :::RAY_ID:: ::RAY_ID ::1"), "a::b :0123456789abcdef ::RAY_ID ::1");
        assert_eq!(page("<h2>::CLOUDFLARE_ERROR_500S_BOX::</h2>"), "<h2>504 Gateway timeout</h2>");
    }

    #[test]
    fn a_page_stands_for_the_errors_of_its_type_alone() {
        let given = [("waf_block", "block"), ("500_errors", SERVER_ERROR)]
            .map(|(name, text)| (name.to_owned(), format!("<HEAD></head>{text}")));
        let mut wrong = Vec::new();
        let pages = ErrorPages::read(BTreeMap::from(given), &Place::Root, &mut wrong);
        assert_eq!(wrong, []);
        let of = |reason| pages.page(reason).map(|page| page.content.ends_with(b"block"));
        assert_eq!(of(Reason::Blocked), Some(true));
        for reason in [Reason::OriginUnreachable, Reason::OriginTimeout, Reason::LoopDetected] {
            assert_eq!(of(reason), Some(false), "{reason:?}");
        }
        for reason in [
            Reason::Internal,
            Reason::NotImplemented,
            Reason::Unavailable,
            Reason::VersionNotSupported,
            Reason::BodyTooLarge,
            Reason::RateLimited,
        ] {
            assert_eq!(of(reason), None, "{reason:?}");
        }
    }

    #[test]
    fn a_page_that_cannot_be_is_refused_with_its_place_and_the_way_out() {
        let long = format!("<head></head>{}", "x".repeat(CONTENT_MAX));
        for (name, content, message) in [
            ("waf_block", "hello", "page \"waf_block\" has no <head> with its </head>; write HTML that has both"),
            ("waf_block", &long, "page \"waf_block\" has 1500013 bytes; it can have 1500000"),
            (
                "500_errors",
                "<head></head>",
                "page \"500_errors\" does not say what happened; write ::CLOUDFLARE_ERROR_500S_BOX:: where it is to stand",
            ),
            (
                "managed_challenge",
                "<head></head>",
                "page \"managed_challenge\" would never be shown: there are no challenges here; remove it",
            ),
            ("404", "<head></head>", "unknown type of error \"404\"; use waf_block or 500_errors"),
        ] {
            let mut wrong = Vec::new();
            let given = BTreeMap::from([(name.to_owned(), content.to_owned())]);
            ErrorPages::read(given, &Place::Root.key("error_pages"), &mut wrong);
            let found: Vec<_> = wrong.iter().map(ToString::to_string).collect();
            assert_eq!(found, [format!("error_pages.{name}: {message}")]);
        }
    }
}
