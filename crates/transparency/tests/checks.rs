//! Each check refuses something that nothing else refuses, and there is no check that refuses nothing.
//!
//! What each said is printed: `cargo test -p transparency --test checks -- --nocapture`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(clippy::print_stdout, reason = "what each check says is there to be read")]

use std::collections::BTreeSet;

use transparency::client::{self, verify_history, verify_lookup};
use transparency::directory::{Directory, Epoch};
use transparency::signature::{self, Ciphersuite, SigningKey, Statement};
use transparency::{CHECKS, Configuration, Element, Label, Name, Progress, Proof, Refusal, Roots};

fn node(first: u8, length: u32) -> Element {
    let mut value = [0; 32];
    value[0] = first;
    Element { label: Label::new(value, length).unwrap(), value: [first; 32] }
}

fn roots(elements: Vec<Element>, epoch: u64) -> Result<Roots, Refusal> {
    Proof::new(vec![], elements).roots(&Configuration::WhatsAppV1, epoch, 1, &Progress::default())
}

/// An element with a label, a value, and what stands between.
fn element(label: &[u8], between: &[u8], value: &[u8]) -> Vec<u8> {
    let label = [&[0x0a, label.len() as u8], label].concat();
    let value = [&[0x12, value.len() as u8], value].concat();
    let content = [label, between.to_vec(), value].concat();
    [vec![0x0a, content.len() as u8], content].concat()
}

