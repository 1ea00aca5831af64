//! JSON (RFC 8259) as arguments.
//!
//! Every string, number and literal is an argument, called `json` and the way to it: `{"a":[{"b":1}]}` has `json.a.0.b`. Elements of
//! arrays are called by their number alone, which is how exclusions for CRS are written; `libmodsecurity` writes `array_0`.
//! An object or an array is none itself, and `null` is empty. A name that comes twice is there twice: parsers differ on which
//! counts.
//!
//! Strings are unescaped to bytes; half a surrogate pair becomes U+FFFD. Bytes that are no UTF-8 stay as they are: whether they may
//! be there is for a rule to say.

use memchr::memchr2;

use super::{Error, Limits, Source, TOO_MANY_ARGUMENTS};
use crate::pairs::Pairs;

/// What all names begin with.
const ROOT: &[u8] = b"json";
/// Names and values may take so many times the bytes of the body. Deep documents repeat long names: without a limit 30 kB could
/// become megabytes.
const GROWTH: usize = 8;
/// What they may take of any body.
const LEAST_ROOM: usize = 4096;

/// Reads JSON. Keeps its memory from one body to the next.
#[derive(Debug, Default)]
pub struct Reader {
    path: Vec<u8>,
    open: Vec<Open>,
}

/// An object or array that is not closed yet.
#[derive(Debug)]
struct Open {
    /// The length of its name.
    name: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Object,
    /// With the number of the element that is read.
    Array(usize),
}

impl Reader {
    /// The memory that it holds, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.path.capacity() + self.open.capacity() * size_of::<Open>()
    }

    /// Adds what a body holds to `arguments`.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong. What stands before it was added.
    pub fn parse(&mut self, source: Source<'_>, limits: &Limits, arguments: &mut Pairs) -> Result<(), Error> {
        self.path.clear();
        self.path.extend_from_slice(ROOT);
        self.open.clear();
        let room = arguments.size() + (source.bytes.len() * GROWTH).max(LEAST_ROOM);
        let (path, open) = (&mut self.path, &mut self.open);
        let mut parser = Parser { text: source.bytes, at: 0, path, open, limits, room, arguments };
        match parser.parse() {
            Err(error) if source.is_cut && error.at() == source.bytes.len() => Ok(()),
            found => found,
        }
    }
}

struct Parser<'p> {
    text: &'p [u8],
    at: usize,
    /// The name of the value that is read.
    path: &'p mut Vec<u8>,
    open: &'p mut Vec<Open>,
    limits: &'p Limits,
    /// How large `arguments` may become.
    room: usize,
    arguments: &'p mut Pairs,
}

