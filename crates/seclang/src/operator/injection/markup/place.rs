//! Where in a page a byte stands, for texts whose tokens cannot be foreseen: there a byte costs one look into a table of what
//! each makes of where the one before stood.

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::FixedState;

use super::{AFTER_NAME, AFTER_TAG, AFTER_VALUE, IS_SPACE};
use crate::bytes::classes;
use crate::operator::injection::names::{self, Danger};

/// What is read at a byte, where nothing before was dangerous.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Text,
    /// Behind `<`.
    Bracket,
    /// Behind `</`.
    Slash,
    /// Behind `<!` and these.
    Declaration(Letters),
    /// In a comment that may begin as those that matter.
    CommentBegins(Until, Letters),
    Comment(Until),
    /// In the name of a tag that may be a dangerous one, and whether there was a zero byte in it.
    TagBegins(Letters, bool),
    /// In one that is dangerous however it goes on.
    DangerousTag,
    /// In any other.
    Tag,
    BeforeName,
    /// In the name of an attribute that may be a dangerous one.
    NameBegins(Letters),
    Name(Danger),
    AfterName(Danger),
    BeforeValue(Danger),
    /// In an address that may be one that runs, in such quotes or none.
    Address(Option<u8>, Letters),
    /// In a value that may be the name of a dangerous attribute, in such quotes or none.
    NameInside(Option<u8>, Letters),
    /// Behind `&`, `&#` or `&#x` where an address begins.
    Reference(Option<u8>, u8),
    Value(Option<u8>),
}

/// How a comment ends, and how much of that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Until {
    Bracket,
    /// `%>`
    Percent,
    PercentRead,
    /// `-->` or `-!>`, with any zero bytes behind the first hyphen.
    Hyphens,
    HyphenRead,
    BothRead,
    HyphenAndMarkRead,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// And whether a tag that ends is being read.
    Place(Place, bool),
    Dangerous,
    /// The table does not tell.
    Stop,
}

/// The beginning of a name, in capitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::operator::injection) struct Letters {
    letters: [u8; Self::MOST],
    length: usize,
}

impl Letters {
    /// With one more than what is known no name begins.
    const MOST: usize = names::LONGEST + 1;
    pub(super) const NONE: Self = Self { letters: [0; Self::MOST], length: 0 };

    pub(in crate::operator::injection) fn as_bytes(&self) -> &[u8] {
        &self.letters[..self.length]
    }

    fn with(mut self, letter: u8) -> Self {
        self.letters[self.length] = letter.to_ascii_uppercase();
        Self { length: self.length + 1, ..self }
    }
}

