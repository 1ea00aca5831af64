//! Functions that look up a value in a JSON document (RFC 8259).
//!
//! A peer wrote the document, so it is read once from its first byte to its last, without recursion, and nothing is made
//! of what is not asked for. What is no JSON document has no values: one byte that is wrong, or one that was cut off,
//! makes all of it missing, as documented ("must be a valid JSON document").

use std::ops::Range;

use fields::{Text, Type};
use smallvec::SmallVec;

use super::{Accepts, BYTES, Example, Function, Literal, Parameter};
use crate::plan::{Arguments, Cell};

/// Arrays and objects may be nested this deep; what is nested deeper counts as no document. Ours.
const DEPTH_MAX: u32 = u128::BITS;

const DOCUMENT: Parameter = Parameter::new("document", BYTES, Literal::Allowed);
const KEY: Parameter =
    Parameter::new("key", &[Accepts::Type(Type::String), Accepts::Type(Type::Integer)], Literal::Allowed);

const NAMED: &str = "GET /\nX-Document: {\"company\": \"cloudflare\", \"product\": \"rulesets\"}";
const RECORD: &str = "GET /\nX-Document: {\"record_id\": \"aed53a\", \"version\": 2}";

pub(super) const LOOKUP_JSON_INTEGER: Function = Function {
    repeats: true,
    examples: &[
        Example::new("lookup_json_integer(http.request.headers[\"x-document\"][0], \"version\")", RECORD, "2"),
        Example::new("lookup_json_integer(http.request.headers[\"x-document\"][0], \"record_id\")", RECORD, "missing"),
        Example::new(
            "lookup_json_integer(http.request.headers[\"x-document\"][0], \"product\", \"id\")",
            "GET /\nX-Document: {\"product\": {\"id\": 356}}",
            "356",
        ),
        Example::new(
            "lookup_json_integer(http.request.headers[\"x-document\"][0], 1)",
            "GET /\nX-Document: [\"first_item\", -234]",
            "-234",
        ),
        Example::new(
            "lookup_json_integer(http.request.headers[\"x-document\"][0], \"network_ids\", 0)",
            "GET /\nX-Document: {\"network_ids\": [123, 456]}",
            "123",
        ),
        Example::new(
            "lookup_json_integer(http.request.headers[\"x-document\"][0], 1, \"product_id\")",
            "GET /\nX-Document: [{\"product_id\": 123}, {\"product_id\": 456}]",
            "456",
        ),
        Example::new(
            "lookup_json_integer(http.request.headers[\"x-document\"][0], \"version\")",
            "GET /\nX-Document: {\"version\": 42.0}",
            "missing",
        ),
    ],
    ..Function::new(
        "lookup_json_integer",
        &[DOCUMENT, KEY],
        Type::Integer,
        "The number under the names and positions, from the outermost to the innermost. Missing where the document is no JSON, has nothing there, or has something else than a whole number without a point.",
        lookup_json_integer,
    )
};

pub(super) const LOOKUP_JSON_STRING: Function = Function {
    repeats: true,
    examples: &[
        Example::new(
            "lookup_json_string(http.request.headers[\"x-document\"][0], \"company\")",
            NAMED,
            "\"cloudflare\"",
        ),
        Example::new(
            "lookup_json_string(http.request.headers[\"x-document\"][0], \"network\", \"name\")",
            "GET /\nX-Document: {\"network\": {\"name\": \"cloudflare\"}}",
            "\"cloudflare\"",
        ),
        Example::new(
            "lookup_json_string(http.request.headers[\"x-document\"][0], 1)",
            "GET /\nX-Document: [\"other_company\", \"cloudflare\"]",
            "\"cloudflare\"",
        ),
        Example::new(
            "lookup_json_string(http.request.headers[\"x-document\"][0], \"networks\", 1)",
            "GET /\nX-Document: {\"networks\": [\"other_company\", \"cloudflare\"]}",
            "\"cloudflare\"",
        ),
        Example::new(
            "lookup_json_string(http.request.headers[\"x-document\"][0], 1, \"network\")",
            "GET /\nX-Document: [{\"network\": \"other_company\"}, {\"network\": \"cloudflare\"}]",
            "\"cloudflare\"",
        ),
        Example::new(
            "lookup_json_string(http.request.headers[\"x-document\"][0], \"company\")",
            "GET /\nX-Document: {\"company\": \"cloud",
            "missing",
        ),
    ],
    ..Function::new(
        "lookup_json_string",
        &[DOCUMENT, KEY],
        Type::String,
        "The string under the names and positions, from the outermost to the innermost, with its escapes undone. Missing where the document is no JSON, has nothing there, or has something else than a string.",
        lookup_json_string,
    )
};

