//! Secrets in URLs, taken out before anything of a request is stored.
//!
//! A parameter whose name looks like that of a secret keeps its name and loses its value: `?token=REDACTED`. So does the
//! user information of a URL (RFC 3986 §3.2.1). What looks like a secret is decided by the name alone, as the application
//! would read it: percent-encoded, in capitals, in brackets, behind `;` or `#`, in a path segment, in JSON, or in a URL that
//! is itself the value of a parameter and may be encoded several times over. One pass in linear time; nothing is allocated
//! where nothing is taken out.
//!
//! A value ends at the separator that its own level of encoding ends it with, never earlier: of `password=a%26b;c` all goes,
//! of `next=%2F%3Ftoken%3Da%26page%3D2&tab=1` only `a`. Where a separator is in doubt more is taken out, not less.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// What stands in the place of a secret.
pub const REDACTED: &[u8] = b"REDACTED";

/// A name that holds one of these anywhere, letters and digits alone compared, is that of a secret.
pub const STEMS: [&str; 15] = [
    "token",
    "passw",
    "passphrase",
    "secret",
    "credential",
    "signature",
    "authorization",
    "bearer",
    "session",
    "sessid",
    "apikey",
    "accesskey",
    "privatekey",
    "authkey",
    "saml",
];

/// So is one that has one of these as a word: between other characters than letters and digits, or by its capital.
pub const WORDS: [&str; 20] = [
    "auth",
    "oauth",
    "pwd",
    "pass",
    "pw",
    "psw",
    "sig",
    "sid",
    "jwt",
    "otp",
    "totp",
    "pin",
    "hmac",
    "csrf",
    "xsrf",
    "cvv",
    "cvc",
    "verifier",
    "assertion",
    "ticket",
];

/// So is one whose last word is one of these, unless the word before it says that it is no secret.
pub const LAST_WORDS: [(&str, &[&str]); 2] = [
    ("key", &["sort", "order", "group", "partition", "row", "primary", "foreign"]),
    (
        "code",
        &[
            "area", "country", "currency", "error", "lang", "language", "locale", "post", "postal", "region", "status",
            "zip",
        ],
    ),
];

/// Whether a header of that name tells the address of a client.
pub fn names_a_client(header: &[u8]) -> bool {
    const HEADERS: [&str; 8] = [
        "x-forwarded-for",
        "forwarded",
        "cf-connecting-ip",
        "cf-connecting-ipv6",
        "true-client-ip",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
    ];
    HEADERS.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(header))
}

/// Which parameters hold secrets: those that look like it, and those that the site names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct SecretNames {
    /// Letters and digits in lower case.
    own: Vec<String>,
}

impl TryFrom<Vec<String>> for SecretNames {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Self, String> {
        let plain = |name: String| {
            let letters = name.bytes().filter(u8::is_ascii_alphanumeric);
            let letters: String = letters.map(|byte| byte.to_ascii_lowercase() as char).collect();
            if letters.is_empty() {
                return Err(format!("\"{name}\" has no letter and no digit, which is all that names are compared by"));
            }
            Ok(letters)
        };
        Ok(Self { own: names.into_iter().map(plain).collect::<Result<_, _>>()? })
    }
}

impl From<SecretNames> for Vec<String> {
    fn from(names: SecretNames) -> Self {
        names.own
    }
}

impl SecretNames {
    /// A URL, or path and query, without its secrets.
    pub fn url<'u>(&self, url: &'u [u8]) -> Cow<'u, [u8]> {
        Scan::new(self, url, Within::Path).run()
    }

    /// A query, or anything else that has parameters but is no URL, without its secrets.
    pub fn query<'q>(&self, query: &'q [u8]) -> Cow<'q, [u8]> {
        Scan::new(self, query, Within::Query).run()
    }

    /// Whether a parameter or a header of that name holds a secret; the name of a parameter is as it stands in a URL.
    pub fn is_secret(&self, name: &[u8]) -> bool {
        let name = Name::read(name);
        let letters = name.letters();
        STEMS.iter().any(|stem| memchr::memmem::find(letters, stem.as_bytes()).is_some())
            || self.own.iter().any(|own| own.as_bytes() == letters)
            || name.has_secret_word()
    }
}

/// Where in a URL something stands: that says what ends a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Path,
    Query,
}

