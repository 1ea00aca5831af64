//! What a client of a key directory verifies: that the directory answered from the tree that auditors saw.
//!
//! The proofs are verified by `akd`. What it would panic over is refused before it sees it.

use std::fmt;

use akd::client::{HistoryVerificationParams, key_history_verify, lookup_verify};
use akd::proto::specs::types;
use akd::verify::VerificationError;
use akd::{AkdLabel, Configuration, HistoryParams, HistoryProof, LookupProof, VerifyResult, WhatsAppV1Configuration};
use protobuf::Message;

use crate::directory::Epoch;

/// Every check of an answer by its name, with what it asks.
pub const CHECKS: [(&str, &str); 6] = [
    ("encoding", "the answer is a proof of akd"),
    ("version", "versions count from 1 and not beyond the epoch"),
    ("vrf", "labels are made of the name and version with the directory's key"),
    ("membership", "what should be in the tree is"),
    ("non_membership", "what should not be in the tree is not"),
    ("history", "a history is complete and in order"),
];

/// A value that a label has or had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Counts from 1.
    pub version: u64,
    /// When it was published.
    pub epoch: u64,
    /// What was published.
    pub value: Vec<u8>,
}

/// Why an answer is refused: the check that did, out of [`CHECKS`], and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerRefusal {
    /// The name of the check.
    pub check: &'static str,
    /// A sentence.
    pub why: String,
}

/// The value that a directory with a public key had for a label in an epoch.
pub fn verify_lookup(
    public_key: &[u8; 32],
    epoch: &Epoch,
    label: &[u8],
    proof: &[u8],
) -> Result<Version, AnswerRefusal> {
    lookup::<WhatsAppV1Configuration>(public_key, epoch, label, proof)
}

/// The latest values that a directory with a public key had for a label in an epoch, the latest first: as many as were asked
/// for with `most`, or all.
pub fn verify_history(
    public_key: &[u8; 32],
    epoch: &Epoch,
    label: &[u8],
    proof: &[u8],
    most: Option<usize>,
) -> Result<Vec<Version>, AnswerRefusal> {
    history::<WhatsAppV1Configuration>(public_key, epoch, label, proof, most)
}

fn lookup<Hashed: Configuration>(
    public_key: &[u8; 32],
    epoch: &Epoch,
    label: &[u8],
    proof: &[u8],
) -> Result<Version, AnswerRefusal> {
    let proof = types::LookupProof::parse_from_bytes(proof).map_err(not_read)?;
    let proof = LookupProof::try_from(&proof).map_err(not_read)?;
    counted(proof.version, epoch)?;
    let label = AkdLabel(label.to_vec());
    Ok(lookup_verify::<Hashed>(public_key, epoch.root, epoch.number, label, proof)?.into())
}

fn history<Hashed: Configuration>(
    public_key: &[u8; 32],
    epoch: &Epoch,
    label: &[u8],
    proof: &[u8],
    most: Option<usize>,
) -> Result<Vec<Version>, AnswerRefusal> {
    let proof = types::HistoryProof::parse_from_bytes(proof).map_err(not_read)?;
    let proof = HistoryProof::try_from(&proof).map_err(not_read)?;
    for update in &proof.update_proofs {
        counted(update.version, epoch)?;
    }
    let history_params = most.map_or(HistoryParams::Complete, HistoryParams::MostRecent);
    let parameters = HistoryVerificationParams::Default { history_params };
    let label = AkdLabel(label.to_vec());
    let versions = key_history_verify::<Hashed>(public_key, epoch.root, epoch.number, label, proof, parameters)?;
    Ok(versions.into_iter().map(Version::from).collect())
}

/// `akd` computes with versions before it checks them, and panics over 0.
fn counted(version: u64, epoch: &Epoch) -> Result<(), AnswerRefusal> {
    if version == 0 || version > epoch.number {
        let why = format!("version {version} cannot be of epoch {}", epoch.number);
        return Err(AnswerRefusal { check: "version", why });
    }
    Ok(())
}

fn not_read(error: impl fmt::Display) -> AnswerRefusal {
    AnswerRefusal { check: "encoding", why: format!("the answer is no proof: {error}") }
}

impl From<VerificationError> for AnswerRefusal {
    fn from(error: VerificationError) -> Self {
        let check = match error {
            VerificationError::MembershipProof(_) => "membership",
            VerificationError::NonMembershipProof(_) => "non_membership",
            // Versions beyond the epoch, which are refused before akd sees them.
            VerificationError::LookupProof(_) => "version",
            VerificationError::HistoryProof(_) => "history",
            VerificationError::Vrf(_) => "vrf",
            VerificationError::Serialization(_) => "encoding",
        };
        Self { check, why: error.to_string() }
    }
}

impl From<VerifyResult> for Version {
    fn from(VerifyResult { epoch, version, value }: VerifyResult) -> Self {
        Self { version, epoch, value: value.0 }
    }
}

impl fmt::Display for AnswerRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.why)
    }
}

impl std::error::Error for AnswerRefusal {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use akd::{ExampleLabel, ExperimentalConfiguration};

    use super::*;
    use crate::directory::Directory;

