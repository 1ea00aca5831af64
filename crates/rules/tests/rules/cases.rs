//! The hand-written cases of `cases/*.txt`; `cases/README.md` says how they are written.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::support::Sample;
use rules::{Cache, Context, List, ListKind, Lists, Owned, Phase, Use, compile, compile_value, inspect};

/// What issue 4 asks for at least.
const CASES_MIN: usize = 400;

/// What a case says that comes out.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Verdict(bool),
    Value(Option<Vec<u8>>),
    Refused,
}

/// What stands before a case in its file.
struct Setting {
    client: String,
    port: u16,
    is_tls: bool,
    phase: Phase,
    used_as: Use,
    lists: Lists,
    size: Option<u64>,
    response: Vec<String>,
    request: Vec<String>,
    is_complete: bool,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            client: "192.0.2.7".to_owned(),
            port: 8443,
            is_tls: false,
            phase: Phase::RequestFirewallCustom,
            used_as: Use::Filter,
            lists: Lists::default(),
            size: None,
            response: Vec::new(),
            request: Vec::new(),
            is_complete: true,
        }
    }
}

impl Setting {
    fn set(&mut self, words: &[&str]) {
        match words {
            ["client", address] => (*address).clone_into(&mut self.client),
            ["port", port] => self.port = port.parse().unwrap(),
            ["tls"] => self.is_tls = true,
            ["plain"] => self.is_tls = false,
            ["phase", name] => self.phase = Phase::by_name(name).unwrap(),
            ["use", "filter"] => self.used_as = Use::Filter,
            ["use", "uri"] => self.used_as = Use::UriValue,
            ["use", "header"] => self.used_as = Use::HeaderValue,
            ["use", "redirect"] => self.used_as = Use::RedirectTarget,
            ["truncated", size] => self.size = Some(size.parse().unwrap()),
            ["list", name, kind, items @ ..] => {
                let kind = match *kind {
                    "ip" => ListKind::Ip,
                    "asn" => ListKind::Asn,
                    "hostname" => ListKind::Hostname,
                    "string" => ListKind::String,
                    other => panic!("no kind of list: {other}"),
                };
                self.lists.insert(name, Arc::new(List::new(kind, items.iter().copied()).unwrap()));
            }
            other => panic!("no setting: {other:?}"),
        }
    }

    /// Takes a line of a request; the first of one ends what was said of the one before.
    fn push(&mut self, line: &str) {
        if std::mem::take(&mut self.is_complete) {
            self.request.clear();
        }
        self.request.push(line.to_owned());
    }

    fn sample(&self) -> Sample {
        let end = self.request.iter().position(String::is_empty).unwrap_or(self.request.len());
        let (head, body) = self.request.split_at(end);
        let mut sample =
            Sample::sent(&bytes(&format!("{}\r\n\r\n", head.join("\r\n")))).from(&self.client).at_port(self.port);
        if let Some((_, body)) = body.split_first() {
            let body = bytes(&body.join("\n"));
            sample = match self.size {
                Some(size) => sample.with_part_of_body(&body, size),
                None => sample.with_body(&body),
            };
        }
        if self.is_tls {
            sample = sample.over_tls();
        }
        if self.response.is_empty() { sample } else { sample.answered(&self.response.join("\n"), "") }
    }

    fn outcome(&self, sample: &Sample, expression: &str, cache: &Cache) -> Outcome {
        let context = Context { phase: self.phase, used_as: self.used_as, lists: &self.lists, cache };
        if self.used_as == Use::Filter {
            compile(expression, &context).map_or(Outcome::Refused, |it| Outcome::Verdict(it.matches(&sample.view())))
        } else {
            compile_value(expression, &context)
                .map_or(Outcome::Refused, |it| Outcome::Value(it.evaluate(&sample.view())))
        }
    }

    /// The same by the walk over the tree, which shares no code with the plan.
    fn walked(&self, sample: &Sample, expression: &str, cache: &Cache) -> Outcome {
        let context = Context { phase: self.phase, used_as: self.used_as, lists: &self.lists, cache };
        let Ok(typed) = inspect(expression, &context) else { return Outcome::Refused };
        let trace = typed.trace(&sample.view());
        match (self.used_as, trace.value) {
            (Use::Filter, value) => Outcome::Verdict(value == Some(Owned::Boolean(true))),
            (_, None) => Outcome::Value(None),
            (_, Some(Owned::Bytes(bytes))) => Outcome::Value(Some(bytes)),
            (_, Some(value)) => panic!("{expression} has the value {value:?}"),
        }
    }
}

/// A text with `\xHH` for bytes.
fn bytes(text: &str) -> Vec<u8> {
    let mut pieces = text.split("\\x");
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(&piece[..2], 16).unwrap());
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    bytes
}

/// What a line says that comes out, and the expression.
fn case(line: &str) -> (Outcome, &str) {
    if let Some(rest) = line.strip_prefix('"') {
        let (value, expression) = rest.split_once("\" ").unwrap();
        return (Outcome::Value(Some(bytes(&value.replace("\\\\", "\\").replace("\\\"", "\"")))), expression);
    }
    let (word, expression) = line.split_once([' ', '\n']).unwrap();
    let outcome = match word {
        "true" => Outcome::Verdict(true),
        "false" => Outcome::Verdict(false),
        "error" => Outcome::Refused,
        "missing" => Outcome::Value(None),
        other => panic!("no outcome: {other}"),
    };
    (outcome, expression.trim_start())
}

/// Runs the cases of a file. Their number, and what is wrong with them.
fn run(path: &Path) -> (usize, Vec<String>) {
    let text = fs::read_to_string(path).unwrap().replace("\n    ", "\r    ");
    let (mut setting, cache) = (Setting::default(), Cache::default());
    let (mut count, mut wrong) = (0, Vec::new());
    let mut sample = None;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let line = line.replace('\r', "\n");
        if let Some(words) = line.strip_prefix("@ ") {
            setting.set(&words.split_whitespace().collect::<Vec<_>>());
        } else if let Some(response) = line.strip_prefix("< ") {
            setting.response.push(response.to_owned());
        } else if let Some(request) = line.strip_prefix('>') {
            setting.push(request.strip_prefix(' ').unwrap_or(request));
            sample = None;
        } else {
            let sample = sample.get_or_insert_with(|| setting.sample());
            if !std::mem::replace(&mut setting.is_complete, true) {
                setting.size = None;
                setting.response.clear();
            }
            let (expected, expression) = case(&line);
            count += 1;
            let outcome = setting.outcome(sample, expression, &cache);
            if outcome != expected {
                wrong.push(format!("{}:{}: {line}\n    gives {outcome:?}", path.display(), number + 1));
            }
            assert_eq!(setting.walked(sample, expression, &cache), outcome, "{line}");
            if outcome != Outcome::Refused {
                let printed = rules::parse(expression).unwrap().to_string();
                assert_eq!(rules::parse(&printed), rules::parse(expression), "{line}");
                assert_eq!(setting.outcome(sample, &printed, &cache), outcome, "{line}\n    printed {printed}");
            }
        }
    }
    (count, wrong)
}

#[test]
fn every_case_comes_out_as_documented() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules/cases");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort_unstable();
    let (mut count, mut wrong) = (0, Vec::new());
    for path in &paths {
        let (cases, differ) = run(path);
        count += cases;
        wrong.extend(differ);
    }
    println!("{count} cases of {} files, {} of them wrong", paths.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= CASES_MIN, "{count} cases, and {CASES_MIN} are asked for");
}
