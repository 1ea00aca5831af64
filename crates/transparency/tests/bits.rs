//! Every bit of a proof and of a signature is flipped once; each time the check that is named for it refuses.
//!
//! What each check refused is printed: `cargo test -p transparency --test bits -- --nocapture`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod oracle;

use std::collections::{BTreeMap, BTreeSet};

use akd::WhatsAppV1Configuration;
use transparency::directory::Directory;
use transparency::signature::{Ciphersuite, SigningKey, Statement};
use transparency::{Configuration, Name, Progress, Proof, Refusal, Roots};

/// The proof of an epoch that inserts and leaves alone.
fn published() -> (Name, Vec<u8>) {
    let mut directory = Directory::new(&[3; 32]).unwrap();
    directory.publish((0..6).map(|user| (vec![user], vec![1])).collect()).unwrap();
    directory.publish((0..2).map(|user| (vec![user], vec![2])).collect()).unwrap();
    directory.audit(2).unwrap()
}

fn verify(name: &Name, bytes: &[u8]) -> Result<(), Refusal> {
    let expected = Roots { start: name.previous, end: name.current };
    Proof::decode(bytes)?.verify(&Configuration::WhatsAppV1, name.epoch, &expected, 1, &Progress::default())
}

/// What each byte of a proof is, by walking over it as it is written.
fn parts(bytes: &[u8]) -> Vec<&'static str> {
    let mut parts = Vec::new();
    while parts.len() < bytes.len() {
        let at = parts.len();
        let inserted = bytes[at] == 0x0a;
        let label = usize::from(bytes[at + 3]);
        parts.extend(["tag of element", "length of element", "tag of label", "length of label"]);
        let end = parts.len() + label;
        while parts.len() < end {
            let at = parts.len();
            if bytes[at] == 0x0a {
                let length = usize::from(bytes[at + 1]);
                parts.extend(["tag of bits", "length of bits"]);
                parts.extend(std::iter::repeat_n("bits", length));
            } else {
                parts.extend(["tag of label length"]);
                parts.extend(std::iter::repeat_n("label length", end - at - 1));
            }
        }
        parts.extend(["tag of value", "length of value"]);
        let value = if inserted { "inserted value" } else { "unchanged value" };
        parts.extend(std::iter::repeat_n(value, 32));
    }
    assert_eq!(parts.len(), bytes.len());
    parts
}

/// The checks that may refuse a flipped bit of a part.
fn checks_of(part: &str) -> &'static [&'static str] {
    match part {
        "inserted value" => &["end_hash"],
        "unchanged value" => &["start_hash"],
        "bits" => &["start_hash", "end_hash", "prefix"],
        // Of tags and lengths: what follows is read as something else, or as nothing, so that it lacks in the hash.
        _ => &[
            "truncated",
            "number",
            "tag",
            "group",
            "element_length",
            "missing",
            "label_bits",
            "label_length",
            "value_length",
            "prefix",
            "root_label",
            "start_hash",
            "end_hash",
        ],
    }
}

#[test]
fn every_flipped_bit_of_a_proof_is_refused_by_the_check_that_is_named_for_it() {
    let (name, bytes) = published();
    assert_eq!(verify(&name, &bytes), Ok(()));
    let parts = parts(&bytes);
    let mut refused: BTreeMap<&str, BTreeMap<&str, u32>> = BTreeMap::new();
    let mut read_by_akd = 0;
    for bit in 0..8 * bytes.len() {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let part = parts[bit / 8];
        let refusal = verify(&name, &flipped).expect_err(part);
        let check = refusal.check();
        assert!(checks_of(part).contains(&check), "bit {bit}, {part}: {refusal}");
        *refused.entry(check).or_default().entry(part).or_default() += 1;
        if oracle::verify::<WhatsAppV1Configuration>(&flipped, name.previous, name.current, name.epoch).is_ok() {
            // The last element may be said to go on behind the end.
            assert_eq!((check, part), ("truncated", "length of element"));
            read_by_akd += 1;
        }
    }
    println!("{} bits of a proof of {} bytes:", 8 * bytes.len(), bytes.len());
    for (check, parts) in &refused {
        println!("  {check} refused {} {parts:?}", parts.values().sum::<u32>());
    }
    println!("  akd reads {read_by_akd} of them as if the bit had not been flipped");
    let named = ["end_hash", "group", "label_length", "missing", "start_hash", "tag", "truncated", "value_length"];
    let found: BTreeSet<_> = refused.into_keys().collect();
    assert!(found.is_superset(&BTreeSet::from(named)), "only {found:?}");
}

