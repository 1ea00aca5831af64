//! What a part of the document is known by from one policy to the next: a digest of its text and of all that it names.
//!
//! A zone is compiled again if its own text changed, or that of a list or ruleset that it uses. Uses are found in the text
//! (`$name`, `"execute"`), not in the compiled form, so that an unchanged zone is not even read. Finding too many costs a
//! compilation; finding too few would keep an old list in force, so where the text could hide a name all are counted.

use std::collections::BTreeMap;

use memchr::memmem;
use sha2::{Digest as _, Sha256};

/// SHA-256.
pub(super) type Digest = [u8; 32];

/// Of a text alone.
pub(super) fn plain(text: &str) -> Digest {
    Sha256::digest(text.as_bytes()).into()
}

/// What texts may name.
#[derive(Default)]
pub(super) struct Named {
    lists: BTreeMap<String, Digest>,
    /// Of all lists together.
    all_lists: Digest,
    /// Of all rulesets together.
    all_rulesets: Digest,
}

impl Named {
    pub fn new(lists: BTreeMap<String, Digest>) -> Self {
        let all_lists = combined(&lists);
        Self { lists, all_lists, all_rulesets: Digest::default() }
    }

    pub fn set_rulesets(&mut self, rulesets: &BTreeMap<String, Digest>) {
        self.all_rulesets = combined(rulesets);
    }

    /// Of a text and of what it uses.
    pub fn of(&self, text: &str) -> Digest {
        let bytes = text.as_bytes();
        let mut hash = Sha256::new_with_prefix(bytes);
        // JSON may write a letter as \uXXXX; the names would then not be seen.
        let hidden = memmem::find(bytes, b"\\u").is_some();
        if hidden {
            hash.update(self.all_lists);
        } else {
            // An expression names a list as `$name`, a redirect as `"name"`.
            let redirects = memmem::find(bytes, b"\"from_list\"").is_some();
            let marks = memchr::memchr2_iter(b'$', if redirects { b'"' } else { b'$' }, bytes);
            for mark in marks {
                let name = &text[mark + 1..];
                let name =
                    &name[..name.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count()];
                if let Some(digest) = self.lists.get(name) {
                    hash.update(digest);
                }
            }
        }
        // Both, because a skip names rulesets too.
        if hidden || memmem::find(bytes, b"\"execute\"").is_some() || memmem::find(bytes, b"\"skip\"").is_some() {
            hash.update(self.all_rulesets);
        }
        hash.finalize().into()
    }
}

fn combined(named: &BTreeMap<String, Digest>) -> Digest {
    let mut hash = Sha256::new();
    for (name, digest) in named {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
        hash.update(digest);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(office: &str, ruleset: &str) -> Named {
        let mut named =
            Named::new(BTreeMap::from([("office".to_owned(), plain(office)), ("other".to_owned(), plain("o"))]));
        named.set_rulesets(&BTreeMap::from([("r".to_owned(), plain(ruleset))]));
        named
    }

    #[test]
    fn a_text_changes_with_what_it_names_and_with_nothing_else() {
        let before = named("a", "r");
        for (text, with_list, with_ruleset) in [
            ("ip.src in $office", true, false),
            ("ip.src in $office_2", false, false),
            ("ip.src in $other", false, false),
            (r#"{"from_list":{"name":"office"}}"#, true, false),
            (r#"{"from_value":{"name":"office"}}"#, false, false),
            (r#"{"action":"execute"}"#, false, true),
            (r#"{"action":"skip"}"#, false, true),
            (r"ip.src in \u0024office", true, true),
            ("no names", false, false),
        ] {
            assert_eq!(before.of(text) != named("b", "r").of(text), with_list, "{text}");
            assert_eq!(before.of(text) != named("a", "s").of(text), with_ruleset, "{text}");
            assert_eq!(before.of(text), named("a", "r").of(text), "{text}");
        }
    }
}
