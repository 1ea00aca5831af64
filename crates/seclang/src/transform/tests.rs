use proptest::strategy::Strategy as _;

use super::*;

fn applied(transformation: Transformation, input: &[u8]) -> Vec<u8> {
    let mut output = b"what was there before".to_vec();
    if transformation.apply(input, &mut output) {
        assert_ne!(output, input, "{} says that it changed {}", transformation.name(), input.escape_ascii());
        output
    } else {
        input.to_vec()
    }
}

/// Each row: input, output.
fn assert_rows(transformation: Transformation, rows: &[(&[u8], &[u8])]) {
    for (input, expected) in rows {
        let result = applied(transformation, input);
        let (name, shown) = (transformation.name(), input.escape_ascii());
        assert_eq!(result.escape_ascii().to_string(), expected.escape_ascii().to_string(), "{name} of {shown}");
    }
}

#[test]
fn each_is_found_by_its_names_in_any_case() {
    for transformation in Transformation::ALL {
        assert_eq!(Transformation::named(transformation.name().as_bytes()), Some(transformation));
        assert_eq!(Transformation::named(transformation.name().to_uppercase().as_bytes()), Some(transformation));
    }
    assert_eq!(Transformation::named(b"normalisePath"), Some(T::NormalizePath));
    assert_eq!(Transformation::named(b"normalisePathWin"), Some(T::NormalizePathWin));
    assert_eq!(Transformation::named(b"rot13"), None);
}

#[test]
fn base64_is_decoded_as_far_as_it_goes() {
    assert_rows(
        T::Base64Decode,
        &[
            (b"", b""),
            (b"VGVzdA==", b"Test"),
            (b"VGVz\r\ndA==", b"Test"),
            (b"VGVzdA==dHJ1bmNhdGVk", b"Test"),
            (b"VGV zdA==", b"Te"),
            (b"V", b""),
        ],
    );
    assert_rows(T::Base64DecodeExt, &[(b"VG.V z!d\xffA==", b"Test"), (b"-_-_", b"\xfb\xff\xbf")]);
    assert_rows(T::Base64Encode, &[(b"", b""), (b"T", b"VA=="), (b"Te", b"VGU="), (b"Test12", b"VGVzdDEy")]);
}

#[test]
fn a_command_line_is_read_as_shells_read_it() {
    assert_rows(
        T::CmdLine,
        &[
            (b"plain-value", b"plain-value"),
            (b"C^at  \"/etc\"  ,; 'passwd' (x)", b"cat/etc passwd(x)"),
            (b"a \t /b", b"a/b"),
            (b"\\", b""),
            (b"one two", b"one two"),
        ],
    );
}

#[test]
fn white_space_is_found_in_utf8_and_bytes() {
    assert_rows(
        T::CompressWhitespace,
        &[
            (b"a b", b"a b"),
            (b"a \t\n b\x0b\x0c", b"a b "),
            (b"a\xc2\xa0\xc2\x85\xa0b", b"a b"),
            (b"\xc3\xa0\xe4\xbd\xa0", b"\xc3\xa0\xe4\xbd\xa0"),
        ],
    );
    assert_rows(
        T::RemoveWhitespace,
        &[
            (b"a \t\n b", b"ab"),
            (b"a\xc2\xa0\xe2\x80\x83\xe3\x80\x80\xe1\x9a\x80\xa0b", b"ab"),
            (b"\xc3\xa0\xff\xe2\x82\xac", b"\xc3\xa0\xff\xe2\x82\xac"),
        ],
    );
    assert_rows(T::Trim, &[(b" \t a b\n", b"a b"), (b"  ", b""), (b"a", b"a")]);
    assert_rows(T::TrimLeft, &[(b" a ", b"a ")]);
    assert_rows(T::TrimRight, &[(b" a ", b" a")]);
}

