//! Transformations: what a rule does to a value before its operator looks at it (`t:lowercase`).
//!
//! Names and meanings are those of the `ModSecurity` v3 reference manual. Where its implementations differ, what CRS v4's own
//! tests want decides: entities are those of HTML, escapes of CSS make UTF-8, `%u` folds by the table of code page 20127.
//! Bytes throughout: letters are those of ASCII, and a value need not be UTF-8.
//!
//! Most values of most requests are changed by nothing. So each transformation first looks for a byte that could make a
//! difference ([`Transformation::triggers`]), writes nothing where there is none, and says whether it changed anything.

#![expect(
    clippy::needless_bitwise_bool,
    reason = "a branch that cannot be foreseen takes longer than what it leaves out"
)]

mod base64;
mod comments;
mod encode;
mod entities;
mod escapes;
mod kept;
mod path;
mod rewrite;
mod space;
mod unicode;
mod url;

use crate::bytes::ByteSet;

/// A transformation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is named as the reference manual names it, where its meaning stands")]
pub enum Transformation {
    Base64Decode,
    Base64DecodeExt,
    Base64Encode,
    CmdLine,
    CompressWhitespace,
    CssDecode,
    EscapeSeqDecode,
    HexDecode,
    HexEncode,
    HtmlEntityDecode,
    JsDecode,
    Length,
    Lowercase,
    Md5,
    None,
    NormalizePath,
    NormalizePathWin,
    ParityEven7bit,
    ParityOdd7bit,
    ParityZero7bit,
    RemoveComments,
    RemoveCommentsChar,
    RemoveNulls,
    RemoveWhitespace,
    ReplaceComments,
    ReplaceNulls,
    Sha1,
    SqlHexDecode,
    Trim,
    TrimLeft,
    TrimRight,
    Uppercase,
    UrlDecode,
    UrlDecodeUni,
    UrlEncode,
    Utf8ToUnicode,
}

/// Which bytes a transformation can bring into a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// Spaces, slashes, and the same letters in the other case.
    Little,
    /// Any, where the value has one of these.
    From(&'static ByteSet),
    /// Any.
    Any,
}

use Transformation as T;

/// Each transformation with its name; the first name of each is the one it is shown with.
const NAMES: &[(&str, Transformation)] = &[
    ("base64Decode", T::Base64Decode),
    ("base64DecodeExt", T::Base64DecodeExt),
    ("base64Encode", T::Base64Encode),
    ("cmdLine", T::CmdLine),
    ("compressWhitespace", T::CompressWhitespace),
    ("cssDecode", T::CssDecode),
    ("escapeSeqDecode", T::EscapeSeqDecode),
    ("hexDecode", T::HexDecode),
    ("hexEncode", T::HexEncode),
    ("htmlEntityDecode", T::HtmlEntityDecode),
    ("jsDecode", T::JsDecode),
    ("length", T::Length),
    ("lowercase", T::Lowercase),
    ("md5", T::Md5),
    ("none", T::None),
    ("normalizePath", T::NormalizePath),
    ("normalisePath", T::NormalizePath),
    ("normalizePathWin", T::NormalizePathWin),
    ("normalisePathWin", T::NormalizePathWin),
    ("parityEven7bit", T::ParityEven7bit),
    ("parityOdd7bit", T::ParityOdd7bit),
    ("parityZero7bit", T::ParityZero7bit),
    ("removeComments", T::RemoveComments),
    ("removeCommentsChar", T::RemoveCommentsChar),
    ("removeNulls", T::RemoveNulls),
    ("removeWhitespace", T::RemoveWhitespace),
    ("replaceComments", T::ReplaceComments),
    ("replaceNulls", T::ReplaceNulls),
    ("sha1", T::Sha1),
    ("sqlHexDecode", T::SqlHexDecode),
    ("trim", T::Trim),
    ("trimLeft", T::TrimLeft),
    ("trimRight", T::TrimRight),
    ("uppercase", T::Uppercase),
    ("urlDecode", T::UrlDecode),
    ("urlDecodeUni", T::UrlDecodeUni),
    ("urlEncode", T::UrlEncode),
    ("utf8toUnicode", T::Utf8ToUnicode),
];

impl Transformation {
    /// All of them.
    pub const ALL: [Self; 36] = {
        let mut all = [T::None; 36];
        let (mut row, mut count) = (0, 0);
        while row < NAMES.len() {
            // Aliases follow the name that they stand for.
            if count == 0 || all[count - 1] as u8 != NAMES[row].1 as u8 {
                all[count] = NAMES[row].1;
                count += 1;
            }
            row += 1;
        }
        assert!(count == all.len());
        all
    };

