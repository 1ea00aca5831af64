//! What crate `akd` says of the same proof.

#![allow(dead_code, reason = "each test program uses its part")]

use akd::append_only_zks::InsertMode;
use akd::auditor::verify_consecutive_append_only;
use akd::proto::specs::types;
use akd::storage::StorageManager;
use akd::storage::memory::AsyncInMemoryDatabase;
use akd::{Azks, AzksElement, AzksParallelismConfig, AzksValue, Configuration, NodeLabel, SingleAppendOnlyProof};
use protobuf::Message;
use transparency::{Digest, Element, Label};

/// Runs what `akd` does asynchronously.
pub fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// What `akd` reads out of the bytes of a proof: inserted and unchanged.
pub fn decode(bytes: &[u8]) -> Result<SingleAppendOnlyProof, String> {
    let read = types::SingleAppendOnlyProof::parse_from_bytes(bytes).map_err(|error| error.to_string())?;
    SingleAppendOnlyProof::try_from(&read).map_err(|error| error.to_string())
}

/// The bytes of a proof as `akd` writes them.
pub fn encode(proof: &SingleAppendOnlyProof) -> Vec<u8> {
    types::SingleAppendOnlyProof::from(proof).write_to_bytes().unwrap()
}

/// Its auditor's verdict on the bytes of a proof.
pub fn verify<Hashed: Configuration>(bytes: &[u8], start: Digest, end: Digest, epoch: u64) -> Result<(), String> {
    let proof = decode(bytes)?;
    wait(verify_consecutive_append_only::<Hashed>(&proof, start, end, epoch)).map_err(|error| error.to_string())
}

/// The root hash of a tree of these nodes, if its auditor builds one.
pub fn root<Hashed: Configuration>(elements: Vec<AzksElement>) -> Result<Digest, String> {
    wait(async {
        let database = AsyncInMemoryDatabase::new_with_remove_child_nodes_on_insertion();
        let storage = StorageManager::new_no_cache(database);
        let mut tree = Azks::new::<Hashed, _>(&storage).await?;
        let serial = AzksParallelismConfig::disabled();
        tree.batch_insert_nodes::<Hashed, _>(&storage, elements, InsertMode::Auditor, serial).await?;
        tree.get_root_hash::<Hashed, _>(&storage).await
    })
    .map_err(|error| error.to_string())
}

/// The root hashes of both epochs, as its auditor makes them.
pub fn roots<Hashed: Configuration>(proof: &SingleAppendOnlyProof, epoch: u64) -> Result<(Digest, Digest), String> {
    let mut all = proof.unchanged_nodes.clone();
    all.extend(proof.inserted.iter().map(|element| AzksElement {
        label: element.label,
        value: AzksValue(Hashed::hash_leaf_with_commitment(element.value, epoch).0),
    }));
    Ok((root::<Hashed>(proof.unchanged_nodes.clone())?, root::<Hashed>(all)?))
}

pub fn to_akd(element: &Element) -> AzksElement {
    let label = NodeLabel { label_val: *element.label.value(), label_len: u32::from(element.label.length()) };
    AzksElement { label, value: AzksValue(element.value) }
}

pub fn from_akd(element: &AzksElement) -> Element {
    let label = Label::new(element.label.label_val, element.label.label_len).unwrap();
    Element { label, value: element.value.0 }
}
