//! Whether a browser would find something to run in a value, wherever in a page it stood.

use memchr::memchr;
use smallvec::SmallVec;

use super::markup::{AT_ONCE, Context, Kind, Reader, Token, step_together};
use super::names::{COMMENTS, Danger, LEAST_COMMENT, SCHEMES, is_tag, of_attribute};
use crate::transform::hex_digit;

/// So many bytes are read by tokens before it is seen whether a table would be quicker; twice as many where it was not.
const IN_TURN: usize = 4096;
const IN_LONGEST_TURN: usize = 65536;
/// So many bytes are read by the table before it is seen who reads the same.
const IN_STEP: usize = 1024;
/// It is left where in so many rounds it reads fewer bytes than this in each.
const ROUNDS: usize = 16;
const FEW: usize = 32;

/// Whether `value` is dangerous in any context. It is read in all of them at once, because most soon read the same.
pub(in crate::operator) fn is_script(value: &[u8]) -> bool {
    let mut readings = Readings::new(value);
    while !readings.those.is_empty() {
        if readings.by_tokens().and_then(|()| readings.by_steps()).is_err() {
            return true;
        }
    }
    false
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dangerous;

/// A value that is read in several contexts, in each otherwise.
struct Readings<'a> {
    value: &'a [u8],
    those: SmallVec<[Reader<'a>; Context::ALL.len()]>,
    /// So many bytes are read by tokens next.
    in_turn: usize,
}

impl<'a> Readings<'a> {
    fn new(value: &'a [u8]) -> Self {
        let those = Context::ALL.map(|context| Reader::new(value, context)).into();
        Self { value, those, in_turn: IN_TURN }
    }

    /// Reads token by token, until all is read or the table would be quicker.
    fn by_tokens(&mut self) -> Result<(), Dangerous> {
        let (mut bytes, mut cost) = (0, 0);
        while let Some(behind) = (0..self.those.len()).min_by_key(|&at| self.those[at].at()) {
            let mut reader = self.those.swap_remove(behind);
            let (start, before) = (reader.at(), reader.cost());
            let until = if self.those.is_empty() { start + IN_TURN } else { (start / AT_ONCE + 1) * AT_ONCE };
            let goes_on = loop {
                match is_next_dangerous(&mut reader, self.value) {
                    None => break false,
                    Some(true) => return Err(Dangerous),
                    Some(false) if reader.at() >= until => break true,
                    Some(false) => {}
                }
            };
            (bytes, cost) = (bytes + reader.at() - start, cost + reader.cost() - before);
            // Who has come to the same place in the same way will find the same.
            if goes_on && !self.those.iter().any(|other| other.reads_as(&reader)) {
                self.those.push(reader);
            }
            if bytes >= self.in_turn {
                if cost >= bytes / 2 {
                    break;
                }
                (bytes, cost) = (0, 0);
            }
        }
        Ok(())
    }

    /// Reads by the table, those side by side that stand at the same place, until there is too much that it does not tell.
    fn by_steps(&mut self) -> Result<(), Dangerous> {
        let (mut round, mut since) = (0, None);
        while let Some(place) = self.those.iter().map(Reader::at).min() {
            if round % ROUNDS == 0 {
                let stepped = since.map(|since| place - since);
                if stepped.is_some_and(|stepped| stepped < ROUNDS * FEW) {
                    let was_quicker = round > ROUNDS;
                    self.in_turn = if was_quicker { IN_TURN } else { IN_LONGEST_TURN.min(self.in_turn * 2) };
                    break;
                }
                since = Some(place);
            }
            round += 1;
            self.read_where_stopped(place)?;
            let ahead = self.those.iter().map(Reader::at).filter(|&at| at > place).min();
            let until = ahead.unwrap_or(usize::MAX).min(place + IN_STEP);
            let here = self.those.iter_mut().filter(|reader| reader.at() == place && reader.can_step());
            step_together(&mut here.collect::<SmallVec<[_; Context::ALL.len()]>>(), until);
            for number in (1..self.those.len()).rev() {
                if self.those[..number].iter().any(|other| other.reads_as(&self.those[number])) {
                    self.those.swap_remove(number);
                }
            }
        }
        Ok(())
    }

    /// Lets those who stand there and cannot step on read a token.
    fn read_where_stopped(&mut self, place: usize) -> Result<(), Dangerous> {
        let (value, mut found) = (self.value, Ok(()));
        self.those.retain(|reader| {
            if reader.at() != place || reader.can_step() {
                return true;
            }
            let is_dangerous = is_next_dangerous(reader, value);
            if is_dangerous == Some(true) {
                found = Err(Dangerous);
            }
            is_dangerous.is_some()
        });
        found
    }
}

/// Whether the next token of the value is dangerous, where there is one.
fn is_next_dangerous(reader: &mut Reader<'_>, value: &[u8]) -> Option<bool> {
    let Token { kind, start, length } = reader.next()?;
    let text = &value[start..start + length];
    Some(match kind {
        Kind::Dangerous | Kind::AttributeValue(Danger::Always, _) => true,
        Kind::TagOpen => is_tag(text),
        Kind::AttributeValue(Danger::Address, begun) => is_address(begun.as_bytes(), &value[start..], length),
        Kind::AttributeValue(Danger::Name, _) => of_attribute(text) != Danger::None,
        Kind::Comment => is_comment(text),
        Kind::AttributeValue(Danger::None, _) | Kind::Other => false,
    })
}

/// What old browsers read in a comment: its end at a backtick, conditions, imports and entities.
fn is_comment(text: &[u8]) -> bool {
    let begins =
        |known: &[u8]| text.len() >= known.len().max(LEAST_COMMENT) && text[..known.len()].eq_ignore_ascii_case(known);
    memchr(b'`', text).is_some() || COMMENTS.into_iter().any(begins)
}

/// Whether the first `length` bytes of `text` are an address whose scheme runs, or what is left of one behind the letters
/// that `begun` has: behind what browsers skip they begin with one of these, their numeric references read, zero bytes and
/// line ends aside. What stands behind `length` is looked at where a reference is cut by it.
fn is_address(begun: &[u8], text: &[u8], length: usize) -> bool {
    let mut at = text[..length].iter().take_while(|&&byte| byte <= 32 || byte >= 127).count();
    let mut schemes: SmallVec<[&[u8]; SCHEMES.len()]> = SCHEMES.into();
    for (at, letter) in begun.iter().enumerate() {
        schemes.retain(|scheme| scheme[at] == *letter);
    }
    let mut letters = begun.len();
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
    const PARTS: [&[u8]; 72] = [
        b"<", b">", b"/", b"=", b"'", b"\"", b"`", b"a", b" ", b"<a", b"<a ", b"<b>", b"</", b"</>", b"x=", b" href=",
        b" style", b" by=", b" to ", b"on", b"onx=y", b"<!--", b"-->", b"-!>", b"-", b"\0", b"<%", b"%>", b"<![CDATA[",
        b"]]>", b"<?", b"<!x", b"&#x6a;", b"&#0;", b"java", b"data:", b"\n", b"xmlns", b"attributename=", b"\xff",
        b"!", b"<!", b"[if ", b"ml", b"import", b"entity", b"doctype", b"%", b"svg", b"</s", b"xsl", b"s\0cript", b"</a/",
        b"link>", b"frame", b"set ", b"d", b"vbs", b"cript", b"\x80", b"\x01", b"view-", b"source", b"onxy", b"\t=", b"yle=",
        b"t", b"src", b"&", b"j&#97;va", b"F", b"</script>",
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
                let mut reader = Reader::new(&value, context);
                std::iter::from_fn(|| is_next_dangerous(&mut reader, &value)).any(|found| found)
            };
            let found = Context::ALL.into_iter().any(is_dangerous);
            prop_assert_eq!(is_script(&value), found, "{}", value.escape_ascii());
            let mut readings = Readings::new(&value);
            let by_steps = loop {
                match readings.by_steps().and_then(|()| readings.by_tokens()) {
                    Ok(()) if readings.those.is_empty() => break false,
                    Ok(()) => {}
                    Err(Dangerous) => break true,
                }
            };
            prop_assert_eq!(by_steps, found, "by steps: {}", value.escape_ascii());
        }
    }

    /// In each of these one place of the table decides, and what is read behind it.
    #[rustfmt::skip]
    const DANGEROUS: [&[u8]; 60] = [
        b"<script>", b"<script", b"<svg", b"<xsla/", b"<s\0cript>", b"<s\0cript", b"</script >", b"<<script>", b"<\0xss>",
        b"</a><script>", b"</a b><script>", b"</></!><script>", b"<a b=><script>", b"<a b/><script>",
        b"<!DOCTYPE x>", b"<!><script>", b"<!D><script>", b"<!-><script>", b"<![CDATA[]]><script>", b"<!ENTITY>", b"<![if x>",
        b"<?import>", b"<?xml x>", b"</[if x>", b"<%[if x%>", b"<!--[if x-->", b"<!--xml x-->", b"<!--entity", b"<!--x`",
        b"<!----><script>", b"<!---!><script>", b"<!-----><script>", b"<!----!><script>", b"<!---\0-><script>",
        b"<!----\0-><script>", b"<%%><script>", b"<%%%><script>",
        b"<a onxyz=x>", b"<a onload =x>", b"<a style =x>", b"<a onload=>", b"<a xmlns:x=x>", b"<a xlinkx=x>",
        b"<a href=java>", b"<a href =' view-source'>", b"<a by=\x80vbscript>", b"<a to='\x80\x01data'>", b"<a href='j\nava'>",
        b"<a href='j\0ava'>", b"<a href='&#106;ava'>", b"<a href='jav&#97;'>", b"<a href=jav&#97;>",
        b"<a href='&'onload=x>", b"<a href=& onload=x>", b"<a href=&><script>", b"<a attributename='style'>",
        b"<a attributename=href>", b"<a attributename='\0href'>", b"<a attributename=''onload=x>", b"<a attributename='q'onload=x>",
    ];
    #[rustfmt::skip]
    const HARMLESS: [&[u8]; 27] = [
        b"</script>", b"</><script>", b"</a ><script>", b"</a/><script>", b"<s\0vg>", b"<sv\0g >", b"<scripts>", b"<1script>",
        b"<![CDATA[><script>", b"<!doctyp><a>", b"<![if>", b"<?xml>", b"<!--xml-->", b"<!--> --><a>", b"<%><script>", b"<!---><script>",
        b"<a onxy=x>", b"<a onload b=x>", b"<a style/=x>", b"<a href / =java>", b"<a href='j\x80ava'>", b"<a href='j\x01ava'>",
        b"<a href='&java'>", b"<a attributename=q>", b"<a \xff onload=x>", b"<a b \xff onload=x>", b"<a b= \xff onload=x>",
    ];

    /// Of a value what is read by steps as far as `until`, and by tokens behind that.
    fn is_dangerous_by_steps_to(until: usize, value: &[u8], context: Context) -> bool {
        let mut reader = Reader::new(value, context);
        while reader.at() < until {
            if reader.can_step() {
                step_together(&mut [&mut reader], until);
            } else {
                match is_next_dangerous(&mut reader, value) {
                    Some(false) => {}
                    found => return found == Some(true),
                }
            }
        }
        std::iter::from_fn(|| is_next_dangerous(&mut reader, value)).any(|found| found)
    }

    #[test]
    fn each_place_is_read_by_steps_as_by_tokens() {
        let values = DANGEROUS.iter().map(|value| (value, true)).chain(HARMLESS.iter().map(|value| (value, false)));
        for (value, is_dangerous) in values {
            for until in 0..=value.len() {
                let found = is_dangerous_by_steps_to(until, value, Context::Text);
                assert_eq!(found, is_dangerous, "{} by steps to {until}", value.escape_ascii());
            }
            // Behind these the table is in use; the second is read otherwise in two contexts that stand at the same place.
            let value = [&b"<b>".repeat(2000)[..], value].concat();
            assert_eq!(is_script(&value), is_dangerous, "{}", value[6000..].escape_ascii());
        }
        // Two contexts stand at the same place and differ only by whether a tag that ends is being read.
        assert!(is_script(&[&b"</a "[..], &b"/-=- ".repeat(2000), b" ><script>"].concat()));
        for times in 2..300 {
            assert!(!is_script(&[&b"</>".repeat(times)[..], b"<script>"].concat()), "{times}");
        }
    }
}