/// A character of a URL, however often it is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Symbol {
    byte: u8,
    /// How often it is percent-encoded.
    level: u32,
    /// Where the next one begins.
    end: usize,
}

impl Symbol {
    #[inline]
    fn at(text: &[u8], at: usize) -> Self {
        match text[at] {
            b'%' => Self::encoded(text, at),
            byte => Self { byte, level: 0, end: at + 1 },
        }
    }

    /// `%26` is an ampersand encoded once, `%2526` twice. A percent sign that begins nothing is itself.
    fn encoded(text: &[u8], at: usize) -> Self {
        let (mut end, mut level) = (at + 1, 0);
        while text[end..].starts_with(b"25") {
            end += 2;
            level += 1;
        }
        match text.get(end..end + 2).and_then(byte_of) {
            Some(byte) => Self { byte, level: level + 1, end: end + 2 },
            None => Self { byte: b'%', level, end },
        }
    }
}

fn byte_of(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    Some(digit(digits[0])? << 4 | digit(digits[1])?)
}

/// What may be the user information of a URL.
struct Authority {
    start: usize,
    level: u32,
    /// Where its last `@` stands.
    user_end: Option<usize>,
}

struct Scan<'s, 'u> {
    names: &'s SecretNames,
    text: &'u [u8],
    within: Within,
    /// What is taken out so far, and up to where the text was copied.
    kept: Vec<u8>,
    copied: usize,
    authority: Option<Authority>,
}

impl<'s, 'u> Scan<'s, 'u> {
    fn new(names: &'s SecretNames, text: &'u [u8], within: Within) -> Self {
        Self { names, text, within, kept: Vec::new(), copied: 0, authority: None }
    }

    fn run(mut self) -> Cow<'u, [u8]> {
        // Nothing can be named, and nobody can be a user, without one of these.
        if memchr::memchr3(b'=', b'%', b'@', self.text).is_none() && memchr::memchr(b'"', self.text).is_none() {
            return self.text.into();
        }
        let (mut at, mut name, mut slashes) = (0, 0, 0);
        // Whether a quotation mark was the last that is no blank: then a colon gives the name before it a value (JSON).
        let mut quoted = false;
        while at < self.text.len() {
            let symbol = Symbol::at(self.text, at);
            let is_slash = symbol.byte == b'/';
            match symbol.byte {
                b'=' => {
                    at = self.assigned(name..at, symbol);
                    (name, quoted, slashes) = (at, false, 0);
                    continue;
                }
                b':' if quoted => {
                    at = self.assigned(name..at, symbol);
                    (name, quoted, slashes) = (at, false, 0);
                    continue;
                }
                b'&' | b';' | b'?' | b'#' | b',' | b'{' | b'/' => {
                    name = symbol.end;
                    if symbol.byte == b'?' && symbol.level == 0 {
                        self.within = Within::Query;
                    }
                    let ends = match symbol.byte {
                        b'/' | b'?' | b'#' => true,
                        b'&' => self.authority.as_ref().is_some_and(|authority| symbol.level <= authority.level),
                        _ => false,
                    };
                    if ends {
                        self.end_authority();
                    }
                }
                b'@' => {
                    if let Some(authority) = &mut self.authority {
                        authority.user_end = Some(at);
                    }
                }
                _ => {}
            }
            slashes = if is_slash { slashes + 1 } else { 0 };
            if slashes >= 2 {
                self.authority = Some(Authority { start: symbol.end, level: symbol.level, user_end: None });
            }
            quoted = match symbol.byte {
                b'"' | b'\'' => true,
                b' ' | b'+' => quoted,
                _ => false,
            };
            at = symbol.end;
        }
        self.end_authority();
        if self.kept.is_empty() {
            return self.text.into();
        }
        self.kept.extend_from_slice(&self.text[self.copied..]);
        self.kept.into()
    }

    /// Takes out the value that `equals` gives to a name, if that is one of a secret; where to go on.
    fn assigned(&mut self, name: Range<usize>, equals: Symbol) -> usize {
        if !self.names.is_secret(&self.text[name]) {
            return equals.end;
        }
        self.end_authority();
        let end = self.value_end(equals);
        if end > equals.end {
            self.take_out(equals.end..end);
        }
        end
    }

    fn value_end(&self, equals: Symbol) -> usize {
        let mut at = equals.end;
        while at < self.text.len() {
            let symbol = Symbol::at(self.text, at);
            let ends = match (self.within, symbol.byte) {
                (Within::Query, b'&') | (Within::Path, b'/') => symbol.level <= equals.level,
                (Within::Path, b'?' | b'#') => symbol.level == 0,
                _ => false,
            };
            if ends {
                break;
            }
            at = symbol.end;
        }
        at
    }

    fn end_authority(&mut self) {
        if let Some(Authority { start, user_end: Some(end), .. }) = self.authority.take()
            && end > start
        {
            self.take_out(start..end);
        }
    }

    fn take_out(&mut self, range: Range<usize>) {
        self.kept.extend_from_slice(&self.text[self.copied..range.start]);
        self.kept.extend_from_slice(REDACTED);
        self.copied = range.end;
    }
}