    /// The transformation of this name, in any case of letters.
    pub fn named(name: &[u8]) -> Option<Self> {
        NAMES.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name)).map(|&(_, found)| found)
    }

    /// Its name, as the reference manual spells it.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, known)| *known == self).map_or("none", |(name, _)| name)
    }

    /// The bytes of which an input must have one to be changed; nothing where that cannot be said.
    pub fn triggers(self) -> Option<&'static ByteSet> {
        match self {
            T::Base64Decode
            | T::Base64DecodeExt
            | T::Base64Encode
            | T::HexDecode
            | T::HexEncode
            | T::Length
            | T::Md5
            | T::Sha1 => None,
            T::None => Some(&ByteSet::EMPTY),
            T::CmdLine => Some(&space::COMMAND),
            T::CompressWhitespace => Some(&space::COMPRESSIBLE),
            T::CssDecode | T::EscapeSeqDecode | T::JsDecode => Some(&escapes::BACKSLASH),
            T::HtmlEntityDecode => Some(&entities::AMPERSAND),
            T::Lowercase => Some(&encode::UPPER),
            T::NormalizePath => Some(&path::UNIX),
            T::NormalizePathWin => Some(&path::WINDOWS),
            T::ParityEven7bit => Some(&encode::NOT_EVEN),
            T::ParityOdd7bit => Some(&encode::NOT_ODD),
            T::ParityZero7bit => Some(&encode::HIGH),
            T::RemoveComments | T::RemoveCommentsChar => Some(&comments::ANY),
            T::RemoveNulls | T::ReplaceNulls => Some(&encode::NUL),
            T::RemoveWhitespace => Some(&space::REMOVABLE),
            T::ReplaceComments => Some(&comments::STAR),
            T::SqlHexDecode => Some(&encode::LETTER_X),
            T::Trim | T::TrimLeft | T::TrimRight => Some(&space::TRIMMED),
            T::Uppercase => Some(&encode::LOWER),
            T::UrlDecode | T::UrlDecodeUni => Some(&url::ENCODED),
            T::UrlEncode => Some(&url::UNSAFE),
            T::Utf8ToUnicode => Some(&encode::HIGH),
        }
    }

    /// Without one of these bytes it changes nothing but the case of letters, and what [`Transformation::acts_on_end`] says;
    /// nothing where that cannot be said.
    pub(crate) fn touches(self) -> Option<&'static ByteSet> {
        match self {
            T::CmdLine => Some(&space::BETWEEN_WORDS),
            T::Lowercase | T::Uppercase => Some(&ByteSet::EMPTY),
            T::NormalizePath => Some(&path::SLASH),
            T::NormalizePathWin => Some(&path::BETWEEN_PARTS),
            _ => self.triggers(),
        }
    }

    /// Whether it acts on a dot or a space that a text ends with, beside the bytes on which it acts anywhere.
    pub(crate) fn acts_on_end(self) -> bool {
        matches!(self, T::NormalizePath | T::NormalizePathWin)
    }

    /// The bytes of which it makes a space at most, for one that does; before a slash and a parenthesis it may take them out.
    pub(crate) fn blanks(self) -> Option<ByteSet> {
        match self {
            T::CmdLine => Some(space::BLANKS),
            T::UrlDecode | T::UrlDecodeUni => Some(ByteSet::of(b"+")),
            _ => None,
        }
    }

    /// Whether it may act on one of these bytes.
    pub(crate) fn touches_any_of(self, bytes: &[u8]) -> bool {
        self.touches().is_none_or(|touches| touches.intersects(&ByteSet::of(bytes)))
    }

    /// Whether what it makes of a text is never longer than that.
    pub(crate) fn never_lengthens(self) -> bool {
        matches!(
            self,
            T::Base64Decode
                | T::CmdLine
                | T::CompressWhitespace
                | T::HexDecode
                | T::JsDecode
                | T::Lowercase
                | T::None
                | T::NormalizePath
                | T::NormalizePathWin
                | T::RemoveComments
                | T::RemoveCommentsChar
                | T::RemoveNulls
                | T::RemoveWhitespace
                | T::ReplaceComments
                | T::ReplaceNulls
                | T::Trim
                | T::TrimLeft
                | T::TrimRight
                | T::Uppercase
                | T::UrlDecode
                | T::UrlDecodeUni
        )
    }

    /// Which bytes it can bring into a value that were not there.
    pub fn growth(self) -> Growth {
        match self {
            T::CmdLine
            | T::CompressWhitespace
            | T::Lowercase
            | T::None
            | T::NormalizePath
            | T::NormalizePathWin
            | T::RemoveCommentsChar
            | T::RemoveNulls
            | T::RemoveWhitespace
            | T::ReplaceComments
            | T::ReplaceNulls
            | T::Trim
            | T::TrimLeft
            | T::TrimRight
            | T::Uppercase => Growth::Little,
            T::UrlDecode | T::UrlDecodeUni => Growth::From(&url::PERCENT),
            _ => self.triggers().map_or(Growth::Any, Growth::From),
        }
    }

    /// The bytes that what becomes of a text with these bytes has at most; nothing where that cannot be said.
    pub fn leaves(self, bytes: &ByteSet) -> Option<ByteSet> {
        let without = |gone: &ByteSet| bytes.intersection(&gone.complement());
        let spaced = |left: ByteSet, blanks: &ByteSet| if bytes.intersects(blanks) { left.with(b' ') } else { left };
        let lowercase =
            |bytes: ByteSet| bytes.iter().map(|byte| byte.to_ascii_lowercase()).fold(ByteSet::EMPTY, ByteSet::with);
        Some(match self {
            T::CmdLine => spaced(lowercase(without(&space::BETWEEN_WORDS)), &space::BLANKS),
            T::CompressWhitespace => spaced(without(&space::TRIMMED), &space::COMPRESSIBLE),
            T::Lowercase => lowercase(*bytes),
            T::NormalizePathWin => {
                let left = without(&ByteSet::of(b"\\"));
                if bytes.contains(b'\\') { left.with(b'/') } else { left }
            }
            T::None | T::NormalizePath | T::RemoveCommentsChar | T::Trim | T::TrimLeft | T::TrimRight => *bytes,
            T::RemoveNulls => without(&encode::NUL),
            T::RemoveWhitespace => without(&space::TRIMMED),
            T::ReplaceNulls => spaced(without(&encode::NUL), &encode::NUL),
            T::UrlDecode | T::UrlDecodeUni if !bytes.contains(b'%') => spaced(without(&url::PLUS), &url::PLUS),
            T::Utf8ToUnicode => bytes.union(ByteSet::of(b"%u0123456789abcdef")),
            _ => return None,
        })
    }

    /// Writes what becomes of `input` to `output`, over what was there, and answers whether that differs from `input`. Where
    /// it does not, what `output` holds is of no account.
    pub fn apply(self, input: &[u8], output: &mut Vec<u8>) -> bool {
        output.clear();
        match self {
            T::Base64Decode => base64::decode(input, output),
            T::Base64DecodeExt => base64::decode_forgiving(input, output),
            T::Base64Encode => base64::encode(input, output),
            T::CmdLine => space::command_line(input, output),
            T::CompressWhitespace => space::compress(input, output),
            T::CssDecode => escapes::css(input, output),
            T::EscapeSeqDecode => escapes::ansi_c(input, output),
            T::HexDecode => encode::from_hex(input, output),
            T::HexEncode => encode::to_hex(input, output),
            T::HtmlEntityDecode => entities::decode(input, output),
            T::JsDecode => escapes::javascript(input, output),
            T::Length => encode::length(input, output),
            T::Lowercase => encode::lowercase(input, output),
            T::Md5 => encode::md5(input, output),
            T::None => false,
            T::NormalizePath => path::normalize(input, output),
            T::NormalizePathWin => path::normalize_windows(input, output),
            T::ParityEven7bit => encode::with_parity(input, output, &encode::EVEN),
            T::ParityOdd7bit => encode::with_parity(input, output, &encode::ODD),
            T::ParityZero7bit => encode::with_parity(input, output, &encode::ZERO),
            T::RemoveComments => comments::remove(input, output),
            T::RemoveCommentsChar => comments::remove_marks(input, output),
            T::RemoveNulls => encode::remove_nulls(input, output),
            T::RemoveWhitespace => space::remove(input, output),
            T::ReplaceComments => comments::replace(input, output),
            T::ReplaceNulls => encode::replace_nulls(input, output),
            T::Sha1 => encode::sha1(input, output),
            T::SqlHexDecode => encode::sql_hex(input, output),
            T::Trim => space::trim(input, output, true, true),
            T::TrimLeft => space::trim(input, output, true, false),
            T::TrimRight => space::trim(input, output, false, true),
            T::Uppercase => encode::uppercase(input, output),
            T::UrlDecode => url::decode(input, output),
            T::UrlDecodeUni => url::decode_unicode(input, output),
            T::UrlEncode => url::encode(input, output),
            T::Utf8ToUnicode => unicode::to_percent_u(input, output),
        }
    }
}

/// The value of a hexadecimal digit.
pub(crate) const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// The value of each hexadecimal digit; of what is none it is more than any.
static DIGITS: [u8; 256] = {
    let mut digits = [u8::MAX; 256];
    let mut byte = 0;
    while byte < 256 {
        if let Some(digit) = hex_digit(byte as u8) {
            digits[byte] = digit;
        }
        byte += 1;
    }
    digits
};

/// The value of a hexadecimal digit, more than 15 of what is none.
#[inline]
fn digit(byte: u8) -> u8 {
    DIGITS[usize::from(byte)]
}

/// The byte that two hexadecimal digits at the start of `text` spell.
pub(crate) fn hex_pair(text: &[u8]) -> Option<u8> {
    let [high, low, ..] = text else { return None };
    let (high, low) = (digit(*high), digit(*low));
    (high | low < 16).then_some(high << 4 | low)
}

#[cfg(test)]
mod tests;
