//! Vectors of Plexi and of `akd`, which nobody here wrote.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "../../fingerprint/tests/vectors/mod.rs"]
mod vectors;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use akd::{AzksValue, ExampleLabel, ExperimentalConfiguration, WhatsAppV1Configuration};
use serde_json::Value;
use transparency::signature::{Ciphersuite, SigningKey, Statement, key_id};
use transparency::{Configuration, Digest, Element, Label, Progress, Proof, Roots};

fn unhex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn digest(digits: &str) -> Digest {
    unhex(digits).try_into().unwrap()
}

#[test]
fn plexi_signatures_are_made_and_verified() {
    let Some(folder) = vectors::folder("plexi") else { return };
    let read: Value = serde_json::from_slice(&fs::read(folder.join("test-vectors.json")).unwrap()).unwrap();
    let vectors = read.as_array().unwrap();
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        let bytes = |name: &str| unhex(vector[name].as_str().unwrap());
        let number = |name: &str| vector[name].as_u64().unwrap();
        let statement = Statement {
            ciphersuite: Ciphersuite::by_number(number("ciphersuite") as u32).unwrap(),
            namespace: vector["namespace"].as_str().unwrap(),
            timestamp: number("timestamp"),
            epoch: number("epoch"),
            digest: &bytes("digest"),
        };
        let key = SigningKey::from_seed(&bytes("signing_key").try_into().unwrap());
        assert_eq!(key.public_key().to_vec(), bytes("verifying_key"));
        assert_eq!(u64::from(key_id(&key.public_key())), number("key_id"));
        assert_eq!(key.sign(&statement).to_vec(), bytes("signature"));
        assert_eq!(statement.verify(&bytes("verifying_key"), &bytes("signature")), Ok(()));
    }
}

/// The documents of a file of `akd`, each under the line of comment above it.
fn documents(file: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(file).unwrap();
    text.split("\n# ")
        .filter_map(|part| part.split_once("\n---\n"))
        .map(|(title, body)| (title.to_owned(), body.trim().trim_matches('\'').to_owned()))
        .collect()
}

/// A leaf of a recorded state: its label, its value, and the epoch that inserted it.
struct Leaf {
    label: Label,
    value: Digest,
    epoch: u64,
}

/// The leaves of a recorded state, and the value of its root.
fn state(document: &str) -> (Vec<Leaf>, Digest) {
    let (mut leaves, mut root) = (Vec::new(), None);
    for record in document.split("\n- !").filter(|record| record.starts_with("TreeNode")) {
        let latest = record.split("latest_node:").nth(1).unwrap().split("previous_node:").next().unwrap();
        let field = |name: &str| {
            let line = latest.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap();
            line.trim_start_matches(':').trim().trim_matches('\'').to_owned()
        };
        let value = digest(&field("hash"));
        match field("node_type").as_str() {
            "Leaf" => leaves.push(Leaf {
                label: Label::new(digest(&field("label_val")), field("label_len").parse().unwrap()).unwrap(),
                value,
                epoch: field("last_epoch").parse().unwrap(),
            }),
            "Root" => root = Some(value),
            _ => {}
        }
    }
    (leaves, root.unwrap())
}

fn recorded_states_follow<Hashed: akd::Configuration>(file: &str, configuration: &Configuration) {
    let Some(folder) = vectors::folder("akd") else { return };
    let documents = documents(&folder.join(file));
    let (before, start) = state(&documents["State - Epoch 9"]);
    let (after, end) = state(&documents["State - Epoch 10"]);
    let expected = Roots {
        start: Hashed::compute_root_hash_from_val(&AzksValue(start)),
        end: Hashed::compute_root_hash_from_val(&AzksValue(end)),
    };
    let epoch = after.iter().map(|leaf| leaf.epoch).max().unwrap();
    let inserted = after.iter().filter(|leaf| leaf.epoch == epoch);
    let inserted: Vec<_> = inserted.map(|leaf| Element { label: leaf.label, value: leaf.value }).collect();
    let unchanged = before.iter().map(|leaf| Element {
        label: leaf.label,
        value: Hashed::hash_leaf_with_commitment(AzksValue(leaf.value), leaf.epoch).0,
    });
    let proof = Proof::new(inserted.clone(), unchanged.collect());
    assert_eq!((inserted.len() + before.len(), inserted.is_empty()), (after.len(), false));
    assert_eq!(proof.verify(configuration, epoch, &expected, 1, &Progress::default()), Ok(()));
}

#[test]
fn recorded_states_of_akd_have_the_recorded_roots_and_follow_each_other() {
    recorded_states_follow::<WhatsAppV1Configuration>("fixture_whatsapp_v1.yaml", &Configuration::WhatsAppV1);
    let domain = b"ExampleLabel".to_vec();
    recorded_states_follow::<ExperimentalConfiguration<ExampleLabel>>(
        "fixture_experimental.yaml",
        &Configuration::Experimental { domain },
    );
}
