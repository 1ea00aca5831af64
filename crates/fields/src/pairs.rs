//! Name and value pairs found in one piece of text: query arguments, form fields, parts of a body and cookies.
//!
//! Pairs are offsets into the text they were found in; nothing is copied unless a name must be decoded.

use crate::normalize::hex;

/// One pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairRef<'v> {
    /// The name.
    pub name: &'v [u8],
    /// The value, empty where the pair had no equals sign.
    pub value: &'v [u8],
}

/// Pairs in the order of their text.
#[derive(Clone, Copy, Debug)]
pub struct Pairs<'v> {
    text: &'v [u8],
    index: &'v PairIndex,
}

impl<'v> Pairs<'v> {
    /// The pair at that position.
    pub fn get(self, position: usize) -> Option<PairRef<'v>> {
        self.index.offsets.get(position).map(|offsets| self.pair(offsets))
    }

    /// All pairs in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = PairRef<'v>> {
        self.index.offsets.iter().map(move |offsets| self.pair(offsets))
    }

    /// Where the first pair of that name is.
    pub(crate) fn position(self, name: &[u8]) -> Option<usize> {
        self.index.offsets.iter().position(|offsets| self.is_named(offsets, name))
    }

    /// The values of the pairs of that name, from the given position on.
    pub(crate) fn named(self, name: &'v [u8], from: usize) -> impl Iterator<Item = &'v [u8]> {
        let rest = self.index.offsets.get(from..).unwrap_or_default();
        rest.iter().filter(move |offsets| self.is_named(offsets, name)).map(move |offsets| self.pair(offsets).value)
    }

    /// Most names differ in length, which is known without a look at the text.
    fn is_named(self, offsets: &Offsets, name: &[u8]) -> bool {
        let (start, end) = offsets.name;
        (end - start) as usize == name.len() && *self.pair(offsets).name == *name
    }

    fn pair(self, offsets: &Offsets) -> PairRef<'v> {
        let names = if offsets.decoded { &self.index.decoded } else { self.text };
        PairRef {
            name: &names[offsets.name.0 as usize..offsets.name.1 as usize],
            value: &self.text[offsets.value.0 as usize..offsets.value.1 as usize],
        }
    }

    /// The number of pairs.
    pub fn len(self) -> usize {
        self.index.offsets.len()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.index.offsets.is_empty()
    }
}

#[derive(Clone, Copy, Debug)]
struct Offsets {
    name: (u32, u32),
    value: (u32, u32),
    decoded: bool,
}

/// Where the pairs of a text are, found once per view. Its buffers outlive the text, so that they can be used again.
#[derive(Debug, Default)]
pub struct PairIndex {
    offsets: Vec<Offsets>,
    decoded: Vec<u8>,
}

impl PairIndex {
    /// Finds `name=value` pairs separated by `&`, as the URL standard splits a query. Empty pieces are skipped.
    pub(crate) fn find_arguments(&mut self, text: &[u8]) {
        self.clear();
        let mut start = 0;
        while start < text.len() {
            let end = memchr::memchr(b'&', &text[start..]).map_or(text.len(), |length| start + length);
            if end > start {
                let equals = memchr::memchr(b'=', &text[start..end]).map(|length| start + length);
                self.offsets.push(Offsets {
                    name: span(start, equals.unwrap_or(end)),
                    value: span(equals.map_or(end, |equals| equals + 1), end),
                    decoded: false,
                });
            }
            start = end + 1;
        }
    }

    /// Finds the pairs of a `Cookie` header (RFC 6265 §4.2.1). Names are percent-decoded, values left as they are.
    pub(crate) fn find_cookies(&mut self, text: &[u8]) {
        self.clear();
        let mut start = 0;
        while start < text.len() {
            let end = memchr::memchr(b';', &text[start..]).map_or(text.len(), |length| start + length);
            let equals = memchr::memchr(b'=', &text[start..end]).map(|length| start + length);
            let name = trimmed(text, start, equals.unwrap_or(end));
            if name.0 < name.1 {
                let (name, decoded) = self.decode_name(text, name);
                let value = equals.map_or(span(end, end), |equals| trimmed(text, equals + 1, end));
                self.offsets.push(Offsets { name, value, decoded });
            }
            start = end + 1;
        }
    }

    /// Finds the language tags of an `Accept-Language` header (RFC 9110 §12.5.4) as names, by falling weight; tags of one
    /// weight keep their order. Those of weight zero and `*` are no languages.
    pub(crate) fn find_languages(&mut self, text: &[u8]) {
        self.clear();
        let mut weights = [0u16; LANGUAGES];
        let mut start = 0;
        while start < text.len() && self.offsets.len() < LANGUAGES {
            let end = memchr::memchr(b',', &text[start..]).map_or(text.len(), |length| start + length);
            let semicolon = memchr::memchr(b';', &text[start..end]).map(|length| start + length);
            let name = trimmed(text, start, semicolon.unwrap_or(end));
            let weight = semicolon.map_or(1000, |semicolon| weight(&text[semicolon + 1..end]));
            let tag = &text[name.0 as usize..name.1 as usize];
            if !tag.is_empty() && tag != b"*" && weight > 0 {
                let place = weights[..self.offsets.len()].iter().take_while(|earlier| **earlier >= weight).count();
                weights.copy_within(place..self.offsets.len().min(LANGUAGES - 1), place + 1);
                weights[place] = weight;
                self.offsets.insert(place, Offsets { name, value: span(end, end), decoded: false });
            }
            start = end + 1;
        }
    }

