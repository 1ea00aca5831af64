use super::*;

struct Data;

impl DataFiles for Data {
    fn read(&self, name: &[u8]) -> Result<Vec<u8>, String> {
        match name {
            b"words.data" => Ok(b"# words\r\n\r\n  Two Words \r\nother\r\n".to_vec()),
            b"addresses.data" => Ok(b"# ours\n192.0.2.0/24\n2001:db8::/32\n".to_vec()),
            _ => Err(format!("no file {}", name.escape_ascii())),
        }
    }

    fn dataset(&self, name: &[u8]) -> Option<Vec<Vec<u8>>> {
        (name == b"known").then(|| vec![b"192.0.2.1".to_vec(), b"2001:db8::1".to_vec()])
    }
}

fn operator(name: &str, argument: &str) -> Operator {
    Operator::parse(name.as_bytes(), argument.as_bytes(), &Data).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(name: &str, argument: &str) -> String {
    match Operator::parse(name.as_bytes(), argument.as_bytes(), &Data) {
        Ok(_) => panic!("@{name} {argument} was taken"),
        Err(error) => error.to_string(),
    }
}

fn holds(name: &str, argument: &str, value: impl AsRef<[u8]>) -> bool {
    let operator = operator(name, argument);
    let (value, mut scratch, mut captures) = (value.as_ref(), Scratch::default(), Captures::default());
    let plain = operator.matches(value, b"", &mut scratch, None);
    assert_eq!(operator.matches(value, b"", &mut scratch, Some(&mut captures)), plain, "captures change the verdict");
    assert!(plain || captures.is_empty(), "captures without a match");
    plain
}

fn captured(name: &str, argument: &str, value: &str) -> Vec<String> {
    let mut captures = Captures::default();
    operator(name, argument).matches(value.as_bytes(), b"", &mut Scratch::default(), Some(&mut captures));
    captures.iter(value.as_bytes()).map(|capture| String::from_utf8_lossy(capture).into_owned()).collect()
}

#[test]
fn a_pattern_matches_bytes() {
    assert!(holds("rx", "^a.b$", "a\nb"));
    assert!(holds("rx", "^b$", "a\nb\nc"));
    assert!(holds("rx", r"\x{c2}\x{b4}", "´"));
    assert!(holds("rx", "é", "café"));
    assert!(holds("rx", "^[^a]$", b"\xff"));
    assert!(!holds("rx", "É", "é"));
    assert!(!holds("rx", "(?i)k", "\u{212a}"));
    assert_eq!(captured("rx", "(a)(x)?(b)", "-ab-"), ["ab", "a", "", "b"]);
    assert_eq!(captured("rxGlobal", r"(\d)\w", "1a 2b 3c"), ["1a", "1", "2b", "2", "3c", "3"]);
    for (pattern, value, whole) in
        [("^.*$", "a\nb", "a\nb"), (".*", "", ""), ("^.*$", "\0", "\0"), ("^.*?", "ab", ""), ("^[^\n]*$", "a\nb", "a")]
    {
        assert_eq!(captured("rx", pattern, value), [whole], "{pattern}");
        assert!(holds("rx", pattern, value));
    }
    assert_eq!(captured("rx", "(1)(2)(3)(4)(5)(6)(7)(8)(9)(0)(1)", "12345678901").len(), 10);
}

#[test]
fn patterns_are_spelled_as_pcre_spells_them() {
    for (pattern, yes, no) in [
        (r"^[]a]+$", "]a", "b"),
        (r"^[^]a]$", "b", "]"),
        (r"^[[a]$", "[", "]"),
        (r"^[a-c&&b]$", "&", "d"),
        (r"^[a\-c]$", "-", "b"),
        (r"^[\w-.]$", "-", "!"),
        (r"^[a-\d]$", "-", "b"),
        (r"^[[:alpha:]_]$", "_", "1"),
        (r"^[[:^digit:]]$", "a", "1"),
        (r"^[\]\\]$", "\\", "a"),
        (r"^[\b]$", "\x08", "b"),
        (r"^a{,2}$", "a{,2}", "aa"),
        (r"^{a}$", "{a}", "a"),
        (r"^a{2,3}?$", "aa", "a"),
        (r"^\Qa.b\E.$", "a.bc", "axbc"),
        (r"^\/\-\'\_\@$", "/-'_@", "a"),
        (r"^\e\x1\cA\07$", "\x1b\x01\x01\x07", "e"),
        (r"(?x) ^ a # comment ( \n b $", "ab", "a b"),
        ("(?x)a#c\nb", "ab", "a#c"),
        (r"^(?<n>a)(?#note)b$", "ab", "a"),
        (r"^a(?i)b$", "aB", "AB"),
        (r"^(?i:[^a])$", "b", "A"),
        (r"^\h\H\R\N$", "\ta\r\nb", "aaaa"),
        (r"^a]}$", "a]}", "a"),
        (r"\bword\b", "a word.", "swords"),
    ] {
        // The comment of the row with `(?x)` ends at a real line end only; this one never does.
        let pattern = pattern.replace("\\n b $", "\nb$");
        assert!(holds("rx", &pattern, yes), "{pattern} on {yes:?}");
        assert!(!holds("rx", &pattern, no), "{pattern} on {no:?}");
    }
}

#[test]
fn what_is_not_linear_is_refused_by_name() {
    for (pattern, what) in [
        ("a(?=b.*)", "looks farther than 256 bytes"),
        ("(?<=a+)b", "looks farther than 256 bytes"),
        ("(?<=^a)b", "asks for a boundary behind it"),
        ("a(?=(b))", "has a group that captures"),
        ("a(?=b(?!c))", "has another assertion inside"),
        ("a(?=b", "no closing parenthesis"),
        ("(?>a)", "atomic group"),
        ("(?:ab)++", "possessive"),
        ("a{2}+", "possessive"),
        ("a{1,65536}", "more than 65,535 times"),
        ("a{99999999999999999999,}", "more than 65,535 times"),
        (r"(a)\1", "reference to a group"),
        (r"(a+)\b\1\b", "only where the group is a word"),
        (r"\b(\w+)\b.*\b\1\b", "repeats without bound"),
        ("(?P<n>a)(?P=n)", "reference to a group"),
        ("(?R)", "recursion"),
        (r"\x{100}", "beyond ff"),
        ("[a", "has no end"),
        ("[z-a]", "ends before it begins"),
        ("(a", "unclosed group"),
        (r"\Z", "write \\z"),
        (r"\pL", "not supported"),
        ("a\\", "ends the pattern"),
    ] {
        let refusal = refusal("rx", pattern);
        assert!(refusal.contains(what) && refusal.starts_with("@rx: "), "{pattern}: {refusal}");
    }
}

#[test]
fn patterns_look_around_within_a_bound() {
    for (pattern, yes, no) in [
        (r"<\?(?!xml)", "<?php", "<?xml"),
        (r"<\?(?!xml)", "<?xml<?x", "<?xml<?xml?>"),
        (r"(?i)a(?=b|cd)", "xACD", "ac"),
        (r"(?<!&amp|&lt);|'", "a;", "&amp;&lt;"),
        (r"(?<!&amp|&lt);|'", "&amp;'", "&lt;"),
        (r"(?<=ab)c$", "abc", "bc"),
        (r"^\s*+a", "  a", " \n"),
        (r"^\s*+[\sa]b", "  ab", "  b"),
        (r"(?i)^a++A?b$", "aAb", "aac"),
        (r"^[^a]++.c$", "bbac", "bbc"),
        (r"(?i)\b(\w+)\b\s*=\s*\b\1\b", "x1=2 Ab = aB", "ab=abc, xab=ab, ab=ba"),
        (r"\b(\w+)\b\s*(?:<>|!=)\s*(?!\b\1\b)\w+", "a<>a b<>c", "a<>a,b != b"),
        (r"\b(\w+)\b (?:sounds )?like \b\1\b", "x sounds like sounds", "x sounds like y"),
    ] {
        assert!(holds("rx", pattern, yes), "{pattern} on {yes:?}");
        assert!(!holds("rx", pattern, no), "{pattern} on {no:?}");
    }
    assert_eq!(captured("rx", r"<(\?)(?!xml)(p)?", "<?xml <?p"), ["<?p", "?", "p"]);
    assert_eq!(captured("rx", r"(?<!b)a+|(c)", "baac"), ["a", ""]);
    assert_eq!(captured("rx", r"(?i)['(]*?\b(\w+)\b=\b\1\b", "a=b,'('x=X"), ["'('x=X", "x"]);
    assert_eq!(captured("rxGlobal", r"(\w)(?!\w)", "ab cd"), ["b", "b", "d", "d"]);
}

#[test]
fn words_are_found_in_any_case() {
    assert!(holds("pm", "one  TWO", "xtwox"));
    assert!(!holds("pm", "one two", "tw o"));
    assert!(holds("pm", "A|42 43|D", "xabcdx"));
    assert!(holds("pmFromFile", "words.data", "two words"));
    assert!(!holds("pmf", "words.data", "words"));
    assert_eq!(captured("pm", "a ab abc", "xABCx"), ["ABC"]);
    assert!(refusal("pm", " ").contains("no words"));
    assert!(refusal("pm", "a|4|").contains("hexadecimal"));
    assert!(refusal("pmFromFile", "gone.data").contains("no file gone.data"));
    assert!(refusal("pmFromFile", "https://example.com/x").contains("name a file"));
    assert!(refusal("pmFromDataset", "gone").contains("SecDataset"));
    assert!(holds("pmFromDataset", "known", "from 192.0.2.1 again"));
}

#[test]
fn texts_are_compared() {
    assert!(holds("within", "GET POST", "POST"));
    assert!(!holds("within", "GET POST", "PUT"));
    assert!(holds("contains", "b", "abc"));
    assert!(holds("strmatch", "b", "abc"));
    assert!(holds("containsWord", "b", "a b-c"));
    assert!(!holds("containsWord", "b", "abc _b b1"));
    assert!(holds("streq", "a", "a"));
    assert!(!holds("streq", "a", "A"));
    assert!(holds("beginsWith", "a", "ab"));
    assert!(holds("endsWith", "b", "ab"));
}

#[test]
fn numbers_are_read_as_c_reads_them() {
    assert!(holds("eq", "12", " +12abc"));
    assert!(holds("eq", "0", "abc"));
    assert!(holds("lt", "5", "-7"));
    assert!(holds("ge", "5", "99999999999999999999"));
    assert!(holds("gt", "5", "6") && !holds("gt", "5", "5"));
    assert!(holds("le", "5", "5") && !holds("le", "5", "6"));
}

#[test]
fn addresses_are_found_in_prefixes() {
    for yes in ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8:1::", "198.51.100.1", "10.1.2.3"] {
        assert!(holds("ipMatch", "192.0.2.0/24, 2001:db8::/32,198.51.100.1,::ffff:10.0.0.0/104", yes), "{yes}");
    }
    for no in ["192.0.3.1", "2001:db9::", "198.51.100.2", "", "192.0.2.7 ", "name"] {
        assert!(!holds("ipMatch", "192.0.2.0/24,2001:db8::/32,198.51.100.1", no), "{no}");
    }
    assert!(holds("ipMatch", "0.0.0.0/0", "255.255.255.255") && !holds("ipMatch", "0.0.0.0/0", "::1"));
    assert!(holds("ipMatch", "::/0", "::1"));
    assert!(holds("ipMatchFromFile", "addresses.data", "192.0.2.9"));
    assert!(holds("ipMatchFromDataset", "known", "2001:db8::1"));
    assert!(refusal("ipMatch", "192.0.2.0/33").contains("is no address"));
    assert!(refusal("ipMatch", "example.com").contains("is no address"));
    assert!(refusal("ipMatch", "").contains("no addresses"));
}

