//! Whether a browser would find something to run in a value, wherever in a page it stood.

use memchr::memchr;

use super::markup::{Context, Kind, Reader, Token};
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

const ATTRIBUTES: &[(&[u8], Danger)] = &[
    (b"ACTION", Danger::Address),
    (b"ATTRIBUTENAME", Danger::Name),
    (b"BY", Danger::Address),
    (b"BACKGROUND", Danger::Address),
    (b"DATAFORMATAS", Danger::Always),
    (b"DATASRC", Danger::Always),
    (b"DYNSRC", Danger::Address),
    (b"FILTER", Danger::Always),
    (b"FORMACTION", Danger::Address),
    (b"FOLDER", Danger::Address),
    (b"FROM", Danger::Address),
    (b"HANDLER", Danger::Address),
    (b"HREF", Danger::Address),
    (b"LOWSRC", Danger::Address),
    (b"POSTER", Danger::Address),
    (b"SRC", Danger::Address),
    (b"STYLE", Danger::Always),
    (b"TO", Danger::Address),
    (b"VALUES", Danger::Address),
    (b"XLINK:HREF", Danger::Address),
];

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

const SCHEMES: &[&[u8]] = &[b"DATA", b"VIEW-SOURCE", b"JAVA", b"VBSCRIPT"];

/// Whether `value` is dangerous in any context.
pub(in crate::operator) fn is_script(value: &[u8]) -> bool {
    Context::ALL.into_iter().any(|context| is_dangerous(value, context))
}

fn is_dangerous(value: &[u8], context: Context) -> bool {
    let mut danger = Danger::None;
    for Token { kind, start, length } in Reader::new(value, context) {
        let text = &value[start..start + length];
        let before = std::mem::replace(&mut danger, Danger::None);
        let found = match kind {
            Kind::Doctype => true,
            Kind::TagOpen => is_tag(text),
            Kind::AttributeName => {
                danger = of_attribute(text);
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
        };
        if found {
            return true;
        }
    }
    false
}

fn is_tag(name: &[u8]) -> bool {
    name.len() >= 3
        && (TAGS.iter().any(|tag| is_name(name, tag))
            || name[..3].eq_ignore_ascii_case(b"SVG")
            || name[..3].eq_ignore_ascii_case(b"XSL"))
}

fn of_attribute(name: &[u8]) -> Danger {
    if name.len() < 2 {
        return Danger::None;
    }
    if name.len() >= 5 {
        let event = name[..2].eq_ignore_ascii_case(b"ON");
        if event || is_name(&name[..5], b"XMLNS") || is_name(&name[..5], b"XLINK") {
            return Danger::Always;
        }
    }
    ATTRIBUTES.iter().find(|(known, _)| is_name(name, known)).map_or(Danger::None, |&(_, danger)| danger)
}

/// What old browsers read in a comment: its end at a backtick, conditions, imports and entities.
fn is_comment(text: &[u8]) -> bool {
    let begins = |start: &[u8]| text.len() > start.len() && text[..start.len()].eq_ignore_ascii_case(start);
    memchr(b'`', text).is_some()
        || begins(b"[IF")
        || begins(b"XML")
        || text.len() > 5 && (is_name(&text[..6], b"IMPORT") || is_name(&text[..6], b"ENTITY"))
}

/// Whether `text` is `name`, which is in capitals, in any case and with any zero bytes between.
fn is_name(text: &[u8], name: &[u8]) -> bool {
    let letters = text.iter().filter(|&&byte| byte != 0).map(u8::to_ascii_uppercase);
    letters.eq(name.iter().copied())
}

/// Whether the first `length` bytes of `text` are an address whose scheme runs.
fn is_address(text: &[u8], length: usize) -> bool {
    let skipped = text[..length].iter().take_while(|&&byte| byte <= 32 || byte >= 127).count();
    SCHEMES.iter().any(|scheme| begins_with(&text[skipped..], length - skipped, scheme))
}

/// Whether the first `length` bytes of `text`, their numeric references read, begin with `scheme` behind white space, zero
/// bytes and line ends aside. What stands behind `length` is looked at where a reference is cut by it.
fn begins_with(text: &[u8], length: usize, scheme: &[u8]) -> bool {
    let mut scheme = scheme.iter();
    let mut wanted = scheme.next();
    let (mut at, mut first) = (0, true);
    while at < length {
        let Some(&letter) = wanted else { return true };
        let (code, taken) = character(&text[at..], length - at);
        at += taken;
        if first && code <= 32 || code == 0 || code == 10 {
            continue;
        }
        first = false;
        let upper = if (0x61..=0x7a).contains(&code) { code - 0x20 } else { code };
        if upper as u8 != letter {
            return false;
        }
        wanted = scheme.next();
    }
    wanted.is_none()
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
