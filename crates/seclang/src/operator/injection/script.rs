//! Whether a browser would find something to run in a value, wherever in a page it stood.

use memchr::memchr;
use smallvec::SmallVec;

use super::markup::{AT_ONCE, Context, Kind, Reader, Token, step_together};
use crate::transform::hex_digit;

/// What an attribute of this name can do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Danger {
    None,
    Always,
    /// If its value is an address that runs.
    Address,
    /// If its value is the name of an attribute that is dangerous.
    Name,
}

const TAGS: &[&[u8]] = &[
    b"APPLET",
    b"BASE",
    b"COMMENT",
    b"EMBED",
    b"FRAME",
    b"FRAMESET",
    b"HANDLER",
    b"IFRAME",
    b"IMPORT",
    b"ISINDEX",
    b"LINK",
    b"LISTENER",
    b"META",
    b"NOSCRIPT",
    b"OBJECT",
    b"SCRIPT",
    b"STYLE",
    b"VMLFRAME",
    b"XML",
    b"XSS",
];

const SCHEMES: [&[u8]; 4] = [b"DATA", b"VIEW-SOURCE", b"JAVA", b"VBSCRIPT"];

/// The longest name of a tag or an attribute that is known.
const LONGEST: usize = b"ATTRIBUTENAME".len();

/// After so many turns all that read step together.
const TURNS: u32 = 16;

/// Whether `value` is dangerous in any context. It is read in all of them at once, because most soon read the same.
pub(in crate::operator) fn is_script(value: &[u8]) -> bool {
    let mut readings: SmallVec<[Reading<'_>; Context::ALL.len()]> =
        Context::ALL.map(|context| Reading { reader: Reader::new(value, context), danger: Danger::None }).into();
    for turn in 1.. {
        // Who soon reads the same as another need not step far beside it.
        if turn % TURNS == 0 {
            step_together(readings.iter_mut().map(|reading| &mut reading.reader));
        }
        let Some(behind) = (0..readings.len()).min_by_key(|&at| readings[at].reader.at()) else { break };
        let mut reading = readings.swap_remove(behind);
        let until = (reading.reader.at() / AT_ONCE + 1) * AT_ONCE;
        let until = if readings.is_empty() { usize::MAX } else { until };
        let goes_on = loop {
            match reading.next(value) {
                None => break false,
                Some(true) => return true,
                Some(false) if reading.reader.at() >= until => break true,
                Some(false) => {}
            }
        };
        // Who has come to the same place in the same way will find the same.
        if goes_on && !readings.iter().any(|other| other.reads_as(&reading)) {
            readings.push(reading);
        }
    }
    false
}

/// A value that is being read in one context.
struct Reading<'a> {
    reader: Reader<'a>,
    /// What the attribute can do whose value comes next.
    danger: Danger,
}

impl Reading<'_> {
    fn reads_as(&self, other: &Self) -> bool {
        self.reader.reads_as(&other.reader) && self.danger == other.danger
    }

    /// Whether the next token of the value is dangerous, where there is one.
    fn next(&mut self, value: &[u8]) -> Option<bool> {
        let Token { kind, start, length } = self.reader.next()?;
        let text = &value[start..start + length];
        let before = std::mem::replace(&mut self.danger, Danger::None);
        Some(match kind {
            Kind::Doctype => true,
            Kind::TagOpen => is_tag(text),
            Kind::AttributeName => {
                self.danger = of_attribute(text);
                false
            }
            Kind::AttributeValue => match before {
                Danger::None => false,
                Danger::Always => true,
                Danger::Address => is_address(&value[start..], length),
                Danger::Name => of_attribute(text) != Danger::None,
            },
            Kind::Comment => is_comment(text),
            Kind::Other => false,
        })
    }
}

fn is_tag(name: &[u8]) -> bool {
    name.len() >= 3
        && (name[..3].eq_ignore_ascii_case(b"SVG")
            || name[..3].eq_ignore_ascii_case(b"XSL")
            || TAGS.contains(&in_capitals(name, &mut [0; LONGEST])))
}

fn of_attribute(name: &[u8]) -> Danger {
    if name.len() < 2 || !(name[0].is_ascii_alphabetic() || name[0] == 0) {
        return Danger::None;
    }
    if name.len() >= 5 {
        let begins = |known: &[u8]| name[..known.len()].eq_ignore_ascii_case(known);
        if begins(b"ON") || begins(b"XMLNS") || begins(b"XLINK") {
            return Danger::Always;
        }
    }
    match in_capitals(name, &mut [0; LONGEST]) {
        b"DATAFORMATAS" | b"DATASRC" | b"FILTER" | b"STYLE" => Danger::Always,
        b"ACTION" | b"BY" | b"BACKGROUND" | b"DYNSRC" | b"FORMACTION" | b"FOLDER" | b"FROM" | b"HANDLER" | b"HREF"
        | b"LOWSRC" | b"POSTER" | b"SRC" | b"TO" | b"VALUES" | b"XLINK:HREF" => Danger::Address,
        b"ATTRIBUTENAME" => Danger::Name,
        _ => Danger::None,
    }
}

