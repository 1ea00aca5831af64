//! Entries of the audit log, as `ModSecurity` v3 writes them and as existing tools read them: native, an entry in sections, or
//! JSON, an entry a line.
//!
//! An entry is made of a transaction that is over and of what only its caller knows: the response as it was sent. It has the
//! bodies that rules were shown. Unless told otherwise it has no secrets: see [`Privacy`].
//!
//! Where it differs from libmodsecurity 3.0.9, so that nobody takes one for the other: `producer` names Bartizan; times are UTC;
//! `reference` says where in the value the match lies, and not where in the request the value does; a header that came
//! several times is one member of JSON with its values listed; bytes that are no UTF-8 are `\xhh`; sections I, J and K are
//! written as the manual describes them, where libmodsecurity leaves them empty.

mod json;
mod native;
mod parts;
mod privacy;
mod rule_line;

use std::borrow::Cow;
use std::fmt::Write;

pub use parts::{Parts, PartsChange};
pub use privacy::Privacy;
pub(crate) use privacy::SaidPart;

use crate::rule::{Disruption, Engine, Rule};
use crate::transaction::{Hit, Match, Response, Transaction};
use crate::variable::Variable;
use privacy::Shown;

/// What of an exchange its transaction does not know.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// When the request came, in seconds since 1970.
    pub began_unix_s: i64,
    /// What stands in the place of the client's address, wherever that is; headers that name clients are then not shown.
    pub client: Option<&'a str>,
    /// As the client was sent it.
    pub response: Response<'a>,
}

/// The entry of an exchange that is over, if the audit log wants it.
pub fn entry(transaction: &Transaction<'_>, exchange: &Exchange<'_>, privacy: Privacy<'_>) -> Option<Vec<u8>> {
    if !transaction.wants_audit(exchange.response.status) {
        return None;
    }
    let shown = Shown { transaction, privacy, hides_clients: exchange.client.is_some() };
    let told = Told { transaction, exchange, shown };
    let entry = if transaction.rules.settings.audit_json { json::entry(&told) } else { native::entry(&told) };
    let address = told.scalar(Variable::RemoteAddr);
    Some(match exchange.client {
        Some(client) if !address.is_empty() => replaced(&entry, address, client.as_bytes()),
        _ => entry,
    })
}

/// A text with another in the place of one that may stand in it.
fn replaced(text: &[u8], one: &[u8], other: &[u8]) -> Vec<u8> {
    let mut to = Vec::with_capacity(text.len());
    let mut copied = 0;
    for at in memchr::memmem::find_iter(text, one) {
        to.extend_from_slice(&text[copied..at]);
        to.extend_from_slice(other);
        copied = at + one.len();
    }
    to.extend_from_slice(&text[copied..]);
    to
}

/// All that an entry is made of.
struct Told<'t> {
    transaction: &'t Transaction<'t>,
    exchange: &'t Exchange<'t>,
    shown: Shown<'t>,
}

impl<'t> Told<'t> {
    fn has(&self, part: u8) -> bool {
        self.transaction.audit_parts.has(part)
    }

    /// The body of the request, in its section.
    fn request_body(&self) -> Cow<'t, [u8]> {
        self.shown.body(&self.transaction.work.audited_body)
    }

    /// The body of the response, in its section.
    fn response_body(&self) -> Cow<'t, [u8]> {
        self.shown.body(self.scalar(Variable::ResponseBody))
    }

    fn scalar(&self, variable: Variable) -> &'t [u8] {
        self.transaction.value(variable, b"").unwrap_or_default()
    }

    /// The version of HTTP alone.
    fn version(&self) -> Cow<'t, str> {
        let protocol = self.scalar(Variable::RequestProtocol);
        String::from_utf8_lossy(protocol.strip_prefix(b"HTTP/").unwrap_or(protocol))
    }

    fn request_headers(&self) -> impl Iterator<Item = (&'t [u8], Cow<'t, [u8]>)> {
        let texts = self.transaction;
        self.transaction
            .entries(Variable::RequestHeaders)
            .map(|(name, value)| (texts.text(name), self.shown.header(texts.text(name), texts.text(value))))
    }

    fn response_headers(&self) -> impl Iterator<Item = (&'t [u8], Cow<'t, [u8]>)> {
        self.exchange.response.headers.iter().map(|(name, value)| (*name, self.shown.header(name, value)))
    }

    /// The matches that the log tells of.
    fn matches(&self) -> impl Iterator<Item = (&'t Rule, &'t Match)> {
        let rules = &self.transaction.rules.rules;
        self.transaction.matches().iter().map(|one| (&rules[one.rule], one)).filter(|(rule, _)| rule.audit_log)
    }

    /// What matched, in the words of `ModSecurity`.
    fn matched(&self, rule: &Rule, one: &Match) -> String {
        let Some(hit) = self.transaction.hits(one).last() else { return String::new() };
        let (Some(variable), Some(question)) =
            (hit.variable, rule.links.get(hit.link).and_then(|link| link.question.as_ref()))
        else {
            return String::new();
        };
        let operator = match question.operator.name() {
            "detectSQLi" => return "detected SQLi using libinjection.".to_owned(),
            "detectXSS" => return "detected XSS using libinjection.".to_owned(),
            name => class(name),
        };
        let parameter = limited(200, shown(question.operator.argument()));
        let (name, value) = (self.full_name(variable, hit), limited(100, shown(&self.shown.hit(hit))));
        format!(
            "Matched \"Operator `{operator}' with parameter `{parameter}' against variable `{name}' (Value: `{value}' )"
        )
    }

    fn full_name(&self, variable: Variable, hit: &Hit) -> String {
        match self.transaction.text(hit.key) {
            [] => variable.name().to_owned(),
            key => format!("{}:{}", variable.name(), shown(key)),
        }
    }

    /// Where in the values the matches lie.
    fn reference(&self, one: &Match) -> String {
        let mut reference = String::new();
        for (start, end) in self.transaction.hits(one).iter().filter_map(|hit| hit.range) {
            // A String takes all that is written to it.
            let _ = write!(reference, "o{start},{}", end - start);
        }
        reference
    }

    /// Whether a match of the rule refuses the request.
    fn is_disruptive(&self, rule: &Rule) -> bool {
        self.transaction.engine == Engine::On
            && matches!(rule.disruption, Disruption::Deny | Disruption::Drop | Disruption::Redirect(_))
    }

    fn engine(&self) -> &'static str {
        match self.transaction.engine {
            Engine::On => "Enabled",
            Engine::DetectionOnly => "DetectionOnly",
            Engine::Off => "Disabled",
        }
    }
}

/// Who wrote the entry.
const PRODUCER: &str = concat!("Bartizan v", env!("CARGO_PKG_VERSION"));

/// The name of an operator as `ModSecurity` tells it: that of its class.
fn class(name: &str) -> String {
    match name {
        "streq" => return "StrEq".to_owned(),
        "strmatch" => return "StrMatch".to_owned(),
        _ => {}
    }
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

/// A text that is not longer than so many bytes, as `ModSecurity` cuts it.
fn limited(most: usize, mut text: String) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        let omitted = text.split_off(end).len();
        // A String takes all that is written to it.
        let _ = write!(text, " ({omitted} characters omitted)");
    }
    text
}

/// Bytes as text: what is no UTF-8, and what would end a line, as `\xhh`.
fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_ascii_control() {
                // A String takes all that is written to it.
                let _ = write!(text, "\\x{:02x}", u32::from(letter));
            } else {
                text.push(letter);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}