#[test]
fn white_space_is_what_unicode_calls_so() {
    for character in ('\0'..='\u{ffff}').filter(|character| !character.is_ascii()) {
        let mut bytes = [0; 4];
        let text = character.encode_utf8(&mut bytes).as_bytes();
        assert_eq!(applied(T::RemoveWhitespace, text).is_empty(), character.is_whitespace(), "{character:?}");
        let is_latin = matches!(character, '\u{85}' | '\u{a0}');
        assert_eq!(applied(T::CompressWhitespace, text) == b" ", is_latin, "{character:?}");
    }
}

#[test]
fn escapes_of_css_javascript_and_c_are_decoded() {
    assert_rows(
        T::CssDecode,
        &[
            (b"\\6a avascript", b"javascript"),
            (b"\\00006a\tb\\\nc\\z\\", b"jbcz"),
            (b"\\ff1c\\e9\\0\\110000 ", b"<\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd"),
        ],
    );
    assert_rows(
        T::JsDecode,
        &[
            (b"\\u003c\\x3C\\74\\uff1c\\u{3c}\\u{0000}", b"<<<<<\0"),
            (b"\\n\\q\\'\\u00\\x1\\8\\777", b"\nq'u00x18?7"),
            (b"tail\\", b"tail\\"),
        ],
    );
    assert_rows(T::EscapeSeqDecode, &[(b"\\x41\\X42\\103\\n\\?\\d\\xZZ\\777", b"ABC\n?dxZZ\xff"), (b"\\", b"\\")]);
}

#[test]
fn entities_are_those_of_html() {
    assert_rows(
        T::HtmlEntityDecode,
        &[
            (b"&lt;a&GT;&#60;&#x3C;&#x3cz", b"<a><<<z"),
            (b"java&Tab;&NewLine;script&colon;&lpar;", b"java\t\nscript:("),
            (b"&ltx&notit;&not;", b"<x\xc2\xacit;\xc2\xac"),
            (b"&; &#; &#x; &unknown; & &", b"&; &#; &#x; &unknown; & &"),
            (b"&#0;&#128;&#xD800;&#99999999999;&#x000000000041;", "\u{fffd}\u{20ac}\u{fffd}\u{fffd}A".as_bytes()),
            (b"&CounterClockwiseContourIntegral;&NotEqualTilde;", "\u{2233}\u{2242}\u{338}".as_bytes()),
        ],
    );
}

#[test]
fn bytes_are_changed_one_by_one() {
    assert_rows(T::Lowercase, &[(b"AbC\xc3\x89", b"abc\xc3\x89"), (b"abc", b"abc")]);
    assert_rows(T::Uppercase, &[(b"AbC\xc3\xa9", b"ABC\xc3\xa9")]);
    assert_rows(T::RemoveNulls, &[(b"\0a\0b", b"ab")]);
    assert_rows(T::ReplaceNulls, &[(b"\0a\0b", b" a b")]);
    assert_rows(T::HexEncode, &[(b"\x00Az\xff", b"00417aff")]);
    assert_rows(T::HexDecode, &[(b"00417aFF", b"\x00Az\xff"), (b"414", b"414"), (b"4g", b"4g")]);
    assert_rows(T::SqlHexDecode, &[(b"a0x414243-0X4g0x410x4", b"aABC-0X4gA0x4"), (b"x41", b"x41"), (b"0x414", b"A4")]);
    assert_rows(T::Length, &[(b"", b"0"), (b"0123456789", b"10"), (b"1", b"1")]);
    assert_rows(T::ParityEven7bit, &[(b"ac\xe3", b"\xe1cc")]);
    assert_rows(T::ParityOdd7bit, &[(b"ac", b"a\xe3")]);
    assert_rows(T::ParityZero7bit, &[(b"a\xe1", b"aa")]);
    assert_rows(T::None, &[(b"A%41\0", b"A%41\0")]);
    assert_rows(T::Md5, &[(b"", b"\xd4\x1d\x8c\xd9\x8f\x00\xb2\x04\xe9\x80\x09\x98\xec\xf8\x42\x7e")]);
    assert_rows(
        T::Sha1,
        &[(b"abc", b"\xa9\x99\x3e\x36\x47\x06\x81\x6a\xba\x3e\x25\x71\x78\x50\xc2\x6c\x9c\xd0\xd8\x9d")],
    );
}