fn lookup_json_integer<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let document = arguments.cell(0)?;
    let text = document.bytes()?;
    let Found::Number(place) = find(text, &keys(arguments)?)? else { return None };
    // With a point or an exponent it is no integer, and one that does not fit into 64 bits is none of ours.
    std::str::from_utf8(&text[place]).ok()?.parse().ok().map(Cell::Integer)
}

fn lookup_json_string<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let document = arguments.cell(0)?;
    let text = document.bytes()?;
    let Found::String(place) = find(text, &keys(arguments)?)? else { return None };
    let written = &text[place.clone()];
    if memchr::memchr(b'\\', written).is_some() {
        let mut value = arguments.spare().buffer();
        for part in Unescaped::new(written) {
            value.extend_from_slice(part.bytes());
        }
        return Some(Cell::Built(value));
    }
    let text = match document {
        Cell::Bytes(bytes) => Text::Found(bytes),
        Cell::Built(built) => Text::Built(built),
        _ => return None,
    };
    Some(text.part(place.start, place.end).into())
}

/// The names and positions, `None` where one is missing. Up to eight of them need no memory.
fn keys<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<SmallVec<[Cell<'v>; 8]>> {
    (1..arguments.len()).map(|place| arguments.cell(place)).collect()
}

/// Where a value stands that has been looked for.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// What stands between its quotes.
    String(Range<usize>),
    Number(Range<usize>),
    Other,
}

/// What a document has under those keys. Of equal names in an object the last counts, as with most readers of JSON.
fn find(text: &[u8], keys: &[Cell<'_>]) -> Option<Found> {
    let mut reader = Reader { text, at: 0, keys, open: 0, depth: 0, matched: 0, position: 0, found: None };
    reader.document()?;
    reader.found
}

/// A place in a document.
struct Reader<'d> {
    text: &'d [u8],
    at: usize,
    keys: &'d [Cell<'d>],
    /// A bit for each array or object that is open, the innermost lowest; it is set for an object.
    open: u128,
    depth: u32,
    /// So many of the keys lead to the value that is being read, or to one that it is part of.
    matched: u32,
    /// The position in the innermost array of those that the keys lead into.
    position: i64,
    found: Option<Found>,
}

impl Reader<'_> {
    /// Reads all of it; `None` where it is no document.
    fn document(&mut self) -> Option<()> {
        loop {
            if self.begin_value()? {
                continue;
            }
            loop {
                if self.depth == 0 {
                    return self.blanks().is_none().then_some(());
                }
                self.end_match();
                match self.blanks()? {
                    b',' => {
                        self.at += 1;
                        self.next_value()?;
                        break;
                    }
                    byte if byte == self.closing() => self.close(),
                    _ => return None,
                }
            }
        }
    }

    /// Reads a value up to its end, or up to the first value within it. Whether it is the latter.
    fn begin_value(&mut self) -> Option<bool> {
        let found = match self.blanks()? {
            opening @ (b'{' | b'[') => return self.open(opening == b'{'),
            b'"' => Found::String(self.string()?),
            b'-' | b'0'..=b'9' => Found::Number(self.number()?),
            _ => {
                let word = [&b"true"[..], b"false", b"null"]
                    .into_iter()
                    .find(|word| self.text[self.at..].starts_with(word))?;
                self.at += word.len();
                Found::Other
            }
        };
        if self.matched == self.depth && self.matched as usize == self.keys.len() {
            self.found = Some(found);
        }
        Some(false)
    }

    fn open(&mut self, is_object: bool) -> Option<bool> {
        if self.depth == DEPTH_MAX {
            return None;
        }
        self.at += 1;
        self.depth += 1;
        self.open = self.open << 1 | u128::from(is_object);
        if self.blanks()? == self.closing() {
            self.close();
            return Some(false);
        }
        if self.matched + 1 == self.depth && !is_object {
            self.position = -1;
        }
        self.next_value()?;
        Some(true)
    }

    fn closing(&self) -> u8 {
        if self.open & 1 == 1 { b'}' } else { b']' }
    }

    fn close(&mut self) {
        self.at += 1;
        self.depth -= 1;
        self.open >>= 1;
    }

    /// Notes which keys lead to the value that comes next, and reads its name if it has one.
    fn next_value(&mut self) -> Option<()> {
        let key = if self.matched + 1 == self.depth { self.keys.get(self.matched as usize) } else { None };
        let leads = if self.open & 1 == 1 {
            if self.blanks()? != b'"' {
                return None;
            }
            let name = self.string()?;
            if self.blanks()? != b':' {
                return None;
            }
            self.at += 1;
            key.and_then(Cell::bytes).is_some_and(|key| Unescaped::equals(&self.text[name], key))
        } else if self.matched + 1 == self.depth {
            self.position += 1;
            matches!(key, Some(Cell::Integer(position)) if *position == self.position)
        } else {
            false
        };
        if leads {
            self.matched = self.depth;
            self.found = None;
        }
        Some(())
    }

    /// After a value: what led to it leads to the next one no more.
    fn end_match(&mut self) {
        if self.matched == self.depth {
            self.matched -= 1;
            if let Some(Cell::Integer(position)) = self.keys.get(self.matched as usize) {
                self.position = *position;
            }
        }
    }

    /// Skips blanks. The byte after them.
    fn blanks(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.get(self.at)?;
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Reads a string. What stands between its quotes need not be UTF-8: values are bytes here, and a reader behind this
    /// edge that is as lenient must not be told something else.
    fn string(&mut self) -> Option<Range<usize>> {
        self.at += 1;
        let start = self.at;
        loop {
            let rest = &self.text[self.at..];
            let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
            self.at += length;
            match rest[length..] {
                [b'"', ..] => {
                    self.at += 1;
                    return Some(start..self.at - 1);
                }
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.at += 2,
                [b'\\', b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(u8::is_ascii_hexdigit) => self.at += 6,
                _ => return None,
            }
        }
    }

    fn number(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        self.at += usize::from(self.text[self.at] == b'-');
        if self.text.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.text.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Some(start..self.at)
    }

    /// Reads digits, at least one.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        self.at += self.text[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        (self.at > start).then_some(())
    }
}