impl Place {
    fn after(self, is_closing: bool, byte: u8) -> After {
        let to = match self {
            Self::Text if byte == b'<' => Self::Bracket,
            Self::Text => Self::Text,
            Self::Bracket => match byte {
                b'<' => Self::Bracket,
                b'/' => Self::Slash,
                b'!' => Self::Declaration(Letters::NONE),
                b'?' => Self::CommentBegins(Until::Bracket, Letters::NONE),
                b'%' => Self::CommentBegins(Until::Percent, Letters::NONE),
                _ if byte == 0 || byte.is_ascii_alphabetic() => {
                    return Self::TagBegins(Letters::NONE, false).after(is_closing, byte);
                }
                _ => Self::Text,
            },
            Self::Slash => match byte {
                b'>' => return After::Place(Self::Text, true),
                _ if byte.is_ascii_alphabetic() => return Self::TagBegins(Letters::NONE, false).after(true, byte),
                _ => return Self::CommentBegins(Until::Bracket, Letters::NONE).after(false, byte),
            },
            Self::Declaration(before) => {
                let letters = before.with(byte);
                match letters.as_bytes() {
                    b"--" => Self::CommentBegins(Until::Hyphens, Letters::NONE),
                    b"DOCTYPE" => return After::Dangerous,
                    begun if begun == b"[CDATA[" || names::COMMENTS.contains(&begun) => return After::Stop,
                    begun if names::any_begins(&DECLARATIONS, begun) => Self::Declaration(letters),
                    _ => return Self::CommentBegins(Until::Bracket, before).after(is_closing, byte),
                }
            }
            Self::CommentBegins(until, before) => {
                let letters = before.with(byte);
                if !names::any_begins(&names::COMMENTS, letters.as_bytes()) {
                    return Self::Comment(until).after(is_closing, byte);
                }
                if names::COMMENTS.contains(&letters.as_bytes()) {
                    return After::Stop;
                }
                Self::CommentBegins(until, letters)
            }
            Self::Comment(_) if byte == b'`' => return After::Dangerous,
            Self::Comment(until) => until.after(byte).map_or(Self::Text, Self::Comment),
            Self::TagBegins(..) | Self::DangerousTag | Self::Tag if AFTER_TAG[usize::from(byte)] => match byte {
                b'>' if is_closing => return After::Place(Self::Text, false),
                _ if self.is_dangerous_at_end() => return After::Dangerous,
                b'>' => return After::Place(Self::Text, false),
                _ => Self::BeforeName,
            },
            // Zero bytes are of the name, and those of a known one do not count.
            Self::TagBegins(letters, _) if byte == 0 => Self::TagBegins(letters, true),
            Self::TagBegins(before, has_zero) => {
                let letters = before.with(byte);
                match letters.as_bytes() {
                    begun if !has_zero && names::TAGS_OF.contains(&begun) => Self::DangerousTag,
                    begun
                        if names::any_begins(names::TAGS, begun)
                            || !has_zero && names::any_begins(&names::TAGS_OF, begun) =>
                    {
                        Self::TagBegins(letters, has_zero)
                    }
                    _ => Self::Tag,
                }
            }
            Self::DangerousTag | Self::Tag => self,
            Self::Reference(quote, b'&') if byte == b'#' => Self::Reference(quote, byte),
            Self::Reference(quote, b'#') if matches!(byte, b'x' | b'X') => Self::Reference(quote, b'x'),
            Self::Reference(_, b'#') if byte.is_ascii_digit() => return After::Stop,
            Self::Reference(_, b'x') if byte.is_ascii_hexdigit() => return After::Stop,
            // No scheme has an ampersand.
            Self::Reference(quote, ..) => return Self::Value(quote).after(is_closing, byte),
            Self::NameInside(quote, _) if quote.map_or(AFTER_VALUE[usize::from(byte)], |quote| quote == byte) => {
                if self.is_dangerous_at_end() {
                    return After::Dangerous;
                }
                return Self::Value(quote).after(is_closing, byte);
            }
            // Zero bytes of it do not count.
            Self::NameInside(Some(_), _) if byte == 0 => return After::Stop,
            Self::NameInside(quote, before) => return Self::in_name_inside(quote, before, is_closing, byte),
            Self::Value(quote) if quote == Some(byte) => Self::BeforeName,
            Self::Value(Some(_)) => self,
            Self::Address(quote @ Some(_), _) if quote == Some(byte) => Self::BeforeName,
            Self::Address(quote @ Some(_), before) => return Self::in_address(quote, before, is_closing, byte),
            Self::BeforeName if byte == b'>' => Self::Text,
            Self::BeforeValue(Danger::Always) if byte == b'>' => return After::Dangerous,
            _ if byte == b'>' => return After::Place(Self::Text, false),
            Self::Value(None) | Self::Address(None, _) if AFTER_VALUE[usize::from(byte)] => Self::BeforeName,
            Self::Value(None) => self,
            Self::Address(None, before) => return Self::in_address(None, before, is_closing, byte),
            Self::BeforeName | Self::AfterName(_) | Self::BeforeValue(_) if IS_SPACE[usize::from(byte)] => self,
            // It ends the value: it is -1, libinjection's mark of the end.
            Self::BeforeName | Self::AfterName(_) | Self::BeforeValue(_) if byte == 0xff => return After::Stop,
            Self::BeforeValue(Danger::Always) => return After::Dangerous,
            Self::BeforeValue(danger) => {
                let quote = Some(byte).filter(|byte| matches!(byte, b'\'' | b'"' | b'`'));
                match danger {
                    Danger::Address if quote.is_some() => Self::Address(quote, Letters::NONE),
                    Danger::Address => return Self::in_address(None, Letters::NONE, is_closing, byte),
                    Danger::Name if quote.is_some() => Self::NameInside(quote, Letters::NONE),
                    Danger::Name => return Self::in_name_inside(None, Letters::NONE, is_closing, byte),
                    _ => Self::Value(quote),
                }
            }
            Self::BeforeName | Self::AfterName(_) | Self::Name(_) | Self::NameBegins(_) if byte == b'/' => {
                Self::BeforeName
            }
            Self::AfterName(danger) | Self::Name(danger) if byte == b'=' => Self::BeforeValue(danger),
            Self::NameBegins(letters) if byte == b'=' => Self::BeforeValue(names::of_attribute(letters.as_bytes())),
            Self::Name(danger) if AFTER_NAME[usize::from(byte)] => Self::AfterName(danger),
            Self::NameBegins(letters) if AFTER_NAME[usize::from(byte)] => {
                Self::AfterName(names::of_attribute(letters.as_bytes()))
            }
            Self::Name(_) => self,
            Self::NameBegins(before) => Self::in_name(before, byte),
            Self::BeforeName | Self::AfterName(_) => Self::in_name(Letters::NONE, byte),
        };
        After::Place(to, is_closing)
    }