impl Parser<'_> {
    fn parse(&mut self) -> Result<(), Error> {
        loop {
            if self.value()? {
                continue;
            }
            loop {
                let Some(open) = self.open.last_mut() else {
                    return match self.next() {
                        None => Ok(()),
                        Some(_) => Err(self.wrong("something follows the document")),
                    };
                };
                self.path.truncate(open.name);
                let closing = if open.kind == Kind::Object { b'}' } else { b']' };
                match self.next() {
                    Some(b',') => {
                        self.at += 1;
                        self.begin_item()?;
                        break;
                    }
                    Some(byte) if byte == closing => {
                        self.at += 1;
                        self.open.pop();
                    }
                    _ => return Err(self.wrong("neither a comma nor the end of an object or array")),
                }
            }
        }
    }

    /// Reads a value, of an object or an array what stands before its first value. Returns whether a value follows.
    fn value(&mut self) -> Result<bool, Error> {
        match self.next() {
            Some(b'{') => self.open(Kind::Object, b'}'),
            Some(b'[') => self.open(Kind::Array(0), b']'),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true", b"true"),
            Some(b'f') => self.literal(b"false", b"false"),
            Some(b'n') => self.literal(b"null", b""),
            _ => Err(self.wrong("no value")),
        }
    }

    fn open(&mut self, kind: Kind, closing: u8) -> Result<bool, Error> {
        if self.open.len() >= self.limits.json_depth {
            return Err(self.wrong("nested deeper than SecRequestBodyJsonDepthLimit allows"));
        }
        self.at += 1;
        if self.next() == Some(closing) {
            self.at += 1;
            return Ok(false);
        }
        self.open.push(Open { name: self.path.len(), kind });
        // The first element gets the number 0 where those after a comma get the next.
        match kind {
            Kind::Object => self.member()?,
            Kind::Array(number) => self.push_number(number),
        }
        Ok(true)
    }

    /// Reads what stands before a value behind a comma.
    fn begin_item(&mut self) -> Result<(), Error> {
        match self.open.last_mut().map(|open| &mut open.kind) {
            Some(Kind::Array(number)) => {
                *number += 1;
                let number = *number;
                self.push_number(number);
                Ok(())
            }
            _ => self.member(),
        }
    }

    fn push_number(&mut self, number: usize) {
        let (mut digits, mut first, mut rest) = ([b'0'; 20], 20, number);
        while first == 20 || rest > 0 {
            first -= 1;
            digits[first] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        self.path.push(b'.');
        self.path.extend_from_slice(&digits[first..]);
    }

    /// Reads the name of a member and its colon.
    fn member(&mut self) -> Result<(), Error> {
        if self.next() != Some(b'"') {
            return Err(self.wrong("no name of a member"));
        }
        self.path.push(b'.');
        let (after, found) = unescape(self.text, self.at + 1, self.path);
        #[cfg(feature = "planted")]
        assert!(
            self.open.len() < 3 || !self.text[self.at..after].windows(2).any(|pair| pair == b"\\u"),
            "planted: an escaped character in a name, three levels deep"
        );
        self.at = after;
        found?;
        if self.next() != Some(b':') {
            return Err(self.wrong("no colon behind the name of a member"));
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<bool, Error> {
        let (text, at, path) = (self.text, self.at, &*self.path);
        let (mut after, mut found) = (at, Ok(()));
        self.check_room()?;
        self.arguments
            .write(|bytes| bytes.extend_from_slice(path), |bytes| (after, found) = unescape(text, at + 1, bytes));
        self.at = after;
        found.map(|()| false)
    }

    /// Reads a number (RFC 8259 §6). Its text is the value, since that is what it is for every reader.
    fn number(&mut self) -> Result<bool, Error> {
        let start = self.at;
        self.at += usize::from(self.text[self.at] == b'-');
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        self.check_room()?;
        self.arguments.push(self.path, &self.text[start..self.at]);
        Ok(false)
    }

    fn digits(&mut self) -> Result<(), Error> {
        let rest = &self.text[self.at..];
        let count = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        self.at += count;
        if count > 0 { Ok(()) } else { Err(self.wrong("a number has no digit")) }
    }

    fn literal(&mut self, written: &[u8], value: &[u8]) -> Result<bool, Error> {
        let same = self.text[self.at..].iter().zip(written).take_while(|(byte, known)| byte == known).count();
        self.at += same;
        if same < written.len() {
            return Err(self.wrong("neither true, false nor null"));
        }
        self.check_room()?;
        self.arguments.push(self.path, value);
        Ok(false)
    }

    fn check_room(&self) -> Result<(), Error> {
        if self.arguments.len() >= self.limits.arguments {
            return Err(self.wrong(TOO_MANY_ARGUMENTS));
        }
        if self.arguments.size() + self.path.len() > self.room {
            return Err(self.wrong("names and values are many times as long as the body"));
        }
        Ok(())
    }

    /// The next byte that is no blank.
    fn next(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn wrong(&self, reason: &'static str) -> Error {
        Error::new(reason, self.at)
    }
}

/// Writes what stands from `at` to the closing quote. Returns where that ends; on an error what stands before it was written.
fn unescape(text: &[u8], at: usize, out: &mut Vec<u8>) -> (usize, Result<(), Error>) {
    let mut at = at;
    loop {
        let length = memchr2(b'"', b'\\', &text[at..]);
        let plain = &text[at..length.map_or(text.len(), |length| at + length)];
        // All bytes are looked at, so that the compiler can look at many at once.
        if plain.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < b' ' {
            let before = plain.iter().take_while(|byte| **byte >= b' ').count();
            out.extend_from_slice(plain);
            return (at + before, Err(Error::new("a control character in a string", at + before)));
        }
        out.extend_from_slice(plain);
        at += plain.len();
        if length.is_none() {
            return (at, Err(Error::new("a string has no end", at)));
        }
        if text[at] == b'"' {
            return (at + 1, Ok(()));
        }
        match escape(&text[at + 1..], out) {
            Ok(used) => at += 1 + used,
            Err(known) => return (at, Err(Error::new("an escape that is none", at + 1 + known))),
        }
    }
}

/// Writes what an escape stands for. Returns the bytes it has after its backslash, or how many of them were right.
fn escape(text: &[u8], out: &mut Vec<u8>) -> Result<usize, usize> {
    let byte = match text.first() {
        Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
        Some(b'b') => 0x08,
        Some(b'f') => 0x0C,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'u') => return unicode_escape(text, out),
        _ => return Err(0),
    };
    out.push(byte);
    Ok(1)
}

fn unicode_escape(text: &[u8], out: &mut Vec<u8>) -> Result<usize, usize> {
    let first = hexadecimal(&text[1..]).map_err(|known| 1 + known)?;
    let second = match &text[5..] {
        [b'\\', b'u', rest @ ..] if (0xD800..0xDC00).contains(&first) => hexadecimal(rest).ok(),
        _ => None,
    };
    let pair = second.filter(|second| (0xDC00..0xE000).contains(second));
    let code = pair.map_or(first, |second| 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00));
    let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(if pair.is_some() { 11 } else { 5 })
}

/// The value of four hexadecimal digits, or how many there are.
fn hexadecimal(text: &[u8]) -> Result<u32, usize> {
    (0..4).try_fold(0, |value, place| {
        let digit = text.get(place).and_then(|byte| char::from(*byte).to_digit(16));
        digit.map(|digit| value << 4 | digit).ok_or(place)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_with(text: &[u8], is_cut: bool, limits: &Limits) -> (Vec<(String, String)>, String) {
        let mut arguments = Pairs::default();
        let source = Source { content_type: b"application/json", bytes: text, is_cut, separator: b'&' };
        let found = Reader::default().parse(source, limits, &mut arguments);
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let arguments = arguments.iter().map(|(name, value)| (shown(name), shown(value))).collect();
        (arguments, found.map_or_else(|error| error.to_string(), |()| String::new()))
    }

    fn read(text: &str) -> (Vec<(String, String)>, String) {
        read_with(text.as_bytes(), false, &Limits::default())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn values_are_called_by_the_way_to_them() {
        let text = r#" { "a" : 1 , "b":{"c":["x",{"d":true},[null,false]],"e":{}}, "f":[], "a":"2" } "#;
        let expected = [
            ("json.a", "1"),
            ("json.b.c.0", "x"),
            ("json.b.c.1.d", "true"),
            ("json.b.c.2.0", ""),
            ("json.b.c.2.1", "false"),
            ("json.a", "2"),
        ];
        assert_eq!(read(text), (pairs(&expected), String::new()));
        let many = format!("[{}0]", "0,".repeat(11));
        assert_eq!(read(&many).0[10..], pairs(&[("json.10", "0"), ("json.11", "0")]));
    }

    #[test]
    fn a_document_may_be_one_value() {
        assert_eq!(read(r#""a""#), (pairs(&[("json", "a")]), String::new()));
        assert_eq!(read("[1]"), (pairs(&[("json.0", "1")]), String::new()));
        assert_eq!(read("{}"), (vec![], String::new()));
        assert_eq!(read("[[],{}]"), (vec![], String::new()));
    }

    #[test]
    fn numbers_are_their_text() {
        for number in ["0", "-0", "10", "-1.50", "1e5", "1E+05", "0.1e-9", "123456789012345678901234567890"] {
            assert_eq!(read(number), (pairs(&[("json", number)]), String::new()), "{number}");
        }
        for (number, at) in [("-", 1), ("01", 1), ("1.", 2), ("1.e1", 2), ("1e", 2), ("1e+", 3), (".1", 0), ("+1", 0)] {
            let error = read(number).1;
            assert!(error.ends_with(&format!(" at byte {at}")), "{number}: {error}");
        }
    }

    #[test]
    fn strings_are_unescaped_to_bytes() {
        for (written, value) in [
            (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r#""a\u003Cscript\u003e""#, "a<script>"),
            (r#""\u0000""#, "\0"),
            (r#""\u00e9\u20ac\ud83d\ude00""#, "\u{e9}\u{20ac}\u{1f600}"),
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""\ud83dx\u0041""#, "\u{fffd}xA"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\ude00\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
        ] {
            assert_eq!(read(written), (pairs(&[("json", value)]), String::new()), "{written}");
        }
        assert_eq!(read(r#"{"\u0061.b\n":1}"#).0, pairs(&[("json.a.b\n", "1")]), "names, too");
        let mut arguments = Pairs::default();
        let source = Source { content_type: b"", bytes: b"\"\xff\xc3\"", is_cut: false, separator: b'&' };
        assert_eq!(Reader::default().parse(source, &Limits::default(), &mut arguments), Ok(()));
        assert_eq!(arguments.iter().next(), Some((ROOT, &b"\xff\xc3"[..])), "what is no UTF-8 stays");
    }

    #[test]
    fn an_error_has_its_place_and_what_stands_before_it_is_kept() {
        let kept = pairs(&[("json.a", "1")]);
        for (text, error) in [
            (r#"{"a":1"#, "neither a comma nor the end of an object or array at byte 6"),
            (r#"{"a":1]"#, "neither a comma nor the end of an object or array at byte 6"),
            (r#"{"a":1,}"#, "no name of a member at byte 7"),
            (r#"{"a":1,"b"}"#, "no colon behind the name of a member at byte 10"),
            (r#"{"a":1,"b":}"#, "no value at byte 11"),
            (r#"{"a":1,"b":tru}"#, "neither true, false nor null at byte 14"),
            (r#"{"a":1,"\x":1}"#, "an escape that is none at byte 9"),
            (r#"{"a":1,"\u12g4":1}"#, "an escape that is none at byte 12"),
            (r#"{"a":1} x"#, "something follows the document at byte 8"),
            (r#"{"a":1}{"#, "something follows the document at byte 7"),
        ] {
            assert_eq!(read(text), (kept.clone(), error.to_owned()), "{text}");
        }
        for (text, error) in [
            ("", "no value at byte 0"),
            ("test", "neither true, false nor null at byte 1"),
            ("'a'", "no value at byte 0"),
        ] {
            assert_eq!(read(text), (vec![], error.to_owned()), "{text}");
        }
        let half = read(r#"{"a":"1\q"#);
        assert_eq!(half, (kept, "an escape that is none at byte 8".to_owned()), "half a string is shown");
        assert_eq!(
            read("\"a\nb\""),
            (pairs(&[("json", "a\nb")]), "a control character in a string at byte 2".to_owned())
        );
    }

    #[test]
    fn a_cut_body_may_end_anywhere() {
        let text = br#"{"a":[1,"\ud83d\ude00",true,{"b":-1.5e2}],"c":null}"#;
        for length in 1..text.len() {
            let (_, error) = read_with(&text[..length], true, &Limits::default());
            assert_eq!(error, "", "{length}");
            assert_ne!(read_with(&text[..length], false, &Limits::default()).1, "", "{length}");
        }
        assert_ne!(read_with(b"{\"a\":!", true, &Limits::default()).1, "");
    }

    #[test]
    fn limits_hold_and_are_told() {
        let mut limits = Limits { json_depth: 2, ..Limits::default() };
        assert_eq!(read_with(b"[[1]]", false, &limits).1, "");
        let deep = read_with(b"[[[1]]]", false, &limits).1;
        assert_eq!(deep, "nested deeper than SecRequestBodyJsonDepthLimit allows at byte 2");
        limits.arguments = 2;
        let (arguments, error) = read_with(b"[1,2,3]", false, &limits);
        assert_eq!(arguments.len(), 2);
        assert!(error.contains("SecArgumentsLimit"), "{error}");
        let name = "n".repeat(10_000);
        let long = format!("{{\"{name}\":[{}1]}}", "1,".repeat(500));
        let (arguments, error) = read(&long);
        assert!(arguments.len() < 10, "{}", arguments.len());
        assert!(error.contains("many times as long as the body"), "{error}");
    }

    fn document() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "\"[a-c\\\\\\\\nu0-9\"]{0,6}\"",
            "-?[0-9.e]{1,4}",
            Just("null".to_owned()),
            "[\\[\\]{}:,\" ]{0,4}"
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec(("[a-c]", inner), 0..4).prop_map(|members| {
                    let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                    format!("{{{}}}", members.join(" ,"))
                }),
            ]
        })
    }

    /// The arguments of a document as another parser reads it.
    fn flattened(name: &str, value: &serde_json::Value, out: &mut Vec<String>) {
        match value {
            serde_json::Value::Array(items) => {
                for (number, item) in items.iter().enumerate() {
                    flattened(&format!("{name}.{number}"), item, out);
                }
            }
            serde_json::Value::Object(members) => {
                for (member, value) in members {
                    flattened(&format!("{name}.{member}"), value, out);
                }
            }
            _ => out.push(name.to_owned()),
        }
    }

    proptest! {
        #[test]
        fn what_another_parser_takes_is_taken_and_nothing_else(text in document()) {
            let (arguments, error) = read(&text);
            let other = serde_json::from_str::<serde_json::Value>(&text);
            // Numbers that no double can hold and halves of surrogate pairs are its own limits.
            let is_its_own = other.as_ref().is_err_and(|error| {
                let error = error.to_string();
                error.contains("out of range") || error.contains("surrogate") || error.contains("hex escape")
            });
            prop_assume!(!is_its_own);
            prop_assert_eq!(error.is_empty(), other.is_ok(), "{} {} {:?}", text, error, other);
            if let Ok(value) = other {
                let mut expected = Vec::new();
                flattened("json", &value, &mut expected);
                // It keeps the last of members with one name, in an order of its own.
                let names: std::collections::BTreeSet<_> = arguments.into_iter().map(|(name, _)| name).collect();
                let missing: Vec<_> = expected.iter().filter(|name| !names.contains(*name)).collect();
                prop_assert!(missing.is_empty(), "{} {:?}", text, missing);
            }
        }
    }
}
