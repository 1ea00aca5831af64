//! Rules and requests by chance: expressions made from the tables of fields and functions, and requests that are made of
//! what a rule looks for, so that about half of them match.

use std::collections::BTreeSet;
use std::fmt::Write;

use fields::{Available, TABLE, Type};
use rules::ast::{Index, ItemValue, Literal, Set};
use rules::functions::{Accepts, FUNCTIONS, Function, Limits, Literal as Written, Returns};
use rules::typed::{Part, Typed};
use rules::{Phase, Use};

use crate::support::Sample;

/// Numbers that look random and are the same each time (Steele and others, "Fast splittable pseudorandom number
/// generators", 2014).
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn one<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }
}

const WORDS: [&str; 29] = [
    "a",
    "b",
    "ab",
    "/",
    ".",
    "",
    "admin",
    "Admin",
    "shop.example",
    "/login",
    ".php",
    "curl/8",
    "bot",
    "select",
    "x-a",
    "A%20b",
    "%2541",
    "+",
    "GET",
    "POST",
    "MTIz",
    "é",
    "%u2601",
    "a,b,,c",
    "1",
    "0123456789abcdef",
    "\\x00\\xff",
    "theme",
    "mysecretkey",
];
/// What stands in requests only: documents, and a token that was made with a key of theirs.
const DOCUMENTS: [&str; 7] = [
    r#"{"a": "b", "b": [1, {"a": -2}], "x-a": "admin"}"#,
    r#"[1, "a", [], {}, {"b": "\u00e9\ud83d\ude00"}]"#,
    r#"{"a": 1, "a": 2, "b": 1.5, "ab": 12e1}"#,
    r#""a""#,
    r#"{"a": "b""#,
    "[[[[7]]]]",
    "/images/cat.jpg?verify=1484063137-GJY9aB56NaBxIjmYsdDN%2BhuFedS39UIn5oHNxViBTJQ%3D",
];
const PATTERNS: [&str; 20] = [
    "a",
    "^/",
    "[a-z]+",
    "(?i)ADMIN|bot",
    "^$",
    "\\\\.php$",
    "(a|b)*c?",
    "\\\\d{1,3}",
    "^[^a]",
    "x*",
    "(?i)s.l",
    "\\\\bselect\\\\b",
    "(?u)\\\\w",
    "[\\\\x80-\\\\xff]",
    "a.b",
    "(a)|(b)",
    "/(.*)/(.*)",
    "%[0-9A-Fa-f]{2}",
    "b$",
    "^.{3,8}$",
];
const WILDCARDS: [&str; 12] =
    ["*", "a*", "*b", "/*", "*admin*", "*/*.php", "", "*a*b*", "r*", "https://*/*", "*\\\\*", "shop*example"];
const REPLACEMENTS: [&str; 6] = ["", "x", "${1}", "/${1}/$$", "${1}${1}", "a$$b"];
const ADDRESSES: [&str; 8] = [
    "192.0.2.7",
    "192.0.2.0",
    "10.1.2.3",
    "2001:db8::7",
    "::ffff:10.1.2.3",
    "255.255.255.255",
    "0.0.0.0",
    "2001:db8::",
];
const NETWORKS: [&str; 8] = [
    "192.0.2.0/24",
    "10.0.0.0/8",
    "2001:db8::/32",
    "0.0.0.0/0",
    "::/0",
    "::ffff:10.0.0.0/104",
    "192.0.2.1..192.0.2.9",
    "2001:db8::..2001:db8::ff",
];
const KEYS: [&str; 10] = ["x-a", "x-b", "X-A", "host", "user-agent", "a", "b", "theme", "accept", ""];
const NUMBERS: [i64; 14] = [0, 1, 2, 3, 4, 7, 8, 12, 443, 8443, 49152, -1, i64::MIN, i64::MAX];

/// A maker of expressions for one place.
pub struct Rules<'c> {
    pub chance: &'c mut Chance,
    pub phase: Phase,
    pub used_as: Use,
}