#[test]
fn paths_are_made_straight() {
    assert_rows(
        T::NormalizePath,
        &[
            (b"/", b"/"),
            (b"/a/./b//../c", b"/a/c"),
            (b"/../../etc", b"/etc"),
            (b"a/../../b/", b"../b/"),
            (b"a/..", b""),
            (b"/a/..", b"/"),
            (b"...", b"..."),
            (b"..\\a", b"..\\a"),
        ],
    );
    assert_rows(
        T::NormalizePathWin,
        &[
            (b"\\a\\..\\b", b"/b"),
            (b"a\\web.config::$DATA", b"a/web.config"),
            (b"c:\\a\\b.txt:stream", b"c:/a/b.txt"),
            (b"a\\b.txt. \\c. .", b"a/b.txt/c"),
            (b"a/ /b/...", b"a/b/..."),
        ],
    );
}

#[test]
fn comments_go() {
    assert_rows(
        T::RemoveComments,
        &[
            (b"a/*b*/c<!--d-->e--f", b"ace"),
            (b"a#b", b"a"),
            (b"a/*b", b"a "),
            (b"a/*b*/", b"a\0"),
            (b"a-b*c!", b"a-b*c!"),
            (b"/*/x", b" "),
        ],
    );
    assert_rows(T::RemoveCommentsChar, &[(b"a/*b*/c<!--d-->e--f#g", b"abcdefg"), (b"a-b*c", b"a-b*c")]);
    assert_rows(T::ReplaceComments, &[(b"a/*b*/c/**/d/*e", b"a c d "), (b"a*b*/", b"a*b*/")]);
}

#[test]
fn percent_encoding_goes_both_ways() {
    assert_rows(T::UrlDecode, &[(b"a+b%20%41%4g%4%u0041", b"a b A%4g%4%u0041"), (b"%", b"%")]);
    assert_rows(
        T::UrlDecodeUni,
        &[
            (b"%u0041%U0042%uff1c%uFF5e%u2019%u1234%u00g0%u00", b"AB<~'4%u00g0%u00"),
            (b"+%2b", b" +"),
            (b"%u0100%u00a0%u017f", b"A \x7f"),
        ],
    );
    assert_rows(T::UrlEncode, &[(b"a b*\xff-", b"a+b*%ff%2d"), (b"aZ09*", b"aZ09*")]);
    assert_rows(
        T::Utf8ToUnicode,
        &[("é€😀".as_bytes(), b"%u00e9%u20ac%u1f600"), (b"a\xffb\xc0\xafc\xe2\x82", b"a\xffb\xc0\xafc\xe2\x82")],
    );
}

proptest::proptest! {
    #[test]
    fn a_value_without_a_trigger_is_unchanged(
        value in proptest::collection::vec(proptest::prop_oneof![
            proptest::sample::select(b"\\/*-#&%+.: <!;x0uA4fz\0".as_slice()),
            proptest::arbitrary::any::<u8>(),
        ], 0..24),
    ) {
        let mut output = Vec::new();
        for transformation in Transformation::ALL {
            let changed = transformation.apply(&value, &mut output);
            if changed {
                proptest::prop_assert_ne!(&output, &value);
            }
            if let Some(triggers) = transformation.triggers() {
                proptest::prop_assert!(!changed || triggers.intersects(&ByteSet::present(&value)),
                    "{} changes {}", transformation.name(), value.escape_ascii());
            }
        }
    }
}