/// The parts of a string, with its escapes undone.
struct Unescaped<'d> {
    rest: &'d [u8],
}

/// A part of a string: what stands there, or the character that an escape stands for.
enum Part<'d> {
    Plain(&'d [u8]),
    Character([u8; 4], usize),
}

impl<'d> Unescaped<'d> {
    fn new(written: &'d [u8]) -> Self {
        Self { rest: written }
    }

    fn equals(written: &[u8], value: &[u8]) -> bool {
        let left = Unescaped::new(written).try_fold(value, |left, part| left.strip_prefix(part.bytes()));
        left.is_some_and(<[u8]>::is_empty)
    }

    /// The code unit of `\uXXXX`, if that comes next.
    fn unit(&mut self) -> Option<u32> {
        let [b'\\', b'u', digits @ ..] = self.rest else { return None };
        let (digits, rest) = digits.split_first_chunk::<4>()?;
        self.rest = rest;
        digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
    }

    /// The character that an escape stands for. Half of a surrogate pair stands for none, and is replaced.
    fn escape(&mut self) -> Option<char> {
        if let Some(unit) = self.unit() {
            let mut after = Unescaped { rest: self.rest };
            let code = match (unit, after.unit()) {
                (0xD800..0xDC00, Some(low @ 0xDC00..0xE000)) => {
                    self.rest = after.rest;
                    0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)
                }
                _ => unit,
            };
            return Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let [b'\\', escaped, rest @ ..] = self.rest else { return None };
        self.rest = rest;
        Some(match escaped {
            b'b' => '\x08',
            b'f' => '\x0C',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            same => char::from(*same),
        })
    }
}

impl<'d> Iterator for Unescaped<'d> {
    type Item = Part<'d>;

    fn next(&mut self) -> Option<Part<'d>> {
        if self.rest.first()? == &b'\\' {
            let mut bytes = [0; 4];
            let length = self.escape()?.encode_utf8(&mut bytes).len();
            return Some(Part::Character(bytes, length));
        }
        let length = memchr::memchr(b'\\', self.rest).unwrap_or(self.rest.len());
        let (plain, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(Part::Plain(plain))
    }
}

