//! What the `cf.tls_*` fields say of the first message of a client's TLS handshake (RFC 8446 §4.1.2).
//!
//! Which bytes are hashed is not documented. The documented value of `cf.tls_ciphers_sha1` is the SHA-1 of the cipher
//! suites of OpenSSL's default client as two-byte numbers in network order, that of `cf.tls_client_extensions_sha1_le`
//! of its extensions in the other order: the tests have both.

use std::sync::OnceLock;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// The parts of a ClientHello that fields tell of. The texts are made when the first is read, once for a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    length: u32,
    random: [u8; 32],
    cipher_suites: Box<[u16]>,
    extensions: Box<[u16]>,
    texts: OnceLock<Texts>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Texts {
    random: String,
    ciphers_sha1: String,
    extensions_sha1: String,
    extensions_sha1_le: String,
}

impl Hello {
    /// A ClientHello of `length` bytes without the header of the handshake message; cipher suites and extensions are in
    /// the order sent.
    pub fn new(length: u32, random: [u8; 32], cipher_suites: &[u16], extensions: &[u16]) -> Self {
        let (cipher_suites, extensions) = (cipher_suites.into(), extensions.into());
        Self { length, random, cipher_suites, extensions, texts: OnceLock::new() }
    }

    pub(crate) fn length(&self) -> i64 {
        i64::from(self.length)
    }

    pub(crate) fn random(&self) -> &str {
        &self.texts().random
    }

    pub(crate) fn ciphers_sha1(&self) -> &str {
        &self.texts().ciphers_sha1
    }

    pub(crate) fn extensions_sha1(&self) -> &str {
        &self.texts().extensions_sha1
    }

    pub(crate) fn extensions_sha1_le(&self) -> &str {
        &self.texts().extensions_sha1_le
    }

    fn texts(&self) -> &Texts {
        self.texts.get_or_init(|| Texts {
            random: base64(&self.random),
            ciphers_sha1: hashed(&self.cipher_suites, u16::to_be_bytes),
            extensions_sha1: hashed(&self.extensions, u16::to_be_bytes),
            extensions_sha1_le: hashed(&self.extensions, u16::to_le_bytes),
        })
    }
}

fn hashed(numbers: &[u16], bytes: fn(u16) -> [u8; 2]) -> String {
    let list: Vec<u8> = numbers.iter().flat_map(|number| bytes(*number)).collect();
    base64(digest(&SHA1_FOR_LEGACY_USE_ONLY, &list).as_ref())
}

/// Base64 with padding (RFC 4648 §4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = char::from(DIGITS[(bits >> (18 - 6 * place) & 63) as usize]);
            text.push(if place > group.len() { '=' } else { digit });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What curl with OpenSSL 1.1.1 sends, of which the documented values are.
    const CIPHER_SUITES: &[u16] = &[
        4866, 4867, 4865, 49196, 49200, 159, 52393, 52392, 52394, 49195, 49199, 158, 49188, 49192, 107, 49187, 49191,
        103, 49162, 49172, 57, 49161, 49171, 51, 157, 156, 61, 60, 53, 47, 255,
    ];
    const EXTENSIONS: &[u16] = &[0, 11, 10, 13172, 16, 22, 23, 49, 13, 43, 45, 51, 21];

    #[test]
    fn the_documented_hashes_are_those_of_their_client() {
        let hello = Hello::new(508, [7; 32], CIPHER_SUITES, EXTENSIONS);
        assert_eq!(hello.ciphers_sha1(), "GXSPDLP4G3X+prK73a4wBuOaHRc=");
        assert_eq!(hello.extensions_sha1_le(), "7zIpdDU5pvFPPBI2/PCzqbaXnRA=");
        assert_eq!((hello.length(), hello.random()), (508, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="));
    }

    #[test]
    fn a_suite_without_a_meaning_is_hashed_as_any_other() {
        let suites = |grease| {
            [
                &[grease][..],
                &[4865, 4866, 4867, 49195, 49199, 49196, 49200, 52393, 52392, 49171, 49172, 156, 157, 47, 53],
            ]
            .concat()
        };
        // Seen of a browser that sent each: RFC 8701 values are part of the list.
        let hashed = |grease| Hello::new(0, [0; 32], &suites(grease), &[]).ciphers_sha1().to_owned();
        assert_eq!(hashed(0xAAAA), "cG3ksVXz5z5aMztJKpmN9By5SR8=");
        assert_eq!(hashed(0xCACA), "KuGfs2vBuh8l0G+IPFHc60e2nNk=");
    }

    #[test]
    fn both_orders_of_bytes_differ_and_an_empty_list_has_a_hash() {
        let hello = Hello::new(0, [0; 32], &[], EXTENSIONS);
        assert_ne!(hello.extensions_sha1(), hello.extensions_sha1_le());
        assert_eq!(hello.ciphers_sha1(), "2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "the SHA-1 of nothing (FIPS 180-4)");
    }

    #[test]
    fn base64_is_padded_to_groups_of_four() {
        let texts = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (bytes, text) in texts {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
