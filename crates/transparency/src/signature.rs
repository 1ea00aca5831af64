//! What an auditor signs, in both formats of Plexi, and Ed25519 over it.
//!
//! Suite 1 signs a proto2 message of `ciphersuite = 1`, `namespace = 2`, `timestamp = 3` in milliseconds, `epoch = 4` that holds
//! `inner = 1`, and `digest = 5`. Suite 2 signs the same as bincode 1 wrote it: four bytes, a string behind eight bytes of
//! length, eight bytes, eight bytes, bytes behind eight bytes of length, all little-endian.
//!
//! Verification is strict (`verify_strict` of ed25519-dalek): no key and no commitment of small order. The second half of the
//! signature must be canonical, too (RFC 8032 §5.1.7), and that is checked here: `akd` builds ed25519-dalek with
//! `legacy_compatibility`, under which it takes one signature in several spellings.

use std::fmt;

use ed25519_dalek::{Signature, Signer, VerifyingKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::hexadecimal;

/// Every check of a signature by its name, with what it asks.
pub const CHECKS: [(&str, &str); 6] = [
    ("ciphersuite", "the ciphersuite is 1 or 2"),
    ("public_key", "the public key is 32 bytes that are a point of the curve"),
    ("weak_key", "the public key is not of small order, under which anything verifies"),
    ("signature_length", "the signature has 64 bytes"),
    ("scalar", "the second half of the signature is below the order of the group, so that it has one spelling"),
    ("signature", "the signature is by the key over exactly what was stated"),
];

/// The order of the group (RFC 8032 §5.1), the highest byte first.
const ORDER: [u8; 32] = [
    0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0xde, 0xf9, 0xde, 0xa2, 0xf7, 0x9c, 0xd6, 0x58, 0x12,
    0x63, 0x1a, 0x5c, 0xf5, 0xd3, 0xed,
];

/// How a statement is written before it is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ciphersuite {
    /// Suite 1.
    ProtobufEd25519 = 1,
    /// Suite 2.
    BincodeEd25519 = 2,
}

/// Why a signature is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureRefusal {
    /// There is no such suite.
    Ciphersuite(u32),
    /// The public key is none.
    PublicKey,
    /// The public key is of small order.
    WeakKey,
    /// The signature has as many bytes.
    Length(usize),
    /// The signature is spelled another way than the one.
    Scalar,
    /// The signature is not the key's, or of something else.
    Signature,
}

/// What an auditor states of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// How it is written.
    pub ciphersuite: Ciphersuite,
    /// The log.
    pub namespace: &'a str,
    /// When, in milliseconds since 1970.
    pub timestamp: u64,
    /// The epoch.
    pub epoch: u64,
    /// The root hash of the epoch.
    pub digest: &'a [u8],
}

/// The secret of an auditor. It is shown nowhere: what is printed of it is the public key.
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
}

impl Ciphersuite {
    /// The suite of a number.
    pub fn by_number(number: u32) -> Result<Self, SignatureRefusal> {
        match number {
            1 => Ok(Self::ProtobufEd25519),
            2 => Ok(Self::BincodeEd25519),
            _ => Err(SignatureRefusal::Ciphersuite(number)),
        }
    }
}

impl Statement<'_> {
    /// The bytes that are signed.
    pub fn bytes(&self) -> Vec<u8> {
        match self.ciphersuite {
            Ciphersuite::ProtobufEd25519 => self.protobuf(),
            Ciphersuite::BincodeEd25519 => self.bincode(),
        }
    }

    /// Checks that a signature is by a key over this statement.
    pub fn verify(&self, public_key: &[u8], signature: &[u8]) -> Result<(), SignatureRefusal> {
        let key = public_key.try_into().map_err(|_| SignatureRefusal::PublicKey)?;
        let key = VerifyingKey::from_bytes(key).map_err(|_| SignatureRefusal::PublicKey)?;
        if key.is_weak() {
            return Err(SignatureRefusal::WeakKey);
        }
        let signature = Signature::from_slice(signature).map_err(|_| SignatureRefusal::Length(signature.len()))?;
        if signature.s_bytes().iter().rev().ge(&ORDER) {
            return Err(SignatureRefusal::Scalar);
        }
        key.verify_strict(&self.bytes(), &signature).map_err(|_| SignatureRefusal::Signature)
    }

    fn protobuf(&self) -> Vec<u8> {
        let mut epoch = vec![0x08];
        number(&mut epoch, self.epoch);
        let mut bytes = vec![0x08, self.ciphersuite as u8];
        field(&mut bytes, 0x12, self.namespace.as_bytes());
        bytes.push(0x18);
        number(&mut bytes, self.timestamp);
        field(&mut bytes, 0x22, &epoch);
        field(&mut bytes, 0x2a, self.digest);
        bytes
    }

    fn bincode(&self) -> Vec<u8> {
        let mut bytes = (self.ciphersuite as u32).to_le_bytes().to_vec();
        bytes.extend((self.namespace.len() as u64).to_le_bytes());
        bytes.extend(self.namespace.as_bytes());
        bytes.extend(self.timestamp.to_le_bytes());
        bytes.extend(self.epoch.to_le_bytes());
        bytes.extend((self.digest.len() as u64).to_le_bytes());
        bytes.extend(self.digest);
        bytes
    }
}