impl Part<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Character(bytes, length) => &bytes[..*length],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What stands under a path of names and positions, as it is written; an empty path is never asked for.
    fn found<'d>(text: &'d str, path: &[&'d str]) -> Option<&'d str> {
        let keys: Vec<_> =
            path.iter().map(|key| key.parse().map_or(Cell::Bytes(key.as_bytes()), Cell::Integer)).collect();
        match find(text.as_bytes(), &keys)? {
            Found::String(place) | Found::Number(place) => Some(&text[place]),
            Found::Other => Some("other"),
        }
    }

    #[test]
    fn a_path_leads_through_objects_and_arrays() {
        let text =
            r#" { "a" : [ 1 , { "b" : [ [ ] , { } , "x" ] , "c" : -0.5e+3 } , true ] , "d" : null , "" : "e" } "#;
        for (path, value) in [
            (&["a", "0"][..], Some("1")),
            (&["a", "1", "b", "2"], Some("x")),
            (&["a", "1", "c"], Some("-0.5e+3")),
            (&["a", "2"], Some("other")),
            (&["d"], Some("other")),
            (&[""], Some("e")),
            (&["a"], None),
            (&["a", "1"], None),
            (&["a", "3"], None),
            (&["a", "-1"], None),
            (&["a", "0", "0"], None),
            (&["a", "1", "b", "0", "0"], None),
            (&["0"], None),
            (&["b"], None),
            (&["a", "b"], None),
        ] {
            assert_eq!(found(text, path), value, "{path:?}");
        }
    }

    #[test]
    fn positions_go_on_after_what_is_nested() {
        assert_eq!(found("[[1,2,3],[4,5,6],7]", &["1", "2"]), Some("6"));
        assert_eq!(found("[[1,2,3],[4,5,6],7]", &["2"]), Some("7"));
        assert_eq!(found("[[[0]],{\"a\":[1]},[[2,3]]]", &["2", "0", "1"]), Some("3"));
    }

    #[test]
    fn of_equal_names_the_last_counts() {
        assert_eq!(found(r#"{"a":1,"a":2}"#, &["a"]), Some("2"));
        assert_eq!(found(r#"{"a":{"b":1},"a":2}"#, &["a", "b"]), None);
        assert_eq!(found(r#"{"a":{"b":1},"a":{"b":3,"c":4}}"#, &["a", "b"]), Some("3"));
        assert_eq!(found(r#"{"a":1,"a":{}}"#, &["a"]), None);
        assert_eq!(found("{\"\\u0061\":1,\"b\":2}", &["a"]), Some("1"), "a name may be escaped");
    }

    #[test]
    fn what_is_no_document_has_no_values() {
        for text in [
            "",
            " ",
            "{\"a\":1",
            "{\"a\":1}}",
            "{\"a\":1} x",
            "{\"a\":1,}",
            "{,\"a\":1}",
            "{\"a\" 1}",
            "{\"a\":1 \"b\":2}",
            "{a:1}",
            "{\"a\":1]",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":.1}",
            "{\"a\":1e}",
            "{\"a\":-}",
            "{\"a\":+1}",
            "{\"a\":1,\"b\":nul}",
            "{\"a\":1,\"b\":\"\t\"}",
            "{\"a\":1,\"b\":\"\\x\"}",
            "{\"a\":1,\"b\":\"\\u12g4\"}",
            "{\"a\":1,\"b\":\"\\",
            "{\"a\":1,\"b\"}",
            "{'a':1}",
            "{\"a\":1}//",
            "\u{feff}{\"a\":1}",
            "[1,2,]",
            "[,1]",
            "[1 2]",
            "[",
            "{",
            "\"",
            "1 2",
        ] {
            assert_eq!(found(text, &["a"]), None, "{text}");
            assert_eq!(found(text, &["0"]), None, "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded_and_deep_texts_are_read_without_a_stack() {
        let nested = |depth: usize| format!("{{\"a\":1,\"b\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(found(&nested(127), &["a"]), Some("1"));
        assert_eq!(found(&nested(128), &["a"]), None);
        assert_eq!(found(&"[".repeat(1_000_000), &["0"]), None);
    }

    #[test]
    fn escapes_are_undone() {
        let undone = |text: &str| {
            let parts = Unescaped::new(text.as_bytes()).map(|part| part.bytes().to_vec());
            String::from_utf8(parts.collect::<Vec<_>>().concat()).unwrap()
        };
        assert_eq!(undone(r#"a\"\\\/\b\f\n\r\tz"#), "a\"\\/\x08\x0C\n\r\tz");
        assert_eq!(undone(r"\u00e9\u4F60\ud83d\ude00"), "é你😀");
        assert_eq!(undone(r"\ud83d-\ude00\ud83d\u0041"), "\u{fffd}-\u{fffd}\u{fffd}A", "halves of pairs");
        assert!(Unescaped::equals(br"\u0061b", b"ab") && !Unescaped::equals(b"ab", b"abc"));
        assert!(!Unescaped::equals(b"abc", b"ab") && Unescaped::equals(b"", b""));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(text in proptest::collection::vec(any::<u8>(), 0..64)) {
            find(&text, &[Cell::Bytes(b"a"), Cell::Integer(0)]);
        }

        #[test]
        fn texts_that_are_nearly_json_are_read_without_a_panic(text in r#"[\[\]{}:,"a01.e\\u \-]{0,24}"#) {
            find(text.as_bytes(), &[Cell::Bytes(b"a"), Cell::Integer(0)]);
        }
    }
}