/// The code point that `text` begins with, and how many bytes it takes; nothing where they are not well-formed UTF-8.
fn sequence(text: &[u8]) -> Option<(u32, usize)> {
    let more = |byte: u8| u32::from(byte & 0x3f);
    match *text {
        [a @ 0..=0x7f, ..] => Some((u32::from(a), 1)),
        [a @ 0xc2..=0xdf, b @ 0x80..=0xbf, ..] => Some((u32::from(a & 0x1f) << 6 | more(b), 2)),
        [a @ 0xe0, b @ 0xa0..=0xbf, c @ 0x80..=0xbf, ..]
        | [a @ (0xe1..=0xec | 0xee..=0xef), b @ 0x80..=0xbf, c @ 0x80..=0xbf, ..]
        | [a @ 0xed, b @ 0x80..=0x9f, c @ 0x80..=0xbf, ..] => {
            Some((u32::from(a & 0xf) << 12 | more(b) << 6 | more(c), 3))
        }
        [a @ 0xf0, b @ 0x90..=0xbf, c @ 0x80..=0xbf, d @ 0x80..=0xbf, ..]
        | [a @ 0xf1..=0xf3, b @ 0x80..=0xbf, c @ 0x80..=0xbf, d @ 0x80..=0xbf, ..]
        | [a @ 0xf4, b @ 0x80..=0x8f, c @ 0x80..=0xbf, d @ 0x80..=0xbf, ..] => {
            Some((u32::from(a & 7) << 18 | more(b) << 12 | more(c) << 6 | more(d), 4))
        }
        _ => None,
    }
}

/// What each of these means, a character after the other.
fn plainly(transformation: Transformation, input: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    let mut at = 0;
    while at < input.len() {
        let rest = &input[at..];
        let character = sequence(rest);
        let length = character.map_or(1, |(_, length)| length);
        let code = character.map(|(code, _)| code);
        let latin = code.is_some_and(|code| matches!(code, 9..=13 | 32 | 0x85 | 0xa0)) || rest[0] == 0xa0;
        let space = code.and_then(char::from_u32).is_some_and(char::is_whitespace) || rest[0] == 0xa0;
        let mark = [&b"/*"[..], b"*/", b"<!--", b"-->", b"--", b"#"].into_iter().find(|mark| rest.starts_with(mark));
        let step = match transformation {
            T::RemoveCommentsChar => {
                output.extend_from_slice(if mark.is_some() { b"" } else { &rest[..1] });
                mark.map_or(1, <[u8]>::len)
            }
            T::CompressWhitespace if latin => {
                // A mark of its own stands for a run until the end.
                if output.last() != Some(&0xfe) {
                    output.push(0xfe);
                }
                length
            }
            T::RemoveWhitespace if space => length,
            T::Utf8ToUnicode if length > 1 => {
                output.extend_from_slice(format!("%u{:04x}", code.unwrap_or(0)).as_bytes());
                length
            }
            _ => {
                output.extend_from_slice(&rest[..length]);
                length
            }
        };
        at += step;
    }
    output.into_iter().map(|byte| if byte == 0xfe { b' ' } else { byte }).collect()
}

/// Parts of texts with escapes.
#[rustfmt::skip]
const PARTS: &[&[u8]] = &[
    b"\\", b"\\", b"\\", b"\\x4", b"\\u00", b"\\u{4", b"\\00", b"\\ff", b"%", b"%", b"%u", b"%U20", b"x41", b"}", b"4", b"7",
    b"f", b"F", b"00", b"19", b" ", b"\n", b"\0", b"u", b"U", b"n", b"+", b"z", b"\xc3", b"\xc3\xa9", b"\xe2\x82",
    b"\xe2\x82\xac", b"\xf0\x9f\x98", b"\xf0\x9f\x98\x80", b"\xf4\x8f\xbf\xbf", b"\xed\xa0\x80", b"\x80",
];