/// As many letters and digits of a name are looked at; of a longer one as many at its beginning and at its end.
const HALF: usize = 64;

/// A parameter's name as its letters and digits in lower case, with the places where a word begins.
struct Name {
    letters: [u8; 2 * HALF],
    count: usize,
    /// Of the letters, those that begin a word.
    begins: u128,
}

impl Name {
    fn read(text: &[u8]) -> Self {
        let mut name = Self { letters: [0; 2 * HALF], count: 0, begins: 0 };
        let (mut at, mut before) = (0, b' ');
        while at < text.len() {
            let symbol = Symbol::at(text, at);
            at = symbol.end;
            if symbol.byte.is_ascii_alphanumeric() {
                name.push(symbol.byte, before);
            }
            before = symbol.byte;
        }
        if name.count > 2 * HALF {
            let turned = name.count % HALF;
            name.letters[HALF..].rotate_left(turned);
        }
        name
    }

    fn push(&mut self, byte: u8, before: u8) {
        let place = if self.count < 2 * HALF { self.count } else { HALF + self.count % HALF };
        self.letters[place] = byte.to_ascii_lowercase();
        if self.count < 2 * HALF
            && (!before.is_ascii_alphanumeric() || byte.is_ascii_uppercase() && !before.is_ascii_uppercase())
        {
            self.begins |= 1 << place;
        }
        self.count += 1;
    }

    fn letters(&self) -> &[u8] {
        &self.letters[..self.count.min(2 * HALF)]
    }