    /// In the name of an attribute, behind one byte more.
    fn in_name(before: Letters, byte: u8) -> Self {
        let letters = before.with(byte);
        let is_of = names::ATTRIBUTES_OF.iter().any(|known| letters.as_bytes().starts_with(known));
        match letters.as_bytes() {
            begun if is_of && begun.len() >= names::LEAST_OF => Self::Name(Danger::Always),
            // It does not matter what more it has.
            begun if is_of && !names::ATTRIBUTES_OF.contains(&begun) => Self::NameBegins(before.with(b'X')),
            begun if names::any_begins(names::ATTRIBUTES, begun) || names::any_begins(&names::ATTRIBUTES_OF, begun) => {
                Self::NameBegins(letters)
            }
            _ => Self::Name(Danger::None),
        }
    }

    /// In such a name that is a value, behind one byte more.
    fn in_name_inside(quote: Option<u8>, before: Letters, is_closing: bool, byte: u8) -> After {
        match Self::in_name(before, byte) {
            Self::NameBegins(letters) => After::Place(Self::NameInside(quote, letters), is_closing),
            Self::Name(Danger::Always) => After::Dangerous,
            _ => After::Place(Self::Value(quote), is_closing),
        }
    }

    /// In an address, behind one byte more.
    fn in_address(quote: Option<u8>, before: Letters, is_closing: bool, byte: u8) -> After {
        let letters = before.with(byte);
        let to = match (byte, letters.as_bytes()) {
            (b'&', [_]) => Self::Reference(quote, byte),
            (b'&', _) => return After::Stop,
            (0..=32 | 127.., [_]) | (0 | b'\n', _) => Self::Address(quote, before),
            (_, begun) if names::SCHEMES.contains(&begun) => return After::Dangerous,
            (_, begun) if names::any_begins(&names::SCHEMES, begun) => Self::Address(quote, letters),
            _ => Self::Value(quote),
        };
        After::Place(to, is_closing)
    }

    /// Whether the value is dangerous if it ends here.
    pub(super) fn is_dangerous_at_end(self) -> bool {
        match self {
            Self::DangerousTag => true,
            Self::TagBegins(letters, _) => names::TAGS.contains(&letters.as_bytes()),
            Self::NameInside(_, letters) => names::of_attribute(letters.as_bytes()) != Danger::None,
            _ => false,
        }
    }
}

/// What is behind `<!` of what is no comment, and of comments that matter.
const DECLARATIONS: [&[u8]; 3 + names::COMMENTS.len()] = {
    let [a, b, c, d] = names::COMMENTS;
    [b"DOCTYPE", b"[CDATA[", b"--", a, b, c, d]
};

impl Until {
    /// How much is read behind a byte of the comment; nothing where that ends it.
    fn after(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Bracket | Self::PercentRead | Self::BothRead | Self::HyphenAndMarkRead, b'>') => return None,
            (Self::Bracket, _) => Self::Bracket,
            (Self::Percent | Self::PercentRead, b'%') => Self::PercentRead,
            (Self::Percent | Self::PercentRead, _) => Self::Percent,
            (Self::HyphenRead | Self::BothRead, b'-') => Self::BothRead,
            (_, b'-') | (Self::HyphenRead | Self::BothRead, 0) => Self::HyphenRead,
            (Self::HyphenRead | Self::BothRead, b'!') => Self::HyphenAndMarkRead,
            _ => Self::Hyphens,
        })
    }
}

/// The class of each byte; those of one class are the same to all places.
static CLASS: [u8; 256] = classes::<CLASSES>(&STANDS_FOR).0;
/// A byte of each class.
static ONE_OF: [u8; CLASSES] = classes(&STANDS_FOR).1;
const CLASSES: usize = 49;

