//! The native format: sections between lines that nobody outside can foresee.

use std::hash::{BuildHasher, RandomState};
use std::io::Write;

use super::{Told, limited, rule_line, shown};
use crate::clock::Clock;
use crate::rule::Rule;
use crate::transaction::Match;
use crate::variable::Variable;

/// The entry, from section A to Z.
pub(super) fn entry(told: &Told<'_>) -> Vec<u8> {
    // Random, or whoever writes the body of a request could write entries of his own.
    let boundary = format!("{:08x}", RandomState::new().hash_one(told.exchange.began_unix_s) as u32);
    let mut sections = Sections { to: Vec::new(), boundary };
    sections.write(told);
    sections.to
}

struct Sections {
    to: Vec<u8>,
    boundary: String,
}

impl Sections {
    fn write(&mut self, told: &Told<'_>) {
        self.begin('A');
        self.line(head(told).as_bytes());
        if told.has(b'B') {
            self.request(told);
        }
        self.body(told, 'C', &told.request_body());
        if told.has(b'D') {
            self.empty('D');
        }
        self.body(told, 'E', &told.response_body());
        if told.has(b'F') {
            self.response(told);
        }
        self.line(b"");
        if told.has(b'G') {
            self.empty('G');
        }
        if told.has(b'H') {
            self.messages(told);
        }
        if told.has(b'I') {
            self.arguments(told);
        }
        if told.has(b'J') {
            self.files(told);
        }
        if told.has(b'K') {
            self.begin('K');
            for one in told.transaction.matches() {
                self.line(rule_line::of(&told.transaction.rules.rules[one.rule]).as_bytes());
            }
            self.line(b"");
        }
        self.empty('Z');
    }

    fn body(&mut self, told: &Told<'_>, section: char, body: &[u8]) {
        if told.has(section as u8) && !body.is_empty() {
            self.begin(section);
            self.line(body);
            self.line(b"");
        }
    }

    fn request(&mut self, told: &Told<'_>) {
        self.begin('B');
        let target = told.shown.url(told.scalar(Variable::RequestUriRaw));
        let method = or_dash(told.scalar(Variable::RequestMethod));
        self.line(&[method, b" ", &target, b" HTTP/", told.version().as_bytes()].concat());
        for (name, value) in told.request_headers() {
            self.line(&[name, b": ", &value].concat());
        }
        self.line(b"");
    }

    fn response(&mut self, told: &Told<'_>) {
        self.begin('F');
        self.line(format!("HTTP/{} {}", told.version(), told.exchange.response.status).as_bytes());
        for (name, value) in told.response_headers() {
            self.line(&[name, b": ", &value].concat());
        }
    }

    fn messages(&mut self, told: &Told<'_>) {
        self.begin('H');
        let settings = &told.transaction.rules.settings;
        for (rule, one) in told.matches() {
            let mut line = if told.is_disruptive(rule) {
                let status = told.exchange.response.status;
                format!("ModSecurity: Access denied with code {status} (phase {}). ", rule.phase as u8)
            } else {
                "ModSecurity: Warning. ".to_owned()
            };
            line.push_str(&told.matched(rule, one));
            line.push_str(&details(told, rule, one));
            self.line(line.as_bytes());
        }
        if !settings.components.is_empty() {
            let components: Vec<String> = settings.components.iter().map(|one| format!("\"{}\"", shown(one))).collect();
            self.line(format!("WebApp-Components: {}", components.join(" ")).as_bytes());
        }
        if !settings.sensor_id.is_empty() {
            self.line(format!("Sensor-Id: \"{}\"", shown(&settings.sensor_id)).as_bytes());
        }
        self.line(b"");
    }