#[test]
fn bytes_and_encodings_are_checked() {
    assert!(!holds("validateByteRange", "9,10,13,32-126", "a\tb"));
    assert!(holds("validateByteRange", "9,10,13,32-126", "a\0b"));
    assert!(refusal("validateByteRange", "1-256").contains("no range of bytes"));
    assert!(refusal("validateByteRange", "9-1").contains("no range of bytes"));
    assert!(holds("validateUrlEncoding", "", "a%4") && holds("validateUrlEncoding", "", "%zz"));
    assert!(!holds("validateUrlEncoding", "", "a%41%2f"));
    assert!(holds("validateUtf8Encoding", "", b"\xc0\xaf") && !holds("validateUtf8Encoding", "", "é"));
}

#[test]
fn numbers_with_a_check_are_verified() {
    let card = r"(?:^|[^\d])(\d{13,16})(?:[^\d]|$)";
    assert!(holds("verifyCC", card, "1234567890123456 4111111111111111"));
    assert!(!holds("verifyCC", card, "4111111111111112"));
    assert!(holds("verifyCPF", r"[\d.-]{11,14}", "529.982.247-25"));
    assert!(!holds("verifyCPF", r"[\d.-]{11,14}", "529.982.247-26"));
    assert!(!holds("verifyCPF", r"\d{11}", "11111111111"));
    assert!(holds("verifySSN", r"\d{3}-\d{2}-\d{4}", "219-09-9999"));
    assert!(!holds("verifySSN", r"\d{3}-\d{2}-\d{4}", "666-09-9999"));
    assert!(holds("verifySVNR", r"\d{10}", "1237010180"));
    assert!(holds("validateNid", r"cl [\d.]+-[\dkK]", "11.111.111-1"));
    assert!(refusal("validateNid", "fr .*").contains("write cl or us"));
    assert_eq!(captured("verifySSN", r"\d{3}-\d{2}-\d{4}", "a 000-00-0000 219-09-9999"), ["219-09-9999"]);
}