/// Writes a number in as few bytes as it needs, seven bits each.
fn number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn field(bytes: &mut Vec<u8>, tag: u8, content: &[u8]) {
    bytes.push(tag);
    number(bytes, content.len() as u64);
    bytes.extend_from_slice(content);
}

impl SigningKey {
    /// A new key, or nothing if the system has no randomness.
    pub fn generate() -> Option<Self> {
        let mut seed = [0; 32];
        SystemRandom::new().fill(&mut seed).ok()?;
        Some(Self::from_seed(&seed))
    }

    /// The key of 32 secret bytes (RFC 8032 §5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self { key: ed25519_dalek::SigningKey::from_bytes(seed) }
    }

    /// The secret bytes, to be kept.
    pub fn seed(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// What others verify with.
    pub fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// Signs a statement.
    pub fn sign(&self, statement: &Statement<'_>) -> [u8; 64] {
        self.key.sign(&statement.bytes()).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(public {})", hexadecimal(&self.public_key()))
    }
}

/// What Plexi calls a key: its last byte.
pub fn key_id(public_key: &[u8; 32]) -> u8 {
    public_key[31]
}

impl SignatureRefusal {
    /// The name of the check that refused, out of [`CHECKS`].
    pub fn check(&self) -> &'static str {
        match self {
            SignatureRefusal::Ciphersuite(_) => "ciphersuite",
            SignatureRefusal::PublicKey => "public_key",
            SignatureRefusal::WeakKey => "weak_key",
            SignatureRefusal::Length(_) => "signature_length",
            SignatureRefusal::Scalar => "scalar",
            SignatureRefusal::Signature => "signature",
        }
    }
}

impl fmt::Display for SignatureRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignatureRefusal::Ciphersuite(number) => {
                write!(f, "there is no ciphersuite {number}; use 1 (protobuf) or 2 (bincode)")
            }
            SignatureRefusal::PublicKey => write!(f, "the public key is not 32 bytes that are a point of the curve"),
            SignatureRefusal::WeakKey => write!(f, "the public key is of small order, under which anything verifies"),
            SignatureRefusal::Length(length) => write!(f, "the signature has {length} bytes, not 64"),
            SignatureRefusal::Scalar => {
                write!(f, "the second half of the signature is not below the order of the group")
            }
            SignatureRefusal::Signature => write!(f, "the signature is not by this key over this statement"),
        }
    }
}

impl std::error::Error for SignatureRefusal {}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(ciphersuite: Ciphersuite) -> Statement<'static> {
        Statement { ciphersuite, namespace: "log", timestamp: 300, epoch: 0, digest: &[0x11, 0x22] }
    }

    #[test]
    fn a_statement_is_written_in_each_format() {
        let protobuf = statement(Ciphersuite::ProtobufEd25519).bytes();
        assert_eq!(hexadecimal(&protobuf), "08011203 6c6f67 18ac02 22020800 2a021122".replace(' ', ""));
        let bincode = statement(Ciphersuite::BincodeEd25519).bytes();
        let expected = "02000000 0300000000000000 6c6f67 2c01000000000000 0000000000000000 0200000000000000 1122";
        assert_eq!(hexadecimal(&bincode), expected.replace(' ', ""));
    }

    #[test]
    fn a_signature_has_one_spelling() {
        let statement = statement(Ciphersuite::ProtobufEd25519);
        let key = SigningKey::from_seed(&[1; 32]);
        let mut signature = key.sign(&statement);
        // The same number, the order of the group above it.
        let mut carry = 0;
        for (byte, order) in signature[32..].iter_mut().zip(ORDER.iter().rev()) {
            let sum = u16::from(*byte) + u16::from(*order) + carry;
            (*byte, carry) = (sum as u8, sum >> 8);
        }
        let public_key = key.public_key();
        let dalek = VerifyingKey::from_bytes(&public_key).unwrap();
        let lax = dalek.verify_strict(&statement.bytes(), &Signature::from_bytes(&signature));
        assert!(lax.is_ok(), "the dependency is strict by itself now; the check is superfluous");
        assert_eq!(statement.verify(&public_key, &signature), Err(SignatureRefusal::Scalar));
    }

    #[test]
    fn keys_under_which_anything_verifies_are_refused() {
        let statement = statement(Ciphersuite::BincodeEd25519);
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert_eq!(statement.verify(&neutral, &signature), Err(SignatureRefusal::WeakKey));
        assert_eq!(statement.verify(&[2; 32], &signature), Err(SignatureRefusal::PublicKey));
        assert_eq!(statement.verify(&[1; 31], &signature), Err(SignatureRefusal::PublicKey));
        let key = SigningKey::from_seed(&[1; 32]).public_key();
        assert_eq!(statement.verify(&key, &signature[1..]), Err(SignatureRefusal::Length(63)));
        assert_eq!(Ciphersuite::by_number(3), Err(SignatureRefusal::Ciphersuite(3)));
    }

    #[test]
    fn the_secret_is_not_shown() {
        let key = SigningKey::generate().unwrap();
        assert_ne!(key.seed(), SigningKey::generate().unwrap().seed());
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("SigningKey(public {})", hexadecimal(&key.public_key())));
        assert!(!shown.contains(&hexadecimal(&key.seed())));
    }
}
