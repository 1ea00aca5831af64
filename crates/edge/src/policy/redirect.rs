//! The `Location` of a redirect (RFC 9110 §10.2.2), from a target that may hold what a client sent.
//!
//! A target is an absolute `http` or `https` URL or a path. Everything else is no redirect: `javascript:` and its like
//! never leave here. A path gets exactly one slash in front, because `//elsewhere.example` and `/\elsewhere.example` are
//! other hosts to a browser, and a target made of the request's path would let a stranger choose the host. Bytes that a URI
//! cannot hold (RFC 3986 §2) are percent-encoded, so no header can be split.

/// The value of `Location` for a target, with a query appended where there is one; nothing if the target is no URL or path.
pub(super) fn location(target: &[u8], query: &[u8]) -> Option<String> {
    let (target, fragment) = match memchr::memchr(b'#', target) {
        Some(hash) => target.split_at(hash),
        None => (target, &b""[..]),
    };
    let mut location = String::with_capacity(target.len() + query.len() + fragment.len() + 1);
    if target.first() == Some(&b'/') {
        let path = &target[target.iter().take_while(|byte| matches!(byte, b'/' | b'\\')).count()..];
        location.push('/');
        encode(path, &mut location);
    } else {
        let host = ["http://", "https://"].into_iter().find_map(|scheme| {
            let (start, rest) = target.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme.as_bytes()).then_some(rest)
        })?;
        if matches!(host.first(), None | Some(b'/' | b'\\' | b'?' | b':' | b'@')) {
            return None;
        }
        encode(target, &mut location);
    }
    if !query.is_empty() {
        location.push(if memchr::memchr(b'?', target).is_some() { '&' } else { '?' });
        encode(query, &mut location);
    }
    encode(fragment, &mut location);
    Some(location)
}

/// The value of `Location` for what a list of redirects has found. The suffix goes to the end of the target's path, with one
/// slash between, so that it can neither lengthen a host nor begin another.
pub(super) fn from_list(found: &rules::Redirect<'_, '_>) -> Option<String> {
    if found.suffix.is_empty() {
        return location(found.target.as_bytes(), found.query);
    }
    let (base, rest) = found.target.split_at(found.target.find(['?', '#']).unwrap_or(found.target.len()));
    let suffix = &found.suffix[found.suffix.iter().take_while(|byte| matches!(byte, b'/' | b'\\')).count()..];
    let slash: &[u8] = if base.ends_with('/') { b"" } else { b"/" };
    location(&[base.as_bytes(), slash, suffix, rest.as_bytes()].concat(), found.query)
}

/// Appends bytes as a URI may hold them. A percent sign stays: what is encoded already is not encoded again.
fn encode(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0..=0x20 | 0x7f.. => {
                out.push('%');
                out.push(char::from(DIGITS[usize::from(byte >> 4)]));
                out.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
            _ => out.push(char::from(byte)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_location_is_a_url_or_a_path_and_nothing_else() {
        for (target, query, expected) in [
            ("https://a.example/x", "", Some("https://a.example/x")),
            ("HTTP://a.example", "q=1", Some("HTTP://a.example?q=1")),
            ("https://a.example/x?y=1#top", "q=1", Some("https://a.example/x?y=1&q=1#top")),
            ("/new", "a=b&c", Some("/new?a=b&c")),
            ("//evil.example/x", "", Some("/evil.example/x")),
            ("/\\evil.example", "", Some("/evil.example")),
            ("/\\/\\evil.example", "", Some("/evil.example")),
            ("/a\r\nSet-Cookie: x", "", Some("/a%0D%0ASet-Cookie:%20x")),
            ("/caf\u{e9}/%20", "", Some("/caf%C3%A9/%20")),
            ("javascript:alert(1)", "", None),
            ("\\\\evil.example", "", None),
            ("relative", "", None),
            ("https://", "", None),
            ("https:///x", "", None),
            ("https://\\x", "", None),
            ("", "", None),
            ("#x", "", None),
        ] {
            assert_eq!(location(target.as_bytes(), query.as_bytes()).as_deref(), expected, "{target:?}");
        }
    }

    #[test]
    fn the_suffix_of_a_path_stays_in_the_path_of_the_target() {
        for (target, suffix, query, expected) in [
            ("https://a.example/qux/", "bar", "", "https://a.example/qux/bar"),
            ("https://a.example/qux", "/bar", "", "https://a.example/qux/bar"),
            ("https://a.example/qux", "bar", "", "https://a.example/qux/bar"),
            ("https://a.example/qux", "/", "", "https://a.example/qux/"),
            ("https://a.example", "", "", "https://a.example"),
            ("https://a.example", ".evil.example", "", "https://a.example/.evil.example"),
            ("https://a.example", "/@evil.example", "", "https://a.example/@evil.example"),
            ("https://a.example?x=1#top", "/b", "", "https://a.example/b?x=1#top"),
            ("https://a.example/#top", "b", "q=1", "https://a.example/b?q=1#top"),
            ("/", "/evil.example", "", "/evil.example"),
            ("/", "//evil.example", "", "/evil.example"),
            ("/", "\\evil.example", "", "/evil.example"),
            ("/new/", "//evil.example", "", "/new/evil.example"),
            ("/", "a\r\nSet-Cookie: x", "b\r\nc", "/a%0D%0ASet-Cookie:%20x?b%0D%0Ac"),
        ] {
            let found = rules::Redirect { status: 301, target, suffix: suffix.as_bytes(), query: query.as_bytes() };
            assert_eq!(from_list(&found).as_deref(), Some(expected), "{target} {suffix}");
        }
    }

    proptest! {
        #[test]
        fn a_suffix_never_leads_to_another_host(suffix in proptest::collection::vec(any::<u8>(), 0..40)) {
            for target in ["/", "/a", "https://a.example", "https://a.example/b?c#d"] {
                let found = rules::Redirect { status: 301, target, suffix: &suffix, query: b"" };
                let location = from_list(&found).unwrap();
                prop_assert!(location.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'));
                match location.strip_prefix("https://a.example") {
                    Some(rest) => prop_assert!(rest.is_empty() || rest.starts_with('/'), "{location}"),
                    None => prop_assert!(location.starts_with('/') && !location.starts_with("//"), "{location}"),
                }
            }
        }

        #[test]
        fn a_location_never_holds_a_space_or_control_byte_or_leads_to_another_host(
            target in proptest::collection::vec(any::<u8>(), 0..40),
            query in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let target = [&b"/"[..], &target].concat();
            let location = location(&target, &query).unwrap();
            prop_assert!(location.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'));
            prop_assert!(location.starts_with('/') && !location.starts_with("//"));
        }
    }
}