    /// Adds a pair whose name and value stand at those places of the text.
    pub(crate) fn push(&mut self, name: (u32, u32), value: (u32, u32)) {
        self.offsets.push(Offsets { name, value, decoded: false });
    }

    fn decode_name(&mut self, text: &[u8], (start, end): (u32, u32)) -> ((u32, u32), bool) {
        let name = &text[start as usize..end as usize];
        if memchr::memchr(b'%', name).is_none() {
            return ((start, end), false);
        }
        let begin = self.decoded.len();
        percent_decode(name, &mut self.decoded);
        (span(begin, self.decoded.len()), true)
    }

    pub(crate) fn pairs<'v>(&'v self, text: &'v [u8]) -> Pairs<'v> {
        Pairs { text, index: self }
    }

    /// The memory it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.offsets.capacity() * size_of::<Offsets>() + self.decoded.capacity()
    }

    pub(crate) fn clear(&mut self) {
        self.offsets.clear();
        self.decoded.clear();
    }
}

/// More languages than this in one header are left out.
const LANGUAGES: usize = 32;

/// The weight of a language in thousandths: `q=0.8` is 800 (RFC 9110 §12.4.2). One that cannot be read is 1000.
fn weight(parameter: &[u8]) -> u16 {
    let parameter = parameter.trim_ascii();
    let Some(value) = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q=")) else { return 1000 };
    let (whole, fraction) = match memchr::memchr(b'.', value) {
        Some(dot) => (&value[..dot], &value[dot + 1..]),
        None => (value, &b""[..]),
    };
    if whole != b"0" || fraction.len() > 3 || !fraction.iter().all(u8::is_ascii_digit) {
        return 1000;
    }
    (0..3).fold(0, |sum, place| sum * 10 + u16::from(fraction.get(place).map_or(0, |digit| digit - b'0')))
}

/// Appends the text with its percent escapes undone (RFC 3986 §2.1). A percent sign that begins no escape stays.
pub fn percent_decode(text: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while at < text.len() {
        let escaped = (text[at] == b'%' && at + 2 < text.len())
            .then(|| Some(hex(text[at + 1])? << 4 | hex(text[at + 2])?))
            .flatten();
        out.push(escaped.unwrap_or(text[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
}

/// The part of a text between two positions, without the blanks at either end.
fn trimmed(text: &[u8], start: usize, end: usize) -> (u32, u32) {
    let part = &text[start..end];
    let leading = part.len() - part.trim_ascii_start().len();
    let length = part.trim_ascii().len();
    span(start + leading, start + leading + length)
}

fn span(start: usize, end: usize) -> (u32, u32) {
    (start as u32, end as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &str) -> Vec<(String, String)> {
        let mut index = PairIndex::default();
        index.find_arguments(text.as_bytes());
        collect(index.pairs(text.as_bytes()))
    }

    fn cookies(text: &str) -> Vec<(String, String)> {
        let mut index = PairIndex::default();
        index.find_cookies(text.as_bytes());
        collect(index.pairs(text.as_bytes()))
    }

    fn collect(pairs: Pairs<'_>) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (0..pairs.len()).map(|at| pairs.get(at).unwrap()).map(|pair| (text(pair.name), text(pair.value))).collect()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn arguments_are_split_and_not_decoded() {
        assert_eq!(
            arguments("filter=waf&filter=botm&q=red+apples%21"),
            owned(&[("filter", "waf"), ("filter", "botm"), ("q", "red+apples%21")])
        );
        assert_eq!(
            arguments("flag&empty=&=nameless&a=b=c"),
            owned(&[("flag", ""), ("empty", ""), ("", "nameless"), ("a", "b=c")])
        );
        assert_eq!(arguments("&&a=1&&"), owned(&[("a", "1")]));
        assert_eq!(arguments(""), owned(&[]));
    }

    #[test]
    fn cookie_names_are_decoded_and_values_are_not() {
        assert_eq!(
            cookies("a=1; b%20c=d%20e ;  __Host-id = \"q\"; flag; a=2"),
            owned(&[("a", "1"), ("b c", "d%20e"), ("__Host-id", "\"q\""), ("flag", ""), ("a", "2")])
        );
        assert_eq!(cookies(";; =x; %41=y"), owned(&[("A", "y")]));
    }

    #[test]
    fn languages_are_ordered_by_weight() {
        let languages = |text: &str| {
            let mut index = PairIndex::default();
            index.find_languages(text.as_bytes());
            collect(index.pairs(text.as_bytes())).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(languages("fr-CH, fr;q=0.8, en;q=0.9, de;q=0.7, *;q=0.5"), ["fr-CH", "en", "fr", "de"]);
        assert_eq!(languages("da, en-gb;q=0.8, en;q=0.8, no;q=0, *"), ["da", "en-gb", "en"]);
        assert_eq!(languages("a;q=0.1,b;q=0.123,c;q=nonsense,,d ; q=1.0"), ["c", "d", "b", "a"]);
        assert_eq!(languages(""), [""; 0]);
        assert_eq!(languages(&"x,".repeat(100)).len(), LANGUAGES);
    }

    #[test]
    fn a_percent_sign_that_begins_no_escape_stays() {
        let mut out = Vec::new();
        percent_decode(b"%4a%zz%4%", &mut out);
        assert_eq!(out, b"J%zz%4%");
    }
}
