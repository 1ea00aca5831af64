//! Whether rules do the same with gates, folding and all that spares work as without: `gates RULES REQUESTS SEED`.
//!
//! Standard input has requests, each behind its length (four bytes, the lowest first). Of these others are made by chance:
//! spliced, encoded, with what the rules look for put in. Each is judged both ways, and all that can be told of it must be
//! equal. One JSON line says how many there were and where they differ; `proofs/gates.py` runs it.

mod made;
#[path = "../tests/support/outcome.rs"]
mod outcome;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::Path;

use made::{Chance, Sought};
use outcome::Outcome;
use seclang::load;
use seclang::message::Message;
use seclang::rule::Engine;
use seclang::ruleset::RuleSet;
use seclang::transaction::{Request, Response, Transaction, Workspace};

/// How many differences are shown.
const SHOWN: usize = 3;
/// The memory of requests goes from one to the next, but begins anew now and then.
const ANEW: usize = 5_000;

/// Headers that rules look at.
const NAMES: [&[u8]; 6] = [b"User-Agent", b"Referer", b"X-Forwarded-For", b"Accept", b"X-Any", b"Range"];
/// Types of responses.
const KINDS: [&[u8]; 3] = [b"text/html", b"text/plain; charset=utf-8", b"image/png"];

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, count, seed] = arguments.as_slice() else {
        return Err("usage: gates RULES REQUESTS SEED".into());
    };
    let (count, seed): (usize, u64) = (count.parse()?, seed.parse()?);
    let rules = load::file(Path::new(path)).map_err(|problems| problems[0].to_string())?;
    let seeds = seeds()?;
    let questions = rules.rules.iter().flat_map(|rule| &rule.links).filter_map(|link| link.question.as_ref());
    let sought: Vec<Sought> = questions.filter_map(Sought::of).collect();
    let mut chance = Chance::new(seed);
    let (mut gated, mut plain) = (Workspace::default(), Workspace::default());
    let (mut matched, mut refused, mut different) = (BTreeSet::new(), 0_usize, Vec::new());
    for number in 0..count {
        if number % ANEW == 0 {
            (gated, plain) = (Workspace::default(), Workspace::default());
        }
        let made = Made::new(&seeds, &sought, &mut chance);
        let mut first;
        let mut second;
        (first, gated) = judged(&rules, gated, &made, true);
        (second, plain) = judged(&rules, plain, &made, false);
        refused += usize::from(first.interruption.is_some());
        // A rule that is done when the files are loaded, whatever the request is, has matched in nothing of it.
        for (one, other) in first.matches.iter_mut().zip(&mut second.matches) {
            if one.hits.is_empty() || other.hits.is_empty() {
                one.hits.clear();
                other.hits.clear();
            }
        }
        if first != second {
            different.push(made.shown(&first, &second));
        }
        matched.extend(first.matches.into_iter().map(|told| told.id));
    }
    let line = serde_json::json!({
        "requests": count,
        "seeds": seeds.len(),
        "rules": rules.rules.len(),
        "rules_matched": matched.len(),
        "refused": refused,
        "different": different.len(),
        "shown": &different[..different.len().min(SHOWN)],
    });
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

fn seeds() -> Result<Vec<Vec<u8>>, Failure> {
    let mut input = Vec::new();
    std::io::stdin().lock().read_to_end(&mut input)?;
    let (mut rest, mut seeds) = (input.as_slice(), Vec::new());
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = u32::from_le_bytes(*length) as usize;
        let seed = after.get(..length).ok_or("standard input ends within a request")?;
        seeds.push(seed.to_vec());
        rest = &after[length..];
    }
    if seeds.is_empty() { Err("standard input has no requests".into()) } else { Ok(seeds) }
}

fn judged(rules: &RuleSet, work: Workspace, made: &Made, gates: bool) -> (Outcome, Workspace) {
    let mut transaction = Transaction::new(rules, work).with_engine(made.engine);
    if !gates {
        transaction = transaction.without_gates();
    }
    let headers: Vec<(&[u8], &[u8])> = made.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    transaction.request_head(&Request {
        client: ([192, 0, 2, 7], 40_000).into(),
        server: ([198, 51, 100, 1], 443).into(),
        method: &made.method,
        target: &made.target,
        protocol: &made.protocol,
        headers: &headers,
        id: b"ray",
    });
    transaction.request_body(&made.body, made.is_cut);
    let kind = (&b"Content-Type"[..], made.kind);
    transaction.response_head(&Response { status: made.status, protocol: b"HTTP/1.1", headers: &[kind] });
    transaction.response_body(&made.response, false);
    transaction.log();
    let outcome = Outcome::of(&transaction, &["blocking_inbound_anomaly_score"]);
    (outcome, *transaction.into_workspace())
}

