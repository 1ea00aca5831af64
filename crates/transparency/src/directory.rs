//! A key directory on crate `akd`: publishes epochs, and proves what it published to those who look up and to auditors.
//!
//! It is kept in memory. The tree follows from the key and the publishes alone, so that a directory is had again by
//! publishing the same again. It hashes as [`crate::Configuration::WhatsAppV1`], which the clients of Plexi verify.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use akd::ecvrf::{VRFKeyStorage, VRFPrivateKey, VRFPublicKey, VrfError};
use akd::errors::{AkdError, StorageError};
use akd::local_auditing::generate_audit_blobs;
use akd::proto::specs::types;
use akd::storage::StorageManager;
use akd::storage::memory::AsyncInMemoryDatabase;
use akd::{AkdLabel, AkdValue, AzksParallelismConfig, EpochHash, HistoryParams, WhatsAppV1Configuration};
use protobuf::Message;
use tokio::runtime::{Builder, Runtime};

use crate::Digest;
use crate::name::Name;

/// A directory.
pub struct Directory {
    tree: akd::Directory<WhatsAppV1Configuration, AsyncInMemoryDatabase, LabelKey>,
    runtime: Runtime,
    public_key: [u8; 32],
    /// The root hash of every epoch, from 0.
    roots: Vec<Digest>,
}

/// An epoch and its root hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Its number, 0 before anything was published.
    pub number: u64,
    /// Its root hash.
    pub root: Digest,
}

/// What a directory answers to one who looks up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The proof as Protocol Buffers: `LookupProof` or `HistoryProof` of `akd`.
    pub proof: Vec<u8>,
    /// The epoch that it is of.
    pub epoch: Epoch,
}

/// Why a directory does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryRefusal {
    /// A publish has this label twice.
    LabelTwice(Vec<u8>),
    /// Nothing was published of the label.
    UnknownLabel(Vec<u8>),
    /// There is no such epoch, or nothing led to it.
    NoEpoch {
        /// The epoch that was asked for.
        asked: u64,
        /// The latest that there is.
        latest: u64,
    },
    /// What `akd` says of itself.
    Inside(String),
}

impl Directory {
    /// An empty directory. The key is what makes labels of names; who has it can try names.
    pub fn new(key: &[u8; 32]) -> Result<Self, DirectoryRefusal> {
        let runtime = Builder::new_current_thread().build().map_err(inside)?;
        let private = VRFPrivateKey::try_from(key.as_slice()).map_err(inside)?;
        let storage = StorageManager::new_no_cache(AsyncInMemoryDatabase::new());
        let made = akd::Directory::new(storage, LabelKey(*key), AzksParallelismConfig::disabled());
        let tree = runtime.block_on(made)?;
        let EpochHash(_, root) = runtime.block_on(tree.get_epoch_hash())?;
        Ok(Self { tree, runtime, public_key: VRFPublicKey::from(&private).to_bytes(), roots: vec![root] })
    }

    /// What clients verify labels with.
    pub fn public_key(&self) -> [u8; 32] {
        self.public_key
    }

    /// The latest epoch.
    pub fn epoch(&self) -> Epoch {
        let number = self.roots.len() - 1;
        Epoch { number: number as u64, root: self.roots[number] }
    }

    /// The root hash of an epoch.
    pub fn root(&self, epoch: u64) -> Result<Digest, DirectoryRefusal> {
        let root = usize::try_from(epoch).ok().and_then(|epoch| self.roots.get(epoch));
        root.copied().ok_or_else(|| self.no_epoch(epoch))
    }