impl Rules<'_> {
    /// The text of an expression: a condition, or a string where no filter is meant.
    pub fn expression(&mut self) -> String {
        if self.used_as == Use::Filter { self.condition(3) } else { self.value(Type::String, 3, true) }
    }

    fn condition(&mut self, depth: usize) -> String {
        match self.chance.below(if depth == 0 { 6 } else { 12 }) {
            0..=3 => {
                let kind = *self.chance.one(&[
                    Type::String,
                    Type::String,
                    Type::String,
                    Type::Integer,
                    Type::Ip,
                    Type::Boolean,
                ]);
                let value = self.value(kind, depth.min(2), false);
                self.comparison(kind, &value)
            }
            4 => self.value(Type::Boolean, depth.min(2), false),
            5 | 6 => format!("{}({})", self.chance.one(&["any", "all"]), self.condition_on_elements(depth)),
            7 => format!("not {}", self.condition(depth - 1)),
            8 => format!("not ({})", self.condition(depth - 1)),
            _ => {
                let operator = *self.chance.one(&[" and ", " or ", " xor ", " && ", " || ", " ^^ "]);
                let count = 2 + self.chance.below(2);
                (0..count).map(|_| format!("({})", self.condition(depth - 1))).collect::<Vec<_>>().join(operator)
            }
        }
    }

    fn condition_on_elements(&mut self, depth: usize) -> String {
        let kind = *self.chance.one(&[Type::String, Type::String, Type::Integer, Type::Boolean]);
        let element = self.element(kind, depth.min(2));
        let mut one = || match kind {
            Type::Boolean => element.clone(),
            kind => self.comparison(kind, &element),
        };
        match (one(), one()) {
            (first, second) if first.len() % 5 == 0 => format!("({first}) and not ({second})"),
            (first, second) if first.len() % 5 == 1 => format!("{first} or {second}"),
            (first, _) if first.len() % 5 == 2 => format!("not {first}"),
            (first, _) => first,
        }
    }

    fn comparison(&mut self, kind: Type, value: &str) -> String {
        let operator = |chance: &mut Chance| *chance.one(&["eq", "ne", "lt", "le", "gt", "ge", "==", "!=", "<", ">="]);
        match kind {
            Type::String | Type::Bytes => match self.chance.below(9) {
                0 => format!("{value} matches \"{}\"", self.chance.one(&PATTERNS)),
                1 => format!("{value} wildcard \"{}\"", self.chance.one(&WILDCARDS)),
                2 => format!("{value} strict wildcard \"{}\"", self.chance.one(&WILDCARDS)),
                3 => {
                    let items = (0..=self.chance.below(4)).map(|_| self.word()).collect::<Vec<_>>().join(" ");
                    format!("{value} in {{{items}}}")
                }
                4 => format!("{value} in {}", self.chance.one(&["$words", "$hosts"])),
                5 | 6 => format!("{value} contains {}", self.word()),
                _ => format!("{value} {} {}", operator(self.chance), self.word()),
            },
            Type::Integer => match self.chance.below(4) {
                0 => {
                    let first = self.chance.one(&NUMBERS).min(&1000);
                    format!("{value} in {{{first}..{} {}}}", first.saturating_add(5), self.chance.one(&NUMBERS))
                }
                1 => format!("{value} in $networks"),
                _ => format!("{value} {} {}", operator(self.chance), self.chance.one(&NUMBERS)),
            },
            Type::Ip => match self.chance.below(4) {
                0 => format!("{value} in {{{} {}}}", self.chance.one(&NETWORKS), self.chance.one(&ADDRESSES)),
                1 => format!("{value} in $addresses"),
                _ => format!("{value} {} {}", self.chance.one(&["eq", "ne"]), self.chance.one(&ADDRESSES)),
            },
            _ => format!("{value} {} {}", self.chance.one(&["eq", "ne"]), self.chance.one(&["true", "false"])),
        }
    }

    fn word(&mut self) -> String {
        format!("\"{}\"", self.chance.one(&WORDS))
    }

    /// A value of that type for the whole request.
    fn value(&mut self, kind: Type, depth: usize, may_be_literal: bool) -> String {
        let choice = self.chance.below(10);
        if may_be_literal && choice < 3 {
            return match kind {
                Type::Integer => self.chance.one(&NUMBERS).to_string(),
                Type::Boolean => self.chance.one(&["true", "false"]).to_string(),
                Type::Ip => self.chance.one(&ADDRESSES).to_string(),
                _ => self.word(),
            };
        }
        if depth > 0 && choice >= 5 {
            if choice == 5 && kind.is_bytes() {
                return format!("{}[{}]", self.array(depth - 1), self.chance.below(3));
            }
            if let Some(call) = self.call(|returns| returns.agrees(kind), depth - 1, None) {
                return call;
            }
        }
        let fields = self.fields(|field| field.agrees(kind));
        if fields.is_empty() { self.value(kind, depth, true) } else { (*self.chance.one(&fields)).to_owned() }
    }

    /// The names of the fields that are known in the phase, those that ordinary rules read more often.
    fn fields(&mut self, fits: impl Fn(Type) -> bool) -> Vec<&'static str> {
        let sees_response = self.phase.sees_response();
        let known = TABLE.iter().filter(|field| fits(field.kind));
        let known = known.filter(|field| sees_response || field.available != Available::Response);
        let is_common = |name: &str| name.starts_with("http.") || name == "ip.src" || name == "ssl";
        let only_common = !self.chance.once_in(5);
        let names: Vec<&str> = known.map(|field| field.name).collect();
        let common: Vec<&str> = names.iter().copied().filter(|name| is_common(name)).collect();
        if only_common && !common.is_empty() { common } else { names }
    }

    fn array(&mut self, depth: usize) -> String {
        match self.chance.below(if depth == 0 { 3 } else { 5 }) {
            0 | 1 => {
                let maps = self.fields(|kind| matches!(kind, Type::Map(Type::Array(Type::String))));
                format!("{}[\"{}\"]", self.chance.one(&maps), self.chance.one(&KEYS))
            }
            3 => {
                let element = self.element(Type::String, depth - 1);
                let is_string = |returns: Type| returns.is_bytes();
                self.call(is_string, depth - 1, Some(&element)).unwrap_or_else(|| self.array(0))
            }
            4 if self.chance.once_in(2) => format!("concat({}, {})", self.array(depth - 1), self.array(0)),
            4 => {
                let is_array = |returns: Type| matches!(returns, Type::Array(Type::String));
                self.call(is_array, depth - 1, None).unwrap_or_else(|| self.array(0))
            }
            _ => {
                let arrays = self.fields(|kind| kind == Type::Array(&Type::String));
                (*self.chance.one(&arrays)).to_owned()
            }
        }
    }

    /// A value of that type for each element of an array.
    fn element(&mut self, kind: Type, depth: usize) -> String {
        if kind.is_bytes() && (depth == 0 || self.chance.once_in(2)) {
            return format!("{}[*]", self.array(depth));
        }
        let element = self.element(Type::String, depth.saturating_sub(1));
        let fallback = match kind {
            Type::Integer => format!("len({element})[*]"),
            Type::Boolean => format!("starts_with({element}, \"a\")[*]"),
            _ => format!("lower({element})[*]"),
        };
        let call = self.call(|returns| returns.agrees(kind), depth.saturating_sub(1), Some(&element));
        call.map_or(fallback, |call| format!("{call}[*]"))
    }

    /// A function whose result fits, with its arguments; the first is given where it stands for elements.
    fn call(&mut self, fits: impl Fn(Type) -> bool, depth: usize, first: Option<&str>) -> Option<String> {
        let takes_string = |function: &Function| {
            let parameter = &function.parameters[0];
            parameter.literal != Written::Required
                && !matches!(parameter.limits, Limits::Fields(_))
                && parameter.accepts.iter().any(|accepts| accepts.takes(Type::String, Type::String))
        };
        let returned = |function: &Function| match function.returns {
            Returns::Type(kind) => kind,
            Returns::First => Type::String,
        };
        let candidates: Vec<&Function> = FUNCTIONS
            .iter()
            .filter(|function| function.places.contain(self.phase, self.used_as))
            .filter(|function| !matches!(function.name, "any" | "all"))
            .filter(|function| fits(returned(function)) && (first.is_none() || takes_string(function)))
            .collect();
        if candidates.is_empty() {
            return None;
        }
        let function = *self.chance.one(&candidates);
        let most = if function.repeats { 1 + self.chance.below(3) } else { function.parameters.len() };
        let count = function
            .required()
            .max(function.required() + self.chance.below(1 + most.saturating_sub(function.required())));
        let mut arguments: Vec<String> = Vec::new();
        for place in 0..count {
            if place == 0
                && let Some(first) = first
            {
                arguments.push(first.to_owned());
            } else {
                arguments.push(self.argument(function, place, depth)?);
            }
        }
        Some(format!("{}({})", function.name, arguments.join(", ")))
    }

    fn argument(&mut self, function: &Function, place: usize, depth: usize) -> Option<String> {
        let parameter = function.parameter(place)?;
        Some(match parameter.limits {
            Limits::Options(letters) => {
                let options: String = letters.chars().filter(|_| self.chance.once_in(2)).collect();
                format!("\"{options}\"")
            }
            Limits::NotEmpty if function.name == "is_timed_hmac_valid_v0" => "\"mysecretkey\"".to_owned(),
            Limits::NotEmpty => format!("\"{}\"", self.chance.one(&[",", "a", "/", "b,"])),
            Limits::Between(first, last) => {
                if parameter.literal == Written::Allowed && self.chance.once_in(8) {
                    return Some(self.value(Type::Integer, depth, false));
                }
                (first + self.chance.below((last - first).clamp(1, 200) as usize) as i64).to_string()
            }
            Limits::Regex => format!("\"{}\"", self.chance.one(&PATTERNS)),
            Limits::Wildcard => format!("\"{}\"", self.chance.one(&WILDCARDS)),
            Limits::Replacement => format!("\"{}\"", self.chance.one(&REPLACEMENTS)),
            Limits::Fields(fields) => self.chance.one(fields).name().to_owned(),
            // What gives the type of its first argument is called for strings here, and by name for arrays.
            Limits::None if function.returns == Returns::First => self.value(Type::String, depth, true),
            Limits::None => match *self.chance.one(parameter.accepts) {
                Accepts::AnyMap => {
                    let maps = self.fields(|kind| matches!(kind, Type::Map(_)));
                    (*self.chance.one(&maps)).to_owned()
                }
                Accepts::AnyArray | Accepts::ArrayOfValues | Accepts::Type(Type::Array(_)) => self.array(depth),
                Accepts::Type(kind) if parameter.literal == Written::Required => match kind {
                    Type::Integer => self.chance.one(&NUMBERS).to_string(),
                    _ => self.word(),
                },
                Accepts::Type(kind) => self.value(kind, depth, parameter.literal == Written::Allowed),
                Accepts::Element => self.value(Type::String, depth, true),
            },
        })
    }
}