/// A request and its response, made by chance.
struct Made {
    method: Vec<u8>,
    target: Vec<u8>,
    protocol: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    is_cut: bool,
    engine: Engine,
    status: u16,
    kind: &'static [u8],
    response: Vec<u8>,
}

impl Made {
    fn new(seeds: &[Vec<u8>], sought: &[Sought], chance: &mut Chance) -> Self {
        let message = Message::request(chance.one::<Vec<u8>>(seeds));
        let mut made = Self {
            method: message.first[0].to_vec(),
            target: message.first[1].to_vec(),
            protocol: message.first[2].to_vec(),
            headers: message.headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
            body: message.body.to_vec(),
            is_cut: chance.once_in(20),
            engine: if chance.once_in(3) { Engine::On } else { Engine::DetectionOnly },
            status: *chance.one(&[200, 200, 302, 404, 500]),
            kind: chance.one::<&[u8]>(&KINDS),
            response: Vec::new(),
        };
        for _ in 0..chance.below(6) {
            made.change(seeds, sought, chance);
        }
        if chance.once_in(2) {
            for _ in 0..=chance.below(4) {
                let text = text(seeds, sought, chance);
                made.response.extend_from_slice(&text);
            }
        }
        made
    }

    fn change(&mut self, seeds: &[Vec<u8>], sought: &[Sought], chance: &mut Chance) {
        let text = text(seeds, sought, chance);
        match chance.below(12) {
            0 => insert(&mut self.target, b"?", &text, chance),
            1 | 2 => {
                let mark = if self.target.contains(&b'?') { &b"&"[..] } else { b"?" };
                self.target.extend_from_slice(mark);
                self.target.extend(pair(&text, b'=', chance));
            }
            3 => {
                let name: &[u8] = chance.one::<&[u8]>(&NAMES);
                self.headers.push((name.to_vec(), text));
            }
            4 => self.headers.push((b"Cookie".to_vec(), pair(&text, b'=', chance))),
            5 if !self.headers.is_empty() => {
                let at = chance.below(self.headers.len());
                insert(&mut self.headers[at].1, b"", &text, chance);
            }
            6 if !self.headers.is_empty() => {
                let at = chance.below(self.headers.len());
                if chance.once_in(2) {
                    self.headers.remove(at);
                } else {
                    let again = self.headers[at].clone();
                    self.headers.push(again);
                }
            }
            7 | 8 => self.form(&text, chance),
            9 => insert(&mut self.body, b"", &text, chance),
            10 => {
                let methods = [&b"GET"[..], b"POST", b"PUT", b"HEAD", b"OPTIONS", b"TRACE", b"get", b"X"];
                self.method = chance.one(&methods).to_vec();
            }
            _ => {
                let part = if chance.once_in(2) { &mut self.target } else { &mut self.body };
                damage(part, chance);
            }
        }
    }

    /// A body in one of the forms that are read.
    fn form(&mut self, text: &[u8], chance: &mut Chance) {
        self.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(b"content-type"));
        let (kind, body) = match chance.below(4) {
            0 => (&b"application/x-www-form-urlencoded"[..], pair(text, b'=', chance)),
            1 => {
                let quoted: Vec<u8> = text
                    .iter()
                    .flat_map(|byte| match byte {
                        b'"' | b'\\' => vec![b'\\', *byte],
                        0..=31 => format!("\\u{byte:04x}").into_bytes(),
                        _ => vec![*byte],
                    })
                    .collect();
                (
                    &b"application/json"[..],
                    [b"{\"a\":[{\"", &quoted[..quoted.len().min(20)], b"\":\"", &quoted, b"\"}]}"].concat(),
                )
            }
            2 => (&b"text/xml"[..], [b"<a b='", chance.piece(text, 40), b"'><c>", text, b"</c></a>"].concat()),
            _ => (
                &b"multipart/form-data; boundary=x"[..],
                [
                    b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n",
                    text,
                    b"\r\n--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"",
                    chance.piece(text, 40),
                    b"\"\r\n\r\nbody\r\n--x--\r\n",
                ]
                .concat(),
            ),
        };
        self.headers.push((b"Content-Type".to_vec(), kind.to_vec()));
        self.body = body;
    }

    fn shown(&self, first: &Outcome, second: &Outcome) -> serde_json::Value {
        let shown = |text: &[u8]| text.escape_ascii().to_string();
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| [shown(name), shown(value)]).collect();
        serde_json::json!({
            "method": shown(&self.method), "target": shown(&self.target), "protocol": shown(&self.protocol),
            "headers": headers, "body": shown(&self.body), "cut": self.is_cut, "engine": format!("{:?}", self.engine),
            "status": self.status, "response": shown(&self.response),
            "with": format!("{first:?}"), "without": format!("{second:?}"),
        })
    }
}