/// What an escape stands for and how many bytes it takes, of those that begin with `%` or a backslash; nothing where none is.
fn plain_escape(transformation: Transformation, text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let digits = |from: usize, most: usize| {
        let digits: String = text[from.min(text.len())..].iter().take(most).map(|byte| char::from(*byte)).collect();
        let count = digits.bytes().take_while(u8::is_ascii_hexdigit).count();
        (u32::from_str_radix(&digits[..count], 16).unwrap_or(0), count)
    };
    let full_width = |code: u32| if (0xff01..=0xff5e).contains(&code) { code - 0xfee0 } else { code };
    let octal = || {
        let count = text[1..].iter().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
        (text[1..=count].iter().fold(0, |value, byte| 8 * value + u32::from(byte - b'0')), count)
    };
    let (&kind, is_lower) = (text.get(1)?, text[1].is_ascii_lowercase());
    let letter = b"a\x07b\x08f\x0cn\nr\rt\tv\x0b".chunks(2).find(|pair| pair[0] == kind).map_or(kind, |pair| pair[1]);
    let (code, length) = match (transformation, kind) {
        (T::UrlDecodeUni, b'u' | b'U') if digits(2, 4).1 == 4 => {
            let code = digits(2, 4).0;
            let mut runs = unicode::BEST_FIT.iter();
            let fitting = runs.find_map(|(first, bytes)| bytes.get(code.checked_sub(u32::from(*first))? as usize));
            (fitting.map_or(full_width(code), |byte| u32::from(*byte)), 6)
        }
        (T::UrlDecodeUni, _) if digits(1, 2).1 == 2 => (digits(1, 2).0, 3),
        (T::UrlDecodeUni, _) => return None,
        (T::CssDecode, _) if digits(1, 6).1 > 0 => {
            let (code, count) = digits(1, 6);
            let has_space = text.get(1 + count).is_some_and(|byte| b" \t\n\r\x0b\x0c".contains(byte));
            let code = char::from_u32(full_width(code)).filter(|code| *code != '\0').unwrap_or('\u{fffd}');
            return Some((code.to_string().into_bytes(), 1 + count + usize::from(has_space)));
        }
        (T::CssDecode, b'\n') => return Some((Vec::new(), 2)),
        (T::CssDecode, _) => (u32::from(kind), 2),
        (T::JsDecode, b'u') if digits(2, 4).1 == 4 => (full_width(digits(2, 4).0), 6),
        (T::JsDecode, b'u') if text.get(2) == Some(&b'{') && digits(3, 6).1 > 0 => match digits(3, 6) {
            (code, count) if text.get(3 + count) == Some(&b'}') => (full_width(code), 4 + count),
            _ => (u32::from(kind), 2),
        },
        (_, b'x' | b'X') if (is_lower || transformation == T::EscapeSeqDecode) && digits(2, 2).1 == 2 => {
            (digits(2, 2).0, 4)
        }
        (T::JsDecode, b'0'..=b'7') if octal().0 > 0xff => (octal().0 >> 3, 3),
        (_, b'0'..=b'7') => (octal().0, 1 + octal().1),
        _ => (u32::from(letter), 2),
    };
    Some((vec![code as u8], length))
}

/// A path, part by part.
fn plain_path(path: &[u8]) -> Vec<u8> {
    if path == b"/" || path == b"//" {
        return path.to_vec();
    }
    let root: &[u8] = if path.first() == Some(&b'/') { b"/" } else { b"" };
    let mut kept: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if kept.last().is_some_and(|last| last != b"..") => drop(kept.pop()),
            b".." if !root.is_empty() => {}
            _ => kept.push(part),
        }
    }
    let mut made = [root, &kept.join(&b'/')].concat();
    if path.last() == Some(&b'/') && !made.is_empty() && made != b"/" {
        made.push(b'/');
    }
    made
}