/// What a rule looks for: its strings, keys, numbers and addresses, as text that may stand in a request.
#[derive(Default)]
pub struct Sought {
    texts: Vec<String>,
    keys: Vec<String>,
    addresses: Vec<String>,
}

impl Sought {
    pub fn by(typed: &Typed) -> Self {
        let mut sought = Self::default();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        for node in typed.root.walk() {
            match &node.part {
                Part::Literal(Literal::String(value)) => sought.texts.push(text(value)),
                Part::Literal(Literal::Pattern(pattern)) => sought.texts.push(pattern.replace(['^', '$', '\\'], "")),
                Part::Literal(Literal::Ip(address)) => sought.addresses.push(address.to_string()),
                Part::Index(Index::Key(key)) => sought.keys.push(text(key)),
                Part::In(Set::Items(items)) => {
                    for item in items {
                        match &item.value {
                            ItemValue::String(value) => sought.texts.push(text(value)),
                            ItemValue::Ip(address)
                            | ItemValue::IpRange(address, _)
                            | ItemValue::Network(address, _) => {
                                sought.addresses.push(address.to_string());
                            }
                            ItemValue::Integer(_) | ItemValue::IntegerRange(..) => {}
                        }
                    }
                }
                _ => {}
            }
        }
        sought
    }