/// Something to put in: what a rule looks for, or a piece of another request, encoded at times.
fn text(seeds: &[Vec<u8>], sought: &[Sought], chance: &mut Chance) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..=chance.below(2) {
        if chance.once_in(3) {
            let seed = chance.one(seeds);
            text.extend_from_slice(chance.piece(seed, 80));
        } else {
            chance.one(sought).make(chance, &mut text);
        }
    }
    if chance.once_in(8) {
        damage(&mut text, chance);
    }
    while chance.once_in(3) {
        text = encoded(&text, chance);
    }
    text.truncate(600);
    text
}

/// A piece of a text in one of the spellings that transformations read.
fn encoded(text: &[u8], chance: &mut Chance) -> Vec<u8> {
    let start = chance.below(text.len() + 1);
    let end = start + chance.below(text.len() - start + 1);
    let spelling = chance.below(12);
    let mut spelled = text[..start].to_vec();
    for byte in &text[start..end] {
        match spelling {
            0 => spelled.extend(format!("%{byte:02x}").into_bytes()),
            1 => spelled.extend(format!("%25{byte:02X}").into_bytes()),
            2 => spelled.extend(format!("%u00{byte:02x}").into_bytes()),
            3 => spelled.extend(format!("&#x{byte:x};").into_bytes()),
            4 => spelled.extend(format!("&#{byte};").into_bytes()),
            5 => spelled.extend(format!("\\x{byte:02x}").into_bytes()),
            6 => spelled.extend(format!("\\u00{byte:02x}").into_bytes()),
            7 => spelled.extend(format!("\\{byte:o}").into_bytes()),
            8 => spelled.push(byte.to_ascii_uppercase()),
            9 => spelled.push(byte ^ 0x20),
            10 => spelled.extend_from_slice(&[*byte, *chance.one(b"\0\\'\"^ \t\x0b\xa0")]),
            _ => spelled.extend_from_slice(&[b"/**/", &[*byte][..]].concat()),
        }
    }
    spelled.extend_from_slice(&text[end..]);
    spelled
}

/// A name with a value, the text as either.
fn pair(text: &[u8], between: u8, chance: &mut Chance) -> Vec<u8> {
    let escaped: Vec<u8> = text
        .iter()
        .flat_map(|byte| match byte {
            b'&' | b'#' | b'%' | b'+' | b';' if chance.once_in(2) => format!("%{byte:02X}").into_bytes(),
            _ => vec![*byte],
        })
        .collect();
    if chance.once_in(4) {
        [&escaped, &[between][..], b"1"].concat()
    } else {
        [b"q", &[between][..], &escaped].concat()
    }
}

/// Puts a text in, not before the first of `behind`.
fn insert(part: &mut Vec<u8>, behind: &[u8], text: &[u8], chance: &mut Chance) {
    let least = behind.first().and_then(|mark| part.iter().position(|byte| byte == mark)).map_or(0, |at| at + 1);
    let at = least + chance.below(part.len() - least + 1);
    part.splice(at..at, text.iter().copied());
}

/// Changes a few bytes.
fn damage(part: &mut Vec<u8>, chance: &mut Chance) {
    for _ in 0..=chance.below(3) {
        let at = chance.below(part.len() + 1);
        match chance.below(4) {
            0 => part.insert(at, chance.number() as u8),
            1 => part.insert(at, *chance.one(b"\0%&=;'\"<>()/\\ \n+.,-#$`{}[]*")),
            2 if at < part.len() => drop(part.remove(at)),
            _ => {
                let again = chance.piece(part, 20).to_vec();
                part.splice(at..at, again);
            }
        }
    }
}