/// A name without its zero bytes and in capitals, as the names that are known; of a longer one nothing.
fn in_capitals<'a>(name: &[u8], to: &'a mut [u8; LONGEST]) -> &'a [u8] {
    let mut length = 0;
    for &byte in name.iter().filter(|&&byte| byte != 0) {
        let Some(place) = to.get_mut(length) else { return b"" };
        *place = byte.to_ascii_uppercase();
        length += 1;
    }
    &to[..length]
}

/// What old browsers read in a comment: its end at a backtick, conditions, imports and entities.
fn is_comment(text: &[u8]) -> bool {
    let begins = |start: &[u8]| text.len() > start.len() && text[..start.len()].eq_ignore_ascii_case(start);
    memchr(b'`', text).is_some()
        || begins(b"[IF")
        || begins(b"XML")
        || text.len() > 5 && (text[..6].eq_ignore_ascii_case(b"IMPORT") || text[..6].eq_ignore_ascii_case(b"ENTITY"))
}

/// Whether the first `length` bytes of `text` are an address whose scheme runs: behind what browsers skip they begin with one
/// of these, their numeric references read, zero bytes and line ends aside. What stands behind `length` is looked at where a
/// reference is cut by it.
fn is_address(text: &[u8], length: usize) -> bool {
    let mut at = text[..length].iter().take_while(|&&byte| byte <= 32 || byte >= 127).count();
    let mut schemes: SmallVec<[&[u8]; SCHEMES.len()]> = SCHEMES.into();
    let mut letters = 0;
    while at < length {
        let (code, taken) = character(&text[at..], length - at);
        at += taken;
        if letters == 0 && code <= 32 || code == 0 || code == 10 {
            continue;
        }
        let upper = if (0x61..=0x7a).contains(&code) { code - 0x20 } else { code };
        schemes.retain(|scheme| scheme[letters] == upper as u8);
        letters += 1;
        if schemes.is_empty() || schemes.iter().any(|scheme| scheme.len() == letters) {
            return !schemes.is_empty();
        }
    }
    false
}

/// The character at the start of `text`, of which `length` bytes count, and how many bytes it takes.
fn character(text: &[u8], length: usize) -> (u32, usize) {
    let byte = |at: usize| text.get(at).copied().unwrap_or(0);
    let ampersand = (u32::from(b'&'), 1);
    if byte(0) != b'&' || length < 2 {
        return (u32::from(byte(0)), 1);
    }
    if byte(1) != b'#' {
        return ampersand;
    }
    let decimal = |byte: u8| byte.is_ascii_digit().then(|| byte - b'0');
    let (base, start) = if byte(2) | 0x20 == b'x' { (16, 3) } else { (10, 2) };
    let digit = |byte: u8| if base == 16 { hex_digit(byte) } else { decimal(byte) };
    let Some(first) = digit(byte(start)) else { return ampersand };
    let mut code = u32::from(first);
    let mut at = start + 1;
    while at < length {
        match digit(byte(at)) {
            Some(value) => code = code * base + u32::from(value),
            None => return (code, if byte(at) == b';' { at + 1 } else { at }),
        }
        if code > 0x10_00ff {
            return ampersand;
        }
        at += 1;
    }
    (code, at.min(length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[rustfmt::skip]
    const PARTS: [&[u8]; 40] = [
        b"<", b">", b"/", b"=", b"'", b"\"", b"`", b"a", b" ", b"<a", b"<a ", b"<b>", b"</", b"</>", b"x=", b" href=",
        b" style", b" by=", b" to ", b"on", b"onx=y", b"<!--", b"-->", b"-!>", b"-", b"\0", b"<%", b"%>", b"<![CDATA[",
        b"]]>", b"<?", b"<!x", b"&#x6a;", b"&#0;", b"java", b"data:", b"\n", b"xmlns", b"attributename=", b"\xff",
    ];

    proptest! {
        #[test]
        fn all_contexts_at_once_find_what_each_alone_finds(
            head in prop::collection::vec(prop::sample::select(&PARTS[..]), 0..8),
            again in prop::collection::vec(prop::sample::select(&PARTS[..]), 1..5),
            times in 0..200_usize,
            tail in prop::collection::vec(prop::sample::select(&PARTS[..]), 0..8),
        ) {
            let value = [head.concat(), again.concat().repeat(times), tail.concat()].concat();
            let is_dangerous = |context| {
                let mut reading = Reading { reader: Reader::new(&value, context), danger: Danger::None };
                std::iter::from_fn(|| reading.next(&value)).any(|found| found)
            };
            let found = Context::ALL.into_iter().any(is_dangerous);
            prop_assert_eq!(is_script(&value), found, "{}", value.escape_ascii());
        }
    }
}