#[test]
fn injections_are_detected_with_their_fingerprint() {
    assert_eq!(captured("detectSQLi", "", "1' or '1'='1"), ["s&sos"]);
    assert!(!holds("detectSQLi", "", "a plain sentence"));
    assert!(holds("detectXSS", "", "<script>alert(1)</script>"));
    assert!(!holds("detectXSS", "", "a < b"));
}

#[test]
fn a_path_names_its_parts() {
    let path = operator("restpath", "/users/{id}/{action}");
    let mut captures = Captures::default();
    let value = b"/users/42/edit?x";
    assert!(path.matches(value, b"", &mut Scratch::default(), Some(&mut captures)));
    let named: Vec<_> = path.path_names().map(|(name, number)| (name, captures.get(number, value).unwrap())).collect();
    assert_eq!(named, [("id", &b"42"[..]), ("action", b"edit")]);
    assert!(!holds("restpath", "/users/{id}", "/users/"));
}

#[test]
fn macros_are_expanded_by_the_caller() {
    let within = operator("within", "%{tx.allowed_methods}");
    assert!(within.takes_macros());
    assert_eq!(within.argument(), b"%{tx.allowed_methods}");
    assert!(within.matches(b"GET", b"GET POST", &mut Scratch::default(), None));
    assert!(!operator("pm", "%{a}").takes_macros());
    assert!(!operator("within", "100%").takes_macros());

    let pattern = operator("rx", "^%{tx.prefix}[0-9]+$");
    let mut scratch = Scratch::default();
    for round in 0..200 {
        let expanded = format!("^a{round}[0-9]+$");
        assert!(pattern.matches(format!("a{round}7").as_bytes(), expanded.as_bytes(), &mut scratch, None));
    }
    assert!(!pattern.matches(b"a", b"^(", &mut scratch, None), "what is no pattern matches nothing");
}