    fn unhex(digits: &str) -> Vec<u8> {
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    /// What `akd` proved with its test program is verified, and nothing else is.
    fn verifies<Hashed: Configuration>(file: &str) {
        let Some(folder) = crate::vectors::folder("akd") else { return };
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let documents: BTreeMap<_, _> = text
            .split("\n# ")
            .filter_map(|part| part.split_once("\n---\n"))
            .map(|(title, body)| (title, body.trim().trim_matches('\'')))
            .collect();
        let public_key = unhex(documents["Public Key"]).try_into().unwrap();
        let root = unhex(documents["Epoch Hash"]).try_into().unwrap();
        let epoch = Epoch { number: documents["Epoch"].parse().unwrap(), root };
        let label = unhex(documents["Label"]);
        let proof = unhex(documents["Lookup Proof"]);
        let latest = unhex(documents["History Proof (HistoryParams::MostRecent(1))"]);
        let all = unhex(documents["History Proof (HistoryParams::Complete with 3 versions)"]);

        let found = lookup::<Hashed>(&public_key, &epoch, &label, &proof).unwrap();
        assert_eq!((found.version, found.epoch), (3, 48));
        assert_eq!(history::<Hashed>(&public_key, &epoch, &label, &latest, Some(1)), Ok(vec![found.clone()]));
        let versions = history::<Hashed>(&public_key, &epoch, &label, &all, None).unwrap();
        assert_eq!(versions.iter().map(|version| version.version).collect::<Vec<_>>(), [3, 2, 1]);
        assert_eq!(versions[0], found);

        let of_another_root = Epoch { root: [0; 32], ..epoch };
        let of_its_second_epoch = Epoch { number: 2, ..epoch };
        for (epoch, label, proof, check) in [
            (&of_another_root, &label[..], &proof[..], "membership"),
            (&epoch, b"another", &proof, "vrf"),
            (&of_its_second_epoch, &label, &proof, "version"),
            (&epoch, &label, &proof[1..], "encoding"),
        ] {
            assert_eq!(lookup::<Hashed>(&public_key, epoch, label, proof).unwrap_err().check, check);
        }
        assert_eq!(history::<Hashed>(&public_key, &epoch, &label, &latest, None).unwrap_err().check, "history");
    }

    #[test]
    fn what_akd_proved_in_whatsapps_configuration_is_verified() {
        verifies::<WhatsAppV1Configuration>("whatsapp_v1.yaml");
    }

    #[test]
    fn what_akd_proved_in_its_experimental_configuration_is_verified() {
        verifies::<ExperimentalConfiguration<ExampleLabel>>("experimental.yaml");
    }

    #[test]
    fn a_directory_answers_from_the_tree_that_it_published() {
        let mut directory = Directory::new(&[9; 32]).unwrap();
        let publish = |value: &str| vec![(b"jo".to_vec(), value.into()), (b"al".to_vec(), b"same".to_vec())];
        for value in ["one", "two", "three"] {
            directory.publish(publish(value)).unwrap();
        }
        let answer = directory.lookup(b"jo").unwrap();
        assert_eq!(answer.epoch, directory.epoch());
        let public_key = directory.public_key();
        let found = verify_lookup(&public_key, &answer.epoch, b"jo", &answer.proof).unwrap();
        assert_eq!(found, Version { version: 3, epoch: 3, value: b"three".to_vec() });

        let history = directory.history(b"jo", None).unwrap();
        let versions = verify_history(&public_key, &history.epoch, b"jo", &history.proof, None).unwrap();
        let values: Vec<_> = versions.iter().map(|version| version.value.as_slice()).collect();
        assert_eq!(values, [b"three".as_slice(), b"two", b"one"]);
        let latest = directory.history(b"jo", Some(2)).unwrap();
        let versions = verify_history(&public_key, &latest.epoch, b"jo", &latest.proof, Some(2)).unwrap();
        assert_eq!(versions.len(), 2);
    }

    #[test]
    fn a_flipped_bit_in_any_byte_of_an_answer_is_refused_or_changes_nothing() {
        let mut directory = Directory::new(&[9; 32]).unwrap();
        directory.publish((0..3).map(|user| (vec![user], vec![user; 3])).collect()).unwrap();
        let answer = directory.lookup(&[1]).unwrap();
        let public_key = directory.public_key();
        let found = verify_lookup(&public_key, &answer.epoch, &[1], &answer.proof).unwrap();
        let mut refused: BTreeMap<&str, u32> = BTreeMap::new();
        for at in 0..answer.proof.len() {
            let mut flipped = answer.proof.clone();
            flipped[at] ^= 1 << (at % 8);
            match verify_lookup(&public_key, &answer.epoch, &[1], &flipped) {
                Ok(read) => assert_eq!(read, found, "byte {at}"),
                Err(refusal) => *refused.entry(refusal.check).or_default() += 1,
            }
        }
        println!("of {} bytes of a lookup: {refused:?}", answer.proof.len());
        for check in ["encoding", "version", "vrf", "membership", "non_membership"] {
            assert!(refused.contains_key(check), "{check}");
        }
    }
}