#[test]
fn every_flipped_bit_of_a_name_is_refused() {
    let (name, bytes) = published();
    let written = name.to_string();
    for bit in 0..8 * written.len() {
        let mut flipped = written.clone().into_bytes();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let part = written[..bit / 8].matches('/').count();
        let read = String::from_utf8(flipped).ok().map(|flipped| flipped.parse::<Name>());
        let refusal = match read {
            None => continue,
            Some(Err(refusal)) => refusal,
            Some(Ok(read)) => verify(&read, &bytes).unwrap_err(),
        };
        let named = [["name", "end_hash", "epoch"], ["name", "start_hash", ""], ["name", "end_hash", ""]][part];
        assert!(named.contains(&refusal.check()), "bit {bit}: {refusal}");
    }
}

#[test]
fn every_flipped_bit_of_a_signature_and_of_what_it_signs_is_refused_by_the_check_that_is_named_for_it() {
    let key = SigningKey::from_seed(&[5; 32]);
    for ciphersuite in [Ciphersuite::ProtobufEd25519, Ciphersuite::BincodeEd25519] {
        let digest = [0x11; 32];
        let statement = Statement {
            ciphersuite,
            namespace: "log.example",
            timestamp: 1_717_084_639_921,
            epoch: 9,
            digest: &digest,
        };
        let (signature, public_key) = (key.sign(&statement), key.public_key());
        assert_eq!(statement.verify(&public_key, &signature), Ok(()));
        let mut refused: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        let mut note = |part: &'static str, outcome: Result<(), transparency::signature::SignatureRefusal>| {
            *refused.entry((outcome.expect_err(part).check(), part)).or_default() += 1;
        };
        for bit in 0..512 {
            let mut flipped = signature;
            flipped[bit / 8] ^= 1 << (bit % 8);
            let part = if bit < 256 { "first half" } else { "second half" };
            note(part, statement.verify(&public_key, &flipped));
        }
        for bit in 0..256 {
            let mut flipped = public_key;
            flipped[bit / 8] ^= 1 << (bit % 8);
            note("public key", statement.verify(&flipped, &signature));
            let mut flipped = digest;
            flipped[bit / 8] ^= 1 << (bit % 8);
            note("digest", Statement { digest: &flipped, ..statement }.verify(&public_key, &signature));
        }
        for bit in 0..64 {
            let timestamp = statement.timestamp ^ 1 << bit;
            note("timestamp", Statement { timestamp, ..statement }.verify(&public_key, &signature));
            let epoch = statement.epoch ^ 1 << bit;
            note("epoch", Statement { epoch, ..statement }.verify(&public_key, &signature));
        }
        for bit in 0..7 * statement.namespace.len() {
            let mut flipped = statement.namespace.to_owned().into_bytes();
            flipped[bit / 7] ^= 1 << (bit % 7);
            let namespace = String::from_utf8(flipped).unwrap();
            note("namespace", Statement { namespace: &namespace, ..statement }.verify(&public_key, &signature));
        }
        let other = match ciphersuite {
            Ciphersuite::ProtobufEd25519 => Ciphersuite::BincodeEd25519,
            Ciphersuite::BincodeEd25519 => Ciphersuite::ProtobufEd25519,
        };
        note("ciphersuite", Statement { ciphersuite: other, ..statement }.verify(&public_key, &signature));

        println!("{ciphersuite:?}: {refused:?}");
        for (check, part) in refused.keys() {
            let named: &[&str] = match *part {
                "second half" => &["scalar", "signature"],
                "public key" => &["public_key", "signature"],
                _ => &["signature"],
            };
            assert!(named.contains(check), "{part}: {check}");
        }
        // The order of the group has 253 bits, so that the upper three are always too much.
        assert!(refused[&("scalar", "second half")] >= 3);
        assert!(refused.contains_key(&("public_key", "public key")));
    }
}