/// For each byte one of its class.
const STANDS_FOR: [u8; 256] = {
    let (mut stands_for, mut byte) = ([0; 256], 0);
    while byte < 256 {
        stands_for[byte] = match byte as u8 {
            b'\t' | 0x0b..=b'\r' => b' ',
            1..=31 if byte != b'\n' as usize => 1,
            letter @ b'a'..=b'z' => letter.to_ascii_uppercase(),
            b'0'..=b'9' => b'0',
            b'"' | b'%' | b'&' | b'\'' | b'`' => byte as u8,
            b'$'..=b',' | b'.' | b':' | b';' | b'@' | b'\\' | b'^' | b'_' | b'{'..=b'~' => b'$',
            0x7f..=0xfe => 0x80,
            other => other,
        };
        byte += 1;
    }
    stands_for
};

/// The number of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number(u16);

/// In attributes that can do nothing, and text.
const FIRST: [Place; 9] = [
    Place::BeforeName,
    Place::AfterName(Danger::None),
    Place::Name(Danger::None),
    Place::BeforeValue(Danger::None),
    Place::Value(None),
    Place::Value(Some(b'\'')),
    Place::Value(Some(b'"')),
    Place::Value(Some(b'`')),
    Place::Text,
];

pub(super) const BEFORE_NAME: Number = Number(0);
pub(super) const AFTER_NAME_OF_NONE: Number = Number(1);
pub(super) const SINGLE_QUOTES: Number = Number(5);
pub(super) const DOUBLE_QUOTES: Number = Number(6);
pub(super) const BACKTICKS: Number = Number(7);
pub(super) const TEXT: Number = Number(8);

/// A place, and whether a tag that ends is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row(u16);

impl Row {
    const DANGEROUS: Self = Self(u16::MAX);
    /// The table does not tell.
    pub(super) const STOP: Self = Self(u16::MAX - 1);

    pub(super) fn new(place: Number, is_closing: bool) -> Self {
        Self(place.0 << 1 | u16::from(is_closing))
    }

    /// Whether it is none: what follows is dangerous, or not told.
    pub(super) fn is_stop(self) -> bool {
        self.0 >= Self::STOP.0
    }

    pub(super) fn is_dangerous(self) -> bool {
        self == Self::DANGEROUS
    }

    /// Whether it is in an attribute that can do nothing.
    pub(super) fn is_harmless(self) -> bool {
        self.place().0 < TEXT.0
    }

    pub(super) fn is_closing(self) -> bool {
        self.0 & 1 != 0
    }

    pub(super) fn place(self) -> Number {
        Number(self.0 >> 1)
    }
}

/// What follows a byte of each class in each place.
#[derive(Debug)]
pub(super) struct Table {
    places: Vec<Place>,
    rows: Vec<[Row; CLASSES.next_power_of_two()]>,
}

pub(super) static TABLE: LazyLock<Table> = LazyLock::new(Table::new);

impl Table {
    fn new() -> Self {
        let mut places = FIRST.to_vec();
        let mut numbers: HashMap<Place, u16, FixedState> = places.iter().copied().zip(0..).collect();
        let mut rows = Vec::new();
        while let Some(place) = places.get(rows.len() / 2).copied() {
            for is_closing in [false, true] {
                let mut row = [Row::STOP; CLASSES.next_power_of_two()];
                for (next, byte) in row.iter_mut().zip(ONE_OF) {
                    *next = match place.after(is_closing, byte) {
                        After::Dangerous => Row::DANGEROUS,
                        After::Stop => Row::STOP,
                        After::Place(to, is_closing) => {
                            let number = *numbers.entry(to).or_insert_with(|| {
                                places.push(to);
                                places.len() as u16 - 1
                            });
                            Row::new(Number(number), is_closing)
                        }
                    };
                }
                rows.push(row);
            }
        }
        Self { places, rows }
    }

    pub(super) fn place(&self, number: Number) -> Place {
        self.places[usize::from(number.0)]
    }

    /// What is read behind a byte.
    pub(super) fn next(&self, row: Row, byte: u8) -> Row {
        self.rows[usize::from(row.0)][usize::from(CLASS[usize::from(byte)])]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_one_class_are_the_same_in_all_places() {
        for (place, is_closing) in TABLE.places.iter().flat_map(|place| [(place, false), (place, true)]) {
            for byte in 0..=255 {
                let same = ONE_OF[usize::from(CLASS[usize::from(byte)])];
                assert_eq!(place.after(is_closing, byte), place.after(is_closing, same), "{byte} in {place:?}");
            }
        }
    }
}