/// The same of a command line.
fn plain_command_line(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    let mut in_space = false;
    for &byte in input {
        match byte {
            b'"' | b'\'' | b'\\' | b'^' => continue,
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                output.extend((!in_space).then_some(b' '));
                in_space = true;
                continue;
            }
            b'/' | b'(' if in_space => output.truncate(output.len() - 1),
            _ => {}
        }
        output.push(byte.to_ascii_lowercase());
        in_space = false;
    }
    output
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(4096))]

    #[test]
    fn a_path_of_one_part_is_normalized_as_behind_a_root(
        name in proptest::collection::vec(proptest::sample::select(b"ab.. ".as_slice()), 1..8),
    ) {
        // From behind a root nothing leads out.
        if name != b".." {
            let rooted = applied(T::NormalizePathWin, &[b"/", name.as_slice()].concat());
            let behind_the_root = rooted.strip_prefix(b"/").unwrap_or_default();
            proptest::prop_assert_eq!(behind_the_root, applied(T::NormalizePathWin, &name));
        }
    }

    #[test]
    fn a_path_is_normalized_as_its_parts_are(
        mut path in proptest::collection::vec(proptest::sample::select(b"/././a\\".as_slice()), 0..64),
        plain in (0_usize..64, 0_usize..70),
    ) {
        let at = plain.0.min(path.len());
        path.splice(at..at, std::iter::repeat_n(b'b', plain.1));
        proptest::prop_assert_eq!(
            applied(T::NormalizePath, &path).escape_ascii().to_string(),
            plain_path(&path).escape_ascii().to_string(),
            "{}", path.escape_ascii()
        );
    }

    #[test]
    fn runs_are_treated_as_each_character_is(
        mut value in proptest::collection::vec(proptest::sample::select(
            b"aa  \t\n/*-<!>#\xa0\x85\xc2\xa0\xc3\xe2\x80\x83\xe3\x80\xe4\xbd\xff".as_slice(),
        ), 0..100),
        // About as long as what is gone through at once.
        plain in (0_usize..100, proptest::sample::select([0, 7, 8, 9, 31, 32, 33, 63, 64, 65, 100].as_slice())),
    ) {
        let at = plain.0.min(value.len());
        value.splice(at..at, std::iter::repeat_n(b'a', plain.1));
        let commands: Vec<u8> = value.iter().map(|byte| b"aB  ,;\"'^\\/(\tZ"[usize::from(*byte) % 14]).collect();
        proptest::prop_assert_eq!(applied(T::CmdLine, &commands), plain_command_line(&commands));
        for transformation in [T::RemoveCommentsChar, T::CompressWhitespace, T::RemoveWhitespace, T::Utf8ToUnicode] {
            proptest::prop_assert_eq!(
                applied(transformation, &value).escape_ascii().to_string(),
                plainly(transformation, &value).escape_ascii().to_string(),
                "{} of {}", transformation.name(), value.escape_ascii()
            );
        }
    }

    #[test]
    fn escapes_are_decoded_as_each_alone_is(
        parts in proptest::collection::vec(
            proptest::prop_oneof![
                proptest::sample::select(PARTS),
                (0_usize..70).prop_map(|count| &[b'a'; 70][..count]),
            ],
            // Many are more than is gone through at once.
            0..64,
        ),
    ) {
        let value = parts.concat();
        for (transformation, sign) in
            [(T::UrlDecodeUni, b'%'), (T::JsDecode, b'\\'), (T::CssDecode, b'\\'), (T::EscapeSeqDecode, b'\\')]
        {
            let (mut decoded, mut at) = (Vec::new(), 0);
            while let Some(&byte) = value.get(at) {
                let rest = &value[at..];
                let (bytes, length) = match plain_escape(transformation, rest).filter(|_| byte == sign) {
                    Some(escape) => escape,
                    None if byte == b'+' && transformation == T::UrlDecodeUni => (vec![b' '], 1),
                    // A backslash at the end is left out, or stands for itself.
                    None if rest == b"\\" && transformation == T::CssDecode => (Vec::new(), 1),
                    None => (vec![byte], 1),
                };
                decoded.extend_from_slice(&bytes);
                at += length;
            }
            proptest::prop_assert_eq!(
                applied(transformation, &value).escape_ascii().to_string(),
                decoded.escape_ascii().to_string(),
                "{} of {}", transformation.name(), value.escape_ascii()
            );
        }
        proptest::prop_assert_eq!(applied(T::Utf8ToUnicode, &value), plainly(T::Utf8ToUnicode, &value));
    }

    #[test]
    fn escapes_and_letters_are_read_as_each_alone_is(
        mut value in proptest::collection::vec(proptest::sample::select(b"aZ09%%++4f/u=\r \xff".as_slice()), 0..24),
        plain in (0_usize..24, proptest::sample::select([0, 7, 8, 9, 31, 32, 33, 63, 64, 65, 100].as_slice())),
    ) {
        let at = plain.0.min(value.len());
        value.splice(at..at, std::iter::repeat_n(b'a', plain.1));
        let (mut decoded, mut rest) = (Vec::new(), value.as_slice());
        while let [first, after @ ..] = rest {
            rest = after;
            decoded.push(match (first, hex_pair(after)) {
                (b'+', _) => b' ',
                (b'%', Some(byte)) => {
                    rest = &after[2..];
                    byte
                }
                (byte, _) => *byte,
            });
        }
        proptest::prop_assert_eq!(applied(T::UrlDecode, &value), decoded);

        let letters = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(*b"+/").collect::<Vec<u8>>();
        let sixes: Vec<u32> = value
            .iter()
            .filter(|byte| **byte != b'\r')
            .map_while(|byte| letters.iter().position(|letter| letter == byte).map(|at| at as u32))
            .collect();
        let decoded: Vec<u8> = sixes
            .chunks(4)
            .flat_map(|four| {
                let bits = four.iter().zip([18, 12, 6, 0]).fold(0, |bits, (six, place)| bits | six << place);
                bits.to_be_bytes()[1..four.len()].to_vec()
            })
            .collect();
        proptest::prop_assert_eq!(applied(T::Base64Decode, &value), decoded);
    }

    /// The promises by which gates close questions for a text before it is transformed.
    #[test]
    fn what_becomes_of_a_text_has_no_byte_that_is_not_told(
        value in proptest::collection::vec(
            proptest::prop_oneof![proptest::sample::select(&b"aZ .+,;/\\:%&x*#-\t(\"'\0\xc2\xa0"[..]), proptest::prelude::any::<u8>()], 0..24),
    ) {
        let bytes = ByteSet::present(&value);
        for transformation in Transformation::ALL {
            if let Some(leaves) = transformation.leaves(&bytes) {
                let made = applied(transformation, &value);
                let has = ByteSet::present(&made);
                proptest::prop_assert!(has.is_within(&leaves), "{} of {}", transformation.name(), value.escape_ascii());
            }
        }
    }

    #[test]
    fn without_what_a_transformation_acts_on_a_text_is_the_same_but_for_case(
        value in proptest::collection::vec(
            proptest::prop_oneof![proptest::sample::select(&b"aZ .+,;/\\:%&x*#-\t(\"'"[..]), proptest::prelude::any::<u8>()], 0..12),
    ) {
        let present = ByteSet::present(&value);
        let ends = value.last().is_some_and(|last| matches!(last, b'.' | b' '));
        for transformation in Transformation::ALL {
            let made = applied(transformation, &value);
            if transformation.never_lengthens() {
                proptest::prop_assert!(made.len() <= value.len(), "{} makes {}", transformation.name(), made.escape_ascii());
            }
            let touches = transformation.touches();
            if touches.is_some_and(|touches| !present.intersects(touches)) && !(transformation.acts_on_end() && ends) {
                proptest::prop_assert!(made.eq_ignore_ascii_case(&value), "{} of {}", transformation.name(), value.escape_ascii());
            }
            let blanks = transformation.blanks().zip(touches);
            if blanks.is_some_and(|(blanks, touches)| !present.intersects(&touches.intersection(&blanks.complement()))) {
                // Words between blanks stay whole, and follow one another without a space only before these signs.
                let is_blank = |byte: &u8| b" +,;\t\r\n".contains(byte);
                let words = |text: &[u8]| text.split(is_blank).collect::<Vec<_>>().concat().to_ascii_lowercase();
                proptest::prop_assert_eq!(words(&made), words(&value));
                let pieces = |text: &[u8]| {
                    let spaced: Vec<u8> = text.iter().flat_map(|byte| match byte {
                        b'/' | b'(' => vec![b' ', *byte],
                        byte if is_blank(byte) => vec![b' '],
                        byte => vec![byte.to_ascii_lowercase()],
                    }).collect();
                    spaced.split(is_blank).filter(|piece| !piece.is_empty()).map(<[u8]>::to_vec).collect::<Vec<_>>()
                };
                proptest::prop_assert_eq!(pieces(&made), pieces(&value));
            }
        }
    }
}