#[test]
fn names_are_read_in_any_case_and_others_refused() {
    assert_eq!(operator("DETECTSQLI", "").name(), "detectSQLi");
    assert!(refusal("nope", "").starts_with("unknown operator @nope; known are @rx, "));
    for (name, _) in REFUSED {
        assert!(refusal(name, "").starts_with(&format!("operator @{name} is not supported: ")));
    }
    assert!(holds("unconditionalMatch", "", "") && !holds("noMatch", "", ""));
}

#[test]
fn injections_are_read_as_libinjection_reads_them() {
    for (value, fingerprint) in [
        ("1' or '1'='1", "s&sos"),
        ("1 union select 1,2--", "1UE1c"),
        ("-1 union all select null", "1UEv"),
        ("a' and sleep(5)#", "s&f(1"),
        ("\" or \"\"=\"", "s&sos"),
        ("1;drop table x", "1;Tnn"),
        ("1 /*! or 1=1 */", "X"),
        ("1' into outfile '\\\\x", "sks"),
        ("@@\0where a/**/", "vknc"),
        ("1 or user(1)", ""),
        ("x'41' or 1=1", "1&1"),
        ("a;b;{``", "X"),
        ("$a$ b $a$ or 1=1--", "s&1c"),
    ] {
        let found = captured("detectSQLi", "", value);
        assert!(found.len() <= 1, "{value}");
        assert_eq!(found.first().map_or("", String::as_str), fingerprint, "{value}");
    }
    for value in ["", "it's a sentence", "1 union", "a -- b", "foo and 17", "select a book", "O'Brien", "1-2-3"] {
        assert!(!holds("detectSQLi", "", value), "{value}");
    }
    for value in [
        "<script>",
        "<SC\0RIPT x>",
        "<a href=\"java&#x73;cript:x\">",
        "<a href=\" \x01data:x\">",
        "' onclick=x",
        "x\0style=y",
        "` onfocus=z",
        "<!doctype x>",
        "<!--[if x]>",
        "<%import x`%>",
        "<svg/onload=x",
        "<x xmlns:a=b>",
        "<x attributename=href>",
        "</script",
    ] {
        assert!(holds("detectXSS", "", value), "{value}");
    }
    for value in ["", "a < b", "<b>bold</b>", "<a href=\"https://example.com/\">", "on=1", "x=\"y\""] {
        assert!(!holds("detectXSS", "", value), "{value}");
    }
}

