//! JA4, the TLS client fingerprint of `FoxIO` (`technical_details/JA4.md`; BSD-3), for TLS over TCP.
//!
//! `t13d1516h2_8daaf6152771_e5627efa2ab1`: what can be read at a glance, a hash of the cipher suites, a hash of the
//! extensions and signature algorithms. Sorting makes it stand still where a client permutes its extensions. The `_r`
//! forms show the lists instead of their hashes, the `_o` forms keep the order sent.

use sha2::{Digest, Sha256};

use crate::{
    ClientHello,
    client_hello::is_grease,
    text::{hex, push_hex16},
};

const SERVER_NAME: u16 = 0x0000;
const ALPN: u16 = 0x0010;
/// Stands for the hash of an empty list, so that a reader sees that there was nothing.
const NOTHING: &str = "000000000000";

/// The two lists of a fingerprint as text.
struct Lists {
    cipher_suites: String,
    extensions: String,
    /// Begins with its underscore, or is empty.
    signature_algorithms: String,
}

impl ClientHello {
    /// The JA4 fingerprint.
    pub fn ja4(&self) -> String {
        self.hashed(&self.sorted_lists())
    }

    /// JA4 with the lists themselves in place of their hashes.
    pub fn ja4_raw(&self) -> String {
        self.readable(&self.sorted_lists())
    }

    /// JA4 over the lists in the order sent, server name and ALPN included (`JA4_o`).
    pub fn ja4_original(&self) -> String {
        self.hashed(&self.original_lists())
    }

    /// The lists in the order sent (`JA4_ro`).
    pub fn ja4_original_raw(&self) -> String {
        self.readable(&self.original_lists())
    }

    fn sorted_lists(&self) -> Lists {
        let mut ciphers = without_grease(self.cipher_suites());
        ciphers.sort_unstable();
        let mut extensions = without_grease(self.extensions());
        extensions.retain(|&kind| kind != SERVER_NAME && kind != ALPN);
        extensions.sort_unstable();
        self.lists(&ciphers, &extensions)
    }

    fn original_lists(&self) -> Lists {
        self.lists(&without_grease(self.cipher_suites()), &without_grease(self.extensions()))
    }

    fn lists(&self, ciphers: &[u16], extensions: &[u16]) -> Lists {
        let algorithms = without_grease(self.signature_algorithms());
        let mut signature_algorithms = String::new();
        if !algorithms.is_empty() {
            signature_algorithms = join(&algorithms);
            signature_algorithms.insert(0, '_');
        }
        Lists { cipher_suites: join(ciphers), extensions: join(extensions), signature_algorithms }
    }

    fn hashed(&self, lists: &Lists) -> String {
        let mut text = self.summary();
        text.push('_');
        if lists.cipher_suites.is_empty() {
            text.push_str(NOTHING);
        } else {
            push_hash(&mut text, &[&lists.cipher_suites]);
        }
        text.push('_');
        // The rule speaks of the sorted list, which lacks server name and ALPN; the published values of the original
        // order follow it too: an extension list of nothing but a server name counts as empty.
        if self.extensions().iter().all(|&kind| is_grease(kind) || kind == SERVER_NAME || kind == ALPN) {
            text.push_str(NOTHING);
        } else {
            push_hash(&mut text, &[&lists.extensions, &lists.signature_algorithms]);
        }
        text
    }

    fn readable(&self, lists: &Lists) -> String {
        let mut text = self.summary();
        for part in ["_", &lists.cipher_suites, "_", &lists.extensions, &lists.signature_algorithms] {
            text.push_str(part);
        }
        text
    }

    /// The part before the first underscore.
    fn summary(&self) -> String {
        let mut text = String::with_capacity(36);
        text.push('t');
        text.push_str(version(self.highest_version()));
        text.push(if self.has_server_name() { 'd' } else { 'i' });
        push_count(&mut text, self.cipher_suites());
        push_count(&mut text, self.extensions());
        let [first, last] = self.alpn().next().map_or(['0', '0'], alpn_characters);
        text.push(first);
        text.push(last);
        text
    }
}

fn version(version: u16) -> &'static str {
    match version {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        0xfeff => "d1",
        0xfefd => "d2",
        0xfefc => "d3",
        _ => "00",
    }
}

/// The first and last character of a protocol name, or of its hexadecimal form where either is no letter or digit.
fn alpn_characters(name: &[u8]) -> [char; 2] {
    let (Some(&first), Some(&last)) = (name.first(), name.last()) else { return ['0', '0'] };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [char::from(first), char::from(last)];
    }
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    [digit(first >> 4), digit(last & 0x0f)]
}

fn without_grease(list: &[u16]) -> Vec<u16> {
    list.iter().copied().filter(|&item| !is_grease(item)).collect()
}

/// Two digits; more than 99 count as 99.
fn push_count(text: &mut String, list: &[u16]) {
    let count = list.iter().filter(|&&item| !is_grease(item)).count().min(99) as u8;
    text.push(char::from(b'0' + count / 10));
    text.push(char::from(b'0' + count % 10));
}

fn join(list: &[u16]) -> String {
    let mut text = String::with_capacity(list.len() * 5);
    for (index, &item) in list.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push_hex16(&mut text, item);
    }
    text
}

/// Appends the first twelve hexadecimal digits of the SHA-256 of the parts.
fn push_hash(text: &mut String, parts: &[&str]) {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    text.push_str(&hex(&hash.finalize()[..6]));
}

#[cfg(test)]
mod tests {
    use super::alpn_characters;

    #[test]
    fn alpn_characters_are_those_of_the_specification() {
        let cases: [(&[u8], [char; 2]); 10] = [
            (b"", ['0', '0']),
            (b"h2", ['h', '2']),
            (b"http/1.1", ['h', '1']),
            (b"x", ['x', 'x']),
            (&[0xab], ['a', 'b']),
            (&[0xab, 0xcd], ['a', 'd']),
            (&[0x30, 0xab], ['3', 'b']),
            (&[0x30, 0x31, 0xab, 0xcd], ['3', 'd']),
            (&[0x30, 0xab, 0xcd, 0x31], ['0', '1']),
            (b"-h2", ['2', '2']),
        ];
        for (name, expected) in cases {
            assert_eq!(alpn_characters(name), expected, "{name:02x?}");
        }
    }
}