    /// The arguments of the body in the form of a query, whatever form they came in, and without files: section I of the
    /// manual. Secrets and what the body holds are taken out of each.
    fn arguments(&mut self, told: &Told<'_>) {
        let texts = told.transaction;
        let pairs: Vec<String> = texts
            .entries(Variable::ArgsPost)
            .map(|(name, value)| {
                let value = told.shown.argument(texts.text(name), texts.text(value));
                format!("{}={}", encoded(texts.text(name)), encoded(&value))
            })
            .collect();
        self.begin('I');
        if !pairs.is_empty() {
            self.line(pairs.join("&").as_bytes());
        }
        self.line(b"");
    }

    /// The files of a form, each with its size, its field and its name, and their sizes together: section J.
    fn files(&mut self, told: &Told<'_>) {
        let texts = told.transaction;
        self.begin('J');
        let sizes: Vec<&[u8]> = texts.entries(Variable::FilesSizes).map(|(_, size)| texts.text(size)).collect();
        for (at, (field, name)) in texts.entries(Variable::Files).enumerate() {
            let size = shown(sizes.get(at).copied().unwrap_or(b"0"));
            let (field, name) = (shown(texts.text(field)), shown(&told.shown.file_name(texts.text(name))));
            self.line(format!("{},{size},\"{field}\",\"{name}\"", at + 1).as_bytes());
        }
        if !sizes.is_empty() {
            self.line(format!("Total,{}", shown(told.scalar(Variable::FilesCombinedSize))).as_bytes());
        }
        self.line(b"");
    }

    fn begin(&mut self, section: char) {
        // A vector takes all that is written to it.
        let _ = writeln!(self.to, "---{}---{section}--", self.boundary);
    }

    fn empty(&mut self, section: char) {
        self.begin(section);
        self.line(b"");
    }

    fn line(&mut self, line: &[u8]) {
        self.to.extend_from_slice(line);
        self.to.push(b'\n');
    }
}

/// `[21/Nov/2026:19:45:00 +0000] id client port server port`.
fn head(told: &Told<'_>) -> String {
    let value = |variable| shown(told.scalar(variable));
    format!(
        "[{} +0000] {} {} {} {} {}",
        Clock::of(told.exchange.began_unix_s).common_log(),
        value(Variable::UniqueId),
        value(Variable::RemoteAddr),
        value(Variable::RemotePort),
        value(Variable::ServerAddr),
        value(Variable::ServerPort),
    )
}

/// What follows the match in a message, in brackets.
fn details(told: &Told<'_>, rule: &Rule, one: &Match) -> String {
    let texts = told.transaction;
    let severity = rule.severity.unwrap_or(0).to_string();
    let mut pairs = vec![
        ("file", rule.place.file.to_string()),
        ("line", rule.place.line.to_string()),
        ("id", rule.id.to_string()),
        ("rev", shown(&rule.revision)),
        ("msg", shown(&told.shown.said(one, &one.message))),
        ("data", limited(200, shown(&told.shown.said(one, &one.logdata)))),
        ("severity", severity),
        ("ver", shown(&rule.version)),
        ("maturity", rule.maturity.unwrap_or(0).to_string()),
        ("accuracy", rule.accuracy.unwrap_or(0).to_string()),
    ];
    pairs.extend(rule.tags.iter().map(|tag| ("tag", shown(tag))));
    let path = told.shown.url(texts.value(Variable::RequestFilename, b"").unwrap_or_default());
    pairs.extend([
        ("hostname", shown(told.scalar(Variable::ServerAddr))),
        ("uri", limited(200, shown(&path))),
        ("unique_id", shown(told.scalar(Variable::UniqueId))),
        ("ref", told.reference(one)),
    ]);
    pairs.iter().fold(String::new(), |details, (name, value)| details + " [" + name + " \"" + value + "\"]")
}

fn or_dash(text: &[u8]) -> &[u8] {
    if text.is_empty() { b"-" } else { text }
}

/// As a form has it (application/x-www-form-urlencoded).
fn encoded(text: &[u8]) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(text.len());
    for byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => encoded.push(char::from(*byte)),
            b' ' => encoded.push('+'),
            // A String takes all that is written to it.
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}