#[test]
fn each_operator_and_transformation_is_in_the_reference() {
    const PAGE: &str = include_str!("../../../../docs/reference/operators.md");
    let operators = OPERATORS.iter().map(|(name, ..)| *name).chain(REFUSED.iter().map(|(name, _)| *name));
    for name in operators {
        assert!(PAGE.contains(&format!("`@{name}`")), "@{name} is not in docs/reference/operators.md");
    }
    for transformation in crate::transform::Transformation::ALL {
        let name = transformation.name();
        assert!(PAGE.contains(&format!("`{name}`")), "{name} is not in docs/reference/operators.md");
    }
}

#[test]
fn words_are_found_in_long_values_as_in_short_ones() {
    let words = operator("pm", "select |ff 00 5c|x .git/ a*b");
    let mut scratch = Scratch::default();
    let around = [b'q'; 3_000];
    for (word, is_one) in [
        (&b"SELECT"[..], true),
        (b"\xff\0\\X", true),
        (b".GiT/", true),
        (b"a*b", true),
        (b"selec t", false),
        (b"xgit/", false),
        (b"aaab", false),
        (b"\xff\0x", false),
    ] {
        for value in [word.to_vec(), [&around[..], word, &around[..]].concat(), [&around[..], word].concat()] {
            let mut captures = Captures::default();
            let found = words.matches(&value, b"", &mut scratch, Some(&mut captures));
            assert_eq!(found, is_one, "{} in {} bytes", word.escape_ascii(), value.len());
            assert_eq!(words.matches(&value, b"", &mut scratch, None), is_one);
        }
    }
}

#[test]
fn what_long_values_leave_in_memory_is_bounded() {
    let mut scratch = Scratch::default();
    let mut captures = Captures::default();
    let long = operator("rx", "(a+)b").matches(&b"ab".repeat(2_000_000), b"", &mut scratch, Some(&mut captures));
    assert!(long && scratch.memory() > 8 << 20);
    let other = operator("rx", "(c+)d");
    assert!(other.matches(&b"cd".repeat(1_000), b"", &mut scratch, Some(&mut captures)));
    assert!(scratch.memory() < 2 << 20, "{}", scratch.memory());
}

#[test]
fn a_list_of_more_words_than_are_worth_it_is_asked_as_of_short_values() {
    let words: Vec<String> = (0..20_000).map(|number| format!("w{number}x")).collect();
    let words = operator("pm", &words.join(" "));
    let mut scratch = Scratch::default();
    let value = [&[b' '; 1_000][..], b"W19999X", &[b' '; 1_000]].concat();
    assert!(words.matches(&value, b"", &mut scratch, None));
    assert!(!words.matches(&value[..1_003], b"", &mut scratch, None));
    assert_eq!(scratch.memory(), Scratch::default().memory());
}