    /// A request, and after the response phases begin a response, made of that and of what others are made of.
    pub fn sample(&self, chance: &mut Chance, phase: Phase) -> Sample {
        let method = if chance.once_in(3) { "POST" } else { *chance.one(&["GET", "GET", "PUT"]) };
        let mut head = format!("{method} {} HTTP/1.1\n", self.target(chance));
        let host = if chance.once_in(3) { in_host(&self.text(chance)) } else { String::new() };
        let _ = writeln!(head, "Host: {}", if host.is_empty() { "shop.example" } else { &host });
        for name in ["User-Agent", "Referer", "Accept", "Accept-Language", "Cookie", "X-Forwarded-For"] {
            if chance.once_in(3) {
                let value = self.text(chance);
                let value = if name == "Cookie" { format!("{}={value}; a=b", self.key(chance)) } else { value };
                let _ = writeln!(head, "{name}: {}", in_line(&value));
            }
        }
        let mut names = BTreeSet::from(["host".to_owned()]);
        for _ in 0..chance.below(4) {
            let name = in_name(&self.key(chance));
            // A second Host, or two of what may stand once, is no request.
            if name.is_empty()
                || ["host", "user-agent", "cookie", "content-length"].contains(&name.to_lowercase().as_str())
            {
                continue;
            }
            names.insert(name.to_lowercase());
            let _ = writeln!(head, "{name}: {}", in_line(&self.text(chance)));
        }
        let body = (method != "GET" && !chance.once_in(4)).then(|| self.body(chance));
        if let Some(body) = &body {
            let kind = if chance.once_in(4) { "text/plain" } else { "application/x-www-form-urlencoded" };
            let _ = writeln!(head, "Content-Type: {kind}\nContent-Length: {}", body.len());
        }
        let mut sample = Sample::new(&head).from(&self.address(chance));
        if let Some(body) = body {
            sample = sample.with_body(body.as_bytes());
        }
        if chance.once_in(2) {
            sample = sample.over_tls();
        }
        if phase.sees_response() {
            let status = *chance.one(&["200 OK", "404 Not Found", "503 Unavailable"]);
            let value = in_line(&self.text(chance));
            let error_type: &str = chance.one::<&str>(&["", "", "managed_challenge"]);
            let response = format!("HTTP/1.1 {status}\nContent-Type: text/html\nX-A: {value}\nContent-Length: 0");
            sample = sample.answered(&response, error_type);
        }
        sample
    }

