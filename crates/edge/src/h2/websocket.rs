//! A WebSocket in a stream: extended CONNECT (RFC 8441) from the client, the upgrade of HTTP/1.1 (RFC 6455 §4) to the origin.
//!
//! The client's `:method` CONNECT with `:protocol` websocket becomes the GET that HTTP/1 origins and rules know. The key
//! that HTTP/1 wants and HTTP/2 does not have is made here, and the origin's answer to it is checked here, because nobody
//! behind us can.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use ring::rand::{SecureRandom, SystemRandom};

/// What is hashed after the key (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The key of one handshake.
#[derive(Clone, Debug)]
pub struct Key(String);

impl Key {
    /// A key that nobody can foresee; none if the system has no randomness to give.
    pub fn random() -> Option<Self> {
        let mut bytes = [0; 16];
        SystemRandom::new().fill(&mut bytes).ok()?;
        Some(Self(base64(&bytes)))
    }

    /// The value of `Sec-WebSocket-Key`.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether `value` is the `Sec-WebSocket-Accept` of this key (RFC 6455 §4.2.2).
    pub fn is_accepted_by(&self, value: &[u8]) -> bool {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[self.as_bytes(), GUID].concat());
        base64(hash.as_ref()).as_bytes() == value
    }
}

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard_is_accepted() {
        let key = Key("dGhlIHNhbXBsZSBub25jZQ==".to_owned());
        assert!(key.is_accepted_by(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert!(!key.is_accepted_by(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOO="));
    }

    #[test]
    fn base64_pads_as_the_standard_shows() {
        let pairs =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (plain, coded) in pairs {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn two_keys_differ() {
        assert_ne!(Key::random().unwrap().0, Key::random().unwrap().0);
    }
}