    fn has_secret_word(&self) -> bool {
        if self.count > 2 * HALF {
            // Not a name but a text.
            return false;
        }
        let letters = self.letters();
        let (mut begins, mut before): (u128, &[u8]) = (self.begins, b"");
        while begins != 0 {
            let start = begins.trailing_zeros() as usize;
            begins &= begins - 1;
            let end = if begins == 0 { letters.len() } else { begins.trailing_zeros() as usize };
            let word = &letters[start..end];
            if WORDS.iter().any(|secret| secret.as_bytes() == word) {
                return true;
            }
            if begins == 0 {
                return LAST_WORDS.iter().any(|(secret, harmless)| {
                    secret.as_bytes() == word && !harmless.iter().any(|harmless| harmless.as_bytes() == before)
                });
            }
            before = word;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> String {
        String::from_utf8(SecretNames::default().url(text.as_bytes()).into_owned()).unwrap()
    }

    fn every_row(cases: &[(&str, &str)]) {
        let wrong: Vec<_> = cases.iter().filter(|(given, expected)| url(given) != *expected).collect();
        let got: Vec<_> = wrong.iter().map(|(given, expected)| (*given, *expected, url(given))).collect();
        assert!(got.is_empty(), "given, expected, got: {got:#?}");
    }

    #[test]
    fn a_parameter_named_like_a_secret_loses_its_value() {
        every_row(&[
            ("/?token=abc", "/?token=REDACTED"),
            ("/login?user=jo&password=hunter2&x=1", "/login?user=jo&password=REDACTED&x=1"),
            ("/?a=1&api_key=k&b=2", "/?a=1&api_key=REDACTED&b=2"),
            ("/?apiKey=k", "/?apiKey=REDACTED"),
            ("/?key=k&code=c", "/?key=REDACTED&code=REDACTED"),
            ("/?X-Amz-Signature=f00&X-Amz-Credential=a%2Fb", "/?X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED"),
            ("/?PHPSESSID=1", "/?PHPSESSID=REDACTED"),
            ("/?user%5Bpassword%5D=x", "/?user%5Bpassword%5D=REDACTED"),
            ("/?client_secret=x&id_token=y", "/?client_secret=REDACTED&id_token=REDACTED"),
            ("/?sv=1&sig=x%3D", "/?sv=1&sig=REDACTED"),
            ("/?oauth_verifier=v&SAMLResponse=r", "/?oauth_verifier=REDACTED&SAMLResponse=REDACTED"),
        ]);
    }

    #[test]
    fn what_is_named_otherwise_stays_and_is_not_copied() {
        for text in [
            "/",
            "/a/b",
            "/?color=red&size=43",
            "/?country_code=GB&zipCode=1&sort_key=name&status_code=404",
            "/?monkey=1&keyboard=2&encode=3&barcode=4&author=me&passenger=2&keys=1&pinned=1",
            "/?q=token",
            "/?token",
            "/?token=",
            "/?a=b=c&d",
            "/100%?x=%",
            "/?x=%zz%2",
            "/a@b?to=c@d",
            "/?t=12:30",
            "/v1/tokens:batch",
            "/?=x",
            "",
            "?",
            "%",
            "%25",
            "//",
        ] {
            assert!(
                matches!(SecretNames::default().url(text.as_bytes()), Cow::Borrowed(same) if same == text.as_bytes()),
                "{text}"
            );
        }
    }

    #[test]
    fn no_spelling_hides_a_name() {
        every_row(&[
            ("/?%74oken=abc", "/?%74oken=REDACTED"),
            ("/?%2574oken=abc", "/?%2574oken=REDACTED"),
            ("/?TOKEN=abc", "/?TOKEN=REDACTED"),
            ("/?pass%77ord=a%26b", "/?pass%77ord=REDACTED"),
            ("/?token[]=a&token[]=b", "/?token[]=REDACTED&token[]=REDACTED"),
            ("/?token=a&token=b", "/?token=REDACTED&token=REDACTED"),
            ("/?a=1;token=abc", "/?a=1;token=REDACTED"),
            ("/?a=1;token=abc;d", "/?a=1;token=REDACTED"),
            ("/?token=abc;def", "/?token=REDACTED"),
            ("/?token=a?b#c=d", "/?token=REDACTED"),
            ("/?a#token=abc", "/?a#token=REDACTED"),
            ("/?+token+=abc", "/?+token+=REDACTED"),
            ("/?%20%00token=abc", "/?%20%00token=REDACTED"),
            ("/?a=b=token=abc", "/?a=b=token=REDACTED"),
            ("/?&&token=abc&&", "/?&&token=REDACTED&&"),
            ("/?to%ken=abc", "/?to%ken=REDACTED"),
            ("/?token=%", "/?token=REDACTED"),
            ("/?token=%2&x=1", "/?token=REDACTED&x=1"),
            ("/?token==", "/?token=REDACTED"),
        ]);
    }

    #[test]
    fn a_url_within_a_url_is_looked_into() {
        every_row(&[
            ("/?redirect_uri=https://x/?token=abc&tab=1", "/?redirect_uri=https://x/?token=REDACTED&tab=1"),
            (
                "/?redirect_uri=https%3A%2F%2Fx%2F%3Ftoken%3Dabc%26page%3D2&tab=1",
                "/?redirect_uri=https%3A%2F%2Fx%2F%3Ftoken%3DREDACTED%26page%3D2&tab=1",
            ),
            (
                "/?a=%2F%3Fb%3D%252F%253Ftoken%253Dabc%2526x%26y&z",
                "/?a=%2F%3Fb%3D%252F%253Ftoken%253DREDACTED%2526x%26y&z",
            ),
            ("/?token%3Dabc%26x&y=1", "/?token%3DREDACTED%26x&y=1"),
            ("/?u=https://jo:pw@h/", "/?u=https://REDACTED@h/"),
            ("/?u=https%3A%2F%2Fjo%3Apw%40h%2F&x", "/?u=https%3A%2F%2FREDACTED%40h%2F&x"),
            ("/?u=//jo:pw@h&x=a@b", "/?u=//REDACTED@h&x=a@b"),
        ]);
    }

    #[test]
    fn the_user_of_a_url_is_taken_out() {
        every_row(&[
            ("https://jo:pw@shop.example/a?b=c", "https://REDACTED@shop.example/a?b=c"),
            ("https://key@shop.example", "https://REDACTED@shop.example"),
            ("https://jo:p@w@shop.example/", "https://REDACTED@shop.example/"),
            ("HTTPS:%2f/jo:pw@shop.example/", "HTTPS:%2f/REDACTED@shop.example/"),
            ("https://shop.example/@jo", "https://shop.example/@jo"),
            ("https://@h/", "https://@h/"),
            ("https://u:p@h;token=x/y", "https://REDACTED@h;token=REDACTED/y"),
            ("https://h?q=https://u:p@h?token=x", "https://h?q=https://REDACTED@h?token=REDACTED"),
        ]);
    }

    #[test]
    fn a_parameter_in_a_path_ends_with_its_segment() {
        every_row(&[
            ("/a;jsessionid=ABC/b", "/a;jsessionid=REDACTED/b"),
            ("/a;v=1;jsessionid=ABC?x=1", "/a;v=1;jsessionid=REDACTED?x=1"),
            ("/a%3Bjsessionid%3DABC/b", "/a%3Bjsessionid%3DREDACTED/b"),
            ("/a;token=x%2Fy/b", "/a;token=REDACTED/b"),
            ("/token=abc", "/token=REDACTED"),
            ("/(S(x))/sid=abc/y", "/(S(x))/sid=REDACTED/y"),
        ]);
    }

    #[test]
    fn json_in_a_query_is_looked_into() {
        every_row(&[
            (r#"/?v={"user":"jo","password":"pw"}&x=1"#, r#"/?v={"user":"jo","password":REDACTED&x=1"#),
            ("/?v=%7B%22password%22%3A%22pw%22%2C%22b%22%3A1%7D&x=1", "/?v=%7B%22password%22%3AREDACTED&x=1"),
            ("/?v=%7B%22token%22+:+%22pw%22%7D", "/?v=%7B%22token%22+:REDACTED"),
        ]);
    }

    #[test]
    fn a_site_names_its_own() {
        let names = SecretNames::try_from(vec!["Customer-No".to_owned()]).unwrap();
        let redacted = |text: &str| String::from_utf8(names.url(text.as_bytes()).into_owned()).unwrap();
        assert_eq!(
            redacted("/?customerNo=1&customer_no=2&no=3&=4"),
            "/?customerNo=REDACTED&customer_no=REDACTED&no=3&=4"
        );
        assert_eq!(Vec::from(names), ["customerno"]);
        let wrong = SecretNames::try_from(vec!["--".to_owned()]).unwrap_err();
        assert_eq!(wrong, "\"--\" has no letter and no digit, which is all that names are compared by");
    }

    #[test]
    fn of_a_name_beyond_measure_both_ends_are_looked_at() {
        let filling = "x".repeat(1000);
        every_row(&[
            (&format!("/?token[{filling}]=abc"), &format!("/?token[{filling}]=REDACTED")),
            (&format!("/?a[{filling}][token]=abc"), &format!("/?a[{filling}][token]=REDACTED")),
            (&format!("/?a={filling}==&b=1"), &format!("/?a={filling}==&b=1")),
        ]);
    }

    #[test]
    fn a_query_without_a_url_is_looked_into() {
        let redacted = SecretNames::default().query(b"a=1/2&token=a/b").into_owned();
        assert_eq!(redacted, b"a=1/2&token=REDACTED");
    }

    #[test]
    fn what_is_long_and_hostile_is_read_once() {
        // A quadratic reading would take minutes here.
        for piece in ["=", "%25", "//", "@", "token=", "&token", "\":", ";", "%", "a[", "//a@"] {
            let text = piece.repeat(1_000_000 / piece.len());
            let _ = SecretNames::default().url(text.as_bytes());
        }
    }

    proptest::proptest! {
        #[test]
        fn the_value_of_a_secret_never_shows(
            before in "[a-z=&;%2356/?#:@{\",]{0,20}",
            value in "[^&/?#]{4,12}",
            after in "(&[a-z=&;%2356]{0,10})?",
        ) {
            let secret: String = value.chars().map(|_| 'Z').collect();
            let given = format!("/?{before}&token={secret}{after}");
            proptest::prop_assert!(!url(&given).contains(&secret), "{given} -> {}", url(&given));
        }

        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = SecretNames::default().url(&bytes);
            let _ = SecretNames::default().query(&bytes);
        }
    }
}