    fn text(&self, chance: &mut Chance) -> String {
        if chance.once_in(12) {
            return (*chance.one(&DOCUMENTS)).to_owned();
        }
        let mut text = String::new();
        for _ in 0..=chance.below(2) {
            let of_the_rule = !self.texts.is_empty() && !chance.once_in(3);
            let word = if of_the_rule { chance.one(&self.texts).clone() } else { (*chance.one(&WORDS)).to_owned() };
            text += &match chance.below(8) {
                0 => word.to_uppercase(),
                1 => word.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat(),
                _ => word,
            };
        }
        text
    }

    fn key(&self, chance: &mut Chance) -> String {
        let of_the_rule = !self.keys.is_empty() && !chance.once_in(3);
        if of_the_rule { chance.one(&self.keys).clone() } else { (*chance.one(&KEYS)).to_owned() }
    }

    fn address(&self, chance: &mut Chance) -> String {
        let of_the_rule = !self.addresses.is_empty() && !chance.once_in(3);
        if of_the_rule { chance.one(&self.addresses).clone() } else { (*chance.one(&ADDRESSES)).to_owned() }
    }

    fn target(&self, chance: &mut Chance) -> String {
        let mut target = String::from("/");
        for place in 0..chance.below(3) {
            target += if place > 0 { "/" } else { "" };
            target += self.text(chance).trim_start_matches('/');
        }
        for place in 0..chance.below(4) {
            target += if place == 0 { "?" } else { "&" };
            target += &self.key(chance);
            if !chance.once_in(5) {
                target += "=";
                target += &self.text(chance);
            }
        }
        let is_plain = |character: char| character.is_ascii_graphic() && !"\"<>\\^`{|}#".contains(character);
        target.chars().filter(|character| is_plain(*character)).collect()
    }

    fn body(&self, chance: &mut Chance) -> String {
        let pairs: Vec<String> =
            (0..chance.below(4)).map(|_| format!("{}={}", self.key(chance), self.text(chance))).collect();
        pairs.join("&")
    }
}

fn in_line(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).collect::<String>().trim().to_owned()
}

fn in_name(text: &str) -> String {
    text.chars().filter(|character| character.is_ascii_alphanumeric() || *character == '-').collect()
}

fn in_host(text: &str) -> String {
    text.chars()
        .filter(|character| character.is_ascii_alphanumeric() || *character == '.')
        .collect::<String>()
        .trim_matches('.')
        .replace("..", ".")
}
