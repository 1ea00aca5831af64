//! What of an exchange an entry shows: secrets are taken out as they are of events, by the names of what holds them.

use std::borrow::Cow;
use std::ops::Range;

use redact::{REDACTED, SecretNames};

use crate::texts::TextId;
use crate::transaction::{Hit, Match, Transaction};
use crate::variable::Variable;

/// Whether an entry has what people entrusted to the site.
#[derive(Debug, Clone, Copy)]
pub enum Privacy<'s> {
    /// Cookies, credentials in headers, arguments named like secrets, and bodies are not shown, nor what of them matched.
    Redacted(&'s SecretNames),
    /// All is shown as it came.
    Whole,
}

/// What is shown of a transaction.
pub(super) struct Shown<'t> {
    pub(super) transaction: &'t Transaction<'t>,
    pub(super) privacy: Privacy<'t>,
    /// Whether headers that name clients are not shown.
    pub(super) hides_clients: bool,
}

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Shown,
    /// Parameters within it may be secrets.
    Searched,
    Hidden,
}

impl<'t> Shown<'t> {
    /// A path with its query.
    pub(super) fn url<'u>(&self, url: &'u [u8]) -> Cow<'u, [u8]> {
        match self.privacy {
            Privacy::Redacted(names) => names.url(url),
            Privacy::Whole => Cow::Borrowed(url),
        }
    }

    /// A header of the request or the response.
    pub(super) fn header<'u>(&self, name: &[u8], value: &'u [u8]) -> Cow<'u, [u8]> {
        self.value(Variable::RequestHeaders, name, value, value)
    }

    /// An argument of a body.
    pub(super) fn argument<'u>(&self, name: &[u8], value: &'u [u8]) -> Cow<'u, [u8]> {
        self.value(Variable::ArgsPost, name, value, value)
    }

    /// The name of a file in a body.
    pub(super) fn file_name<'u>(&self, name: &'u [u8]) -> Cow<'u, [u8]> {
        self.value(Variable::Files, b"", name, name)
    }

    /// A body.
    pub(super) fn body<'u>(&self, body: &'u [u8]) -> Cow<'u, [u8]> {
        match self.privacy {
            Privacy::Redacted(_) if !body.is_empty() => {
                Cow::Owned([REDACTED, format!(" ({} bytes)", body.len()).as_bytes()].concat())
            }
            _ => Cow::Borrowed(body),
        }
    }

    /// What an operator matched in.
    pub(super) fn hit(&self, hit: &Hit) -> Cow<'t, [u8]> {
        let texts = self.transaction;
        let (key, value, transformed) = (texts.text(hit.key), texts.text(hit.value), texts.text(hit.transformed));
        hit.variable.map_or(Cow::Borrowed(transformed), |variable| self.value(variable, key, value, transformed))
    }

    /// A text that a rule said, without the secrets of what its macros stood for.
    pub(super) fn said(&self, one: &Match, range: &Range<u32>) -> Cow<'t, [u8]> {
        let said = &self.transaction.work.said;
        let whole = &said[range.start as usize..range.end as usize];
        if matches!(self.privacy, Privacy::Whole) && !self.hides_clients {
            return Cow::Borrowed(whole);
        }
        let mut text = Vec::with_capacity(whole.len());
        let mut copied = range.start;
        let within = |part: &&SaidPart| part.start >= range.start && part.end <= range.end;
        for part in self.transaction.work.said_parts.iter().filter(within) {
            text.extend_from_slice(&said[copied as usize..part.start as usize]);
            text.extend_from_slice(&self.part(one, part));
            copied = part.end;
        }
        text.extend_from_slice(&said[copied as usize..range.end as usize]);
        Cow::Owned(text)
    }

    fn part(&self, one: &Match, part: &SaidPart) -> Cow<'t, [u8]> {
        let text = &self.transaction.work.said[part.start as usize..part.end as usize];
        let key = self.transaction.text(part.key);
        let is_capture = part.variable == Variable::Tx && matches!(key, [b'0'..=b'9']);
        if !part.variable.is_of_matches() && !is_capture {
            return self.value(part.variable, key, text, text);
        }
        let fate = match part.variable {
            Variable::MatchedVarName | Variable::MatchedVarsNames => Fate::Shown,
            Variable::MatchedVar => self.fates(one).last().unwrap_or(Fate::Hidden),
            // Which of the values it is of is not known any more: it is shown if it may be, whichever it is.
            _ => self.fates(one).max_by_key(|fate| *fate as u8).unwrap_or(Fate::Hidden),
        };
        self.of_fate(fate, text)
    }

    /// What becomes of each value in which a rule matched.
    fn fates(&self, one: &Match) -> impl Iterator<Item = Fate> {
        let texts = self.transaction;
        texts.hits(one).iter().filter_map(|hit| {
            let (key, value) = (texts.text(hit.key), texts.text(hit.value));
            hit.variable.map(|variable| self.fate(variable, key, value))
        })
    }

    fn value<'u>(&self, variable: Variable, key: &[u8], value: &[u8], shown: &'u [u8]) -> Cow<'u, [u8]> {
        self.of_fate(self.fate(variable, key, value), shown)
    }

    fn of_fate<'u>(&self, fate: Fate, text: &'u [u8]) -> Cow<'u, [u8]> {
        match (fate, self.privacy) {
            (Fate::Hidden, _) if !text.is_empty() => Cow::Owned(REDACTED.to_vec()),
            (Fate::Searched, Privacy::Redacted(names)) => names.url(text),
            _ => Cow::Borrowed(text),
        }
    }

    fn fate(&self, variable: Variable, key: &[u8], value: &[u8]) -> Fate {
        use Variable as V;
        let is_header = matches!(variable, V::RequestHeaders | V::ResponseHeaders);
        if self.hides_clients && is_header && redact::names_a_client(key) {
            return Fate::Hidden;
        }
        let Privacy::Redacted(names) = self.privacy else { return Fate::Shown };
        match variable {
            V::RequestHeaders | V::ResponseHeaders => {
                let is_cookie = [b"cookie".as_slice(), b"set-cookie"].iter().any(|one| one.eq_ignore_ascii_case(key));
                if is_cookie || names.is_secret(key) { Fate::Hidden } else { Fate::Searched }
            }
            V::Args | V::ArgsGet | V::ArgsPost => {
                if names.is_secret(key) || !self.is_of_query(key, value) {
                    Fate::Hidden
                } else {
                    Fate::Searched
                }
            }
            V::RequestUri | V::RequestUriRaw | V::RequestLine | V::QueryString => Fate::Searched,
            V::RequestFilename | V::RequestBasename | V::PathInfo => Fate::Searched,
            V::RequestCookies | V::RequestBody | V::FullRequest | V::Xml | V::ResponseBody => Fate::Hidden,
            V::Files | V::FilesNames | V::FilesTmpContent | V::MultipartFilename => Fate::Hidden,
            V::MultipartName | V::MultipartPartHeaders => Fate::Hidden,
            V::RemoteUser | V::SessionId | V::UserId | V::Env => Fate::Hidden,
            // Rules put there what they want: a number is a count or a score.
            V::Tx | V::Ip | V::Global | V::Resource | V::Session | V::User => {
                if is_number(value) {
                    Fate::Shown
                } else {
                    Fate::Hidden
                }
            }
            _ => Fate::Shown,
        }
    }

    /// Whether an argument came in the query, which is shown elsewhere too, and not in a body.
    fn is_of_query(&self, key: &[u8], value: &[u8]) -> bool {
        let texts = self.transaction;
        texts.entries(Variable::ArgsGet).any(|(name, one)| texts.text(name) == key && texts.text(one) == value)
    }
}

fn is_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    digits.len() <= 9 && digits.iter().all(u8::is_ascii_digit)
}

/// A part of what rules said that stands for a value, by its place in all that was said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SaidPart {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) variable: Variable,
    pub(crate) key: TextId,
}