fn covers(checks: &[(&str, &str)], refused: Vec<(&'static str, String)>) {
    for (check, said) in &refused {
        println!("{check}: {said}");
    }
    let named: BTreeSet<_> = checks.iter().map(|(check, _)| *check).collect();
    assert_eq!(refused.into_iter().map(|(check, _)| check).collect::<BTreeSet<_>>(), named);
}

#[test]
fn every_check_of_a_proof_refuses_something() {
    let sound = [0x0a, 0x01, 0x80, 0x10, 0x01];
    let bytes = [
        ("truncated", element(&sound, &[], &[1; 32])[..9].to_vec()),
        ("number", element(&sound, &[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], &[1; 32])),
        ("tag", element(&sound, &[0x1f], &[1; 32])),
        ("group", element(&sound, &[0x1c], &[1; 32])),
        ("element_length", vec![0x0a, 0x80, 0x20]),
        ("missing", element(&sound[3..], &[], &[1; 32])),
        ("label_bits", element(&[&[0x0a, 33][..], &[1; 33], &[0x10, 0x01]].concat(), &[], &[1; 32])),
        ("label_length", element(&[0x0a, 0x01, 0x80, 0x10, 0x81, 0x02], &[], &[1; 32])),
        ("value_length", element(&sound, &[], &[1; 31])),
    ];
    assert!(Proof::decode(&element(&sound, &[0x18, 0x01], &[1; 32])).is_ok());
    let mut refused = Vec::new();
    for (check, bytes) in bytes {
        let refusal = Proof::decode(&bytes).unwrap_err();
        assert_eq!(refusal.check(), check, "{refusal}");
        assert!(refusal.offset().is_some_and(|offset| offset <= bytes.len() as u64));
        refused.push((refusal.check(), refusal.to_string()));
    }

    let proof = Proof::new(vec![node(0x80, 256)], vec![node(0, 256)]);
    let verify =
        |expected: &Roots, epoch| proof.verify(&Configuration::WhatsAppV1, epoch, expected, 1, &Progress::default());
    let expected = proof.roots(&Configuration::WhatsAppV1, 3, 1, &Progress::default()).unwrap();
    assert_eq!(verify(&expected, 3), Ok(()));
    let cancelled = Progress::default();
    cancelled.cancel();
    for (check, refusal) in [
        ("name", "3/00/00".parse::<Name>().unwrap_err()),
        ("epoch", verify(&expected, 0).unwrap_err()),
        ("root_label", roots(vec![node(0, 0)], 1).unwrap_err()),
        ("prefix", roots(vec![node(0x80, 1), node(0xc0, 2)], 1).unwrap_err()),
        ("prefix", roots(vec![node(0x80, 9), node(0x80, 9)], 1).unwrap_err()),
        ("start_hash", verify(&Roots { start: [0; 32], ..expected }, 3).unwrap_err()),
        ("end_hash", verify(&Roots { end: [0; 32], ..expected }, 3).unwrap_err()),
        ("cancelled", proof.roots(&Configuration::WhatsAppV1, 3, 1, &cancelled).unwrap_err()),
    ] {
        assert_eq!((refusal.check(), refusal.offset()), (check, None), "{refusal}");
        refused.push((refusal.check(), refusal.to_string()));
    }
    covers(&CHECKS, refused);
}

#[test]
fn every_check_of_a_signature_refuses_something() {
    let ciphersuite = Ciphersuite::ProtobufEd25519;
    let statement = Statement { ciphersuite, namespace: "log", timestamp: 1, epoch: 2, digest: &[3; 32] };
    let key = SigningKey::from_seed(&[4; 32]);
    let (public_key, signature) = (key.public_key(), key.sign(&statement));
    let other = Statement { epoch: 3, ..statement };
    let mut weak = [0; 32];
    weak[0] = 1;
    let refusals = [
        ("ciphersuite", Ciphersuite::by_number(0).unwrap_err()),
        ("public_key", statement.verify(&public_key[1..], &signature).unwrap_err()),
        ("weak_key", statement.verify(&weak, &signature).unwrap_err()),
        ("signature_length", statement.verify(&public_key, &signature[1..]).unwrap_err()),
        ("scalar", statement.verify(&public_key, &[0xff; 64]).unwrap_err()),
        ("signature", other.verify(&public_key, &signature).unwrap_err()),
    ];
    for (check, refusal) in &refusals {
        assert_eq!(refusal.check(), *check);
    }
    covers(&signature::CHECKS, refusals.map(|(check, refusal)| (check, refusal.to_string())).to_vec());
}

#[test]
fn every_check_of_an_answer_refuses_something() {
    let mut directory = Directory::new(&[5; 32]).unwrap();
    for value in 0..3 {
        directory.publish(vec![(b"jo".to_vec(), vec![value]), (b"al".to_vec(), vec![0])]).unwrap();
    }
    let public_key = directory.public_key();
    let (answer, history) = (directory.lookup(b"jo").unwrap(), directory.history(b"jo", None).unwrap());
    let lookup = |epoch: &Epoch, label: &[u8], proof: &[u8]| verify_lookup(&public_key, epoch, label, proof);
    assert!(lookup(&answer.epoch, b"jo", &answer.proof).is_ok());
    let second = Epoch { number: 2, ..answer.epoch };
    let mut refusals = vec![
        ("encoding", lookup(&answer.epoch, b"jo", &[7]).unwrap_err()),
        ("version", lookup(&second, b"jo", &answer.proof).unwrap_err()),
        ("vrf", lookup(&answer.epoch, b"al", &answer.proof).unwrap_err()),
        ("membership", lookup(&Epoch { root: [0; 32], ..answer.epoch }, b"jo", &answer.proof).unwrap_err()),
        ("history", verify_history(&public_key, &history.epoch, b"jo", &history.proof, Some(2)).unwrap_err()),
    ];
    // The part of a lookup that says that the version is not stale: one flipped bit of a hash in it.
    let stale = (0..answer.proof.len()).rev().find_map(|at| {
        let mut flipped = answer.proof.clone();
        flipped[at] ^= 1;
        lookup(&answer.epoch, b"jo", &flipped).err().filter(|refusal| refusal.check == "non_membership")
    });
    refusals.push(("non_membership", stale.unwrap()));
    for (check, refusal) in &refusals {
        assert_eq!(refusal.check, *check, "{refusal}");
    }
    covers(&client::CHECKS, refusals.into_iter().map(|(check, refusal)| (check, refusal.to_string())).collect());
}