    /// Publishes labels with their values as the next epoch. What has its value already is left out, and if that is all of it
    /// there is no new epoch.
    pub fn publish(&mut self, updates: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Epoch, DirectoryRefusal> {
        let mut labels = HashSet::new();
        if let Some((label, _)) = updates.iter().find(|(label, _)| !labels.insert(label)) {
            return Err(DirectoryRefusal::LabelTwice(label.clone()));
        }
        let updates = updates.into_iter().map(|(label, value)| (AkdLabel(label), AkdValue(value))).collect();
        let EpochHash(number, root) = self.runtime.block_on(self.tree.publish(updates))?;
        if number == self.roots.len() as u64 {
            self.roots.push(root);
        }
        Ok(self.epoch())
    }

    /// The value that a label has now, with its proof.
    pub fn lookup(&self, label: &[u8]) -> Result<Answer, DirectoryRefusal> {
        let looked_up = self.runtime.block_on(self.tree.lookup(AkdLabel(label.to_vec())));
        let (proof, epoch) = looked_up.map_err(|error| of_label(error, label))?;
        answer(&types::LookupProof::from(&proof), epoch)
    }

    /// The latest values that a label had, as many as given or all, with their proof.
    pub fn history(&self, label: &[u8], most: Option<usize>) -> Result<Answer, DirectoryRefusal> {
        let parameters = most.map_or(HistoryParams::Complete, HistoryParams::MostRecent);
        let label_of_akd = AkdLabel(label.to_vec());
        let looked_up = self.runtime.block_on(self.tree.key_history(&label_of_akd, parameters));
        let (proof, epoch) = looked_up.map_err(|error| of_label(error, label))?;
        answer(&types::HistoryProof::from(&proof), epoch)
    }

    /// The proof that leads to an epoch from the one before, under the name by which Plexi asks for it.
    pub fn audit(&self, epoch: u64) -> Result<(Name, Vec<u8>), DirectoryRefusal> {
        let current = self.root(epoch)?;
        let before = epoch.checked_sub(1).ok_or_else(|| self.no_epoch(epoch))?;
        let previous = self.root(before)?;
        let proof = self.runtime.block_on(self.tree.audit(before, epoch))?;
        let blobs = generate_audit_blobs(vec![previous, current], proof);
        let blob = blobs.map_err(|error| DirectoryRefusal::Inside(format!("{error:?}")))?.pop();
        let blob = blob.ok_or_else(|| DirectoryRefusal::Inside("no proof was made".to_owned()))?;
        Ok((Name { epoch, previous, current }, blob.data))
    }

    fn no_epoch(&self, asked: u64) -> DirectoryRefusal {
        DirectoryRefusal::NoEpoch { asked, latest: self.epoch().number }
    }
}

fn answer(proof: &impl Message, EpochHash(number, root): EpochHash) -> Result<Answer, DirectoryRefusal> {
    let proof = proof.write_to_bytes().map_err(inside)?;
    Ok(Answer { proof, epoch: Epoch { number, root } })
}

fn of_label(error: AkdError, label: &[u8]) -> DirectoryRefusal {
    match error {
        AkdError::Storage(StorageError::NotFound(_)) => DirectoryRefusal::UnknownLabel(label.to_vec()),
        error => error.into(),
    }
}

fn inside(error: impl fmt::Display) -> DirectoryRefusal {
    DirectoryRefusal::Inside(error.to_string())
}

impl From<AkdError> for DirectoryRefusal {
    fn from(error: AkdError) -> Self {
        inside(error)
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Directory(epoch {})", self.epoch().number)
    }
}

impl fmt::Display for DirectoryRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DirectoryRefusal::LabelTwice(label) => {
                write!(f, "label {:?} is published twice in one epoch", String::from_utf8_lossy(label))
            }
            DirectoryRefusal::UnknownLabel(label) => {
                write!(f, "nothing was published of label {:?}", String::from_utf8_lossy(label))
            }
            DirectoryRefusal::NoEpoch { asked: 0, .. } => write!(f, "no proof leads to epoch 0"),
            DirectoryRefusal::NoEpoch { asked, latest } => {
                write!(f, "there is no epoch {asked}; the latest is {latest}")
            }
            DirectoryRefusal::Inside(why) => write!(f, "the directory failed: {why}"),
        }
    }
}

impl std::error::Error for DirectoryRefusal {}

/// The secret that makes labels of names.
#[derive(Clone)]
struct LabelKey([u8; 32]);

type Retrieved<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, VrfError>> + Send + 'a>>;

impl VRFKeyStorage for LabelKey {
    fn retrieve<'a, 'b>(&'a self) -> Retrieved<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async { Ok(self.0.to_vec()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(labels: &[&str], value: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        labels.iter().map(|label| (label.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn the_same_publishes_under_the_same_key_make_the_same_directory() {
        let published = |key: [u8; 32]| {
            let mut directory = Directory::new(&key).unwrap();
            directory.publish(named(&["jo", "al"], "one")).unwrap();
            directory.publish(named(&["jo"], "two")).unwrap();
            (directory.epoch(), directory.audit(2).unwrap())
        };
        assert_eq!(published([1; 32]), published([1; 32]));
        assert_ne!(published([1; 32]).0, published([2; 32]).0);
    }

    #[test]
    fn what_changes_nothing_is_no_epoch() {
        let mut directory = Directory::new(&[1; 32]).unwrap();
        assert_eq!(directory.epoch().number, 0);
        let first = directory.publish(named(&["jo"], "one")).unwrap();
        assert_eq!(directory.publish(named(&["jo"], "one")), Ok(first));
        assert_eq!(directory.publish(vec![]), Ok(first));
        assert_eq!(directory.publish(named(&["jo"], "two")).unwrap().number, 2);
        assert_eq!(directory.root(1), Ok(first.root));
    }

    #[test]
    fn what_there_is_not_is_refused_by_name() {
        let mut directory = Directory::new(&[1; 32]).unwrap();
        let twice = directory.publish(named(&["jo", "al", "jo"], "one")).unwrap_err();
        assert_eq!(twice.to_string(), "label \"jo\" is published twice in one epoch");
        assert_eq!(directory.epoch().number, 0);
        directory.publish(named(&["jo"], "one")).unwrap();
        for refusal in [directory.lookup(b"al").unwrap_err(), directory.history(b"al", None).unwrap_err()] {
            assert_eq!(refusal.to_string(), "nothing was published of label \"al\"");
        }
        assert_eq!(directory.audit(2).unwrap_err().to_string(), "there is no epoch 2; the latest is 1");
        assert_eq!(directory.audit(0).unwrap_err().to_string(), "no proof leads to epoch 0");
    }

    #[test]
    fn the_secret_is_not_shown() {
        let directory = Directory::new(&[0x77; 32]).unwrap();
        assert_eq!(format!("{directory:?}"), "Directory(epoch 0)");
    }
}
