//! Verifies a made epoch, here or with crate `akd`, and tells what it took: one line of JSON.
//!
//!     transparency-beside-akd make ELEMENTS FILE          writes a proof, and prints both root hashes
//!     transparency-beside-akd ours FILE START END THREADS
//!     transparency-beside-akd akd FILE START END THREADS
//!     transparency-beside-akd chain EPOCHS ELEMENTS DIRECTORY   writes the proofs of epochs that follow one another
//!
//! A run verifies once, so that its peak of memory is of that. It reads the file, decodes it, rebuilds both roots and compares
//! them: `seconds` is from the file read to the verdict, `decoding` the first part of it. Each also refuses the same proof
//! against a wrong end hash if `--wrong` stands behind.

use std::time::Instant;
use std::{env, fs};

use akd::auditor::verify_consecutive_append_only;
use akd::proto::specs::types;
use akd::{AzksElement, AzksValue, Configuration as _, NodeLabel, SingleAppendOnlyProof, WhatsAppV1Configuration};
use protobuf::Message;
use transparency::{Configuration, Digest, Progress, Proof, Roots, from_hexadecimal, hexadecimal};

const EPOCH: u64 = 2_026_881;
/// The unchanged nodes that a new leaf brings: its siblings down to where it has none. WhatsApp's directory has some hundred
/// times as many leaves as an epoch adds.
const SIBLINGS: u16 = 7;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["make", elements, file] => make(elements.parse().expect("a number of elements"), file),
        ["chain", epochs, elements, directory] => {
            chain(epochs.parse().expect("a number of epochs"), elements.parse().expect("a number of elements"), directory);
        }
        [peer, file, start, end, threads, ref wrong @ ..] => {
            let [start, mut end] = [start, end].map(|hash| from_hexadecimal(hash).expect("a hash"));
            if !wrong.is_empty() {
                end[0] ^= 1;
            }
            let threads = threads.parse().expect("a number of threads");
            let verify = if peer == "akd" { akds } else { ours };
            verify(&fs::read(file).expect("a proof"), Roots { start, end }, threads);
        }
        _ => panic!("make ELEMENTS FILE, or ours|akd FILE START END THREADS"),
    }
}

fn ours(bytes: &[u8], expected: Roots, threads: usize) {
    let began = Instant::now();
    let proof = Proof::decode(bytes).expect("a proof");
    let decoded = began.elapsed();
    let verdict = proof.verify(&Configuration::WhatsAppV1, EPOCH, &expected, threads, &Progress::default());
    tell(verdict.is_ok(), decoded.as_secs_f64(), began.elapsed().as_secs_f64());
}

fn akds(bytes: &[u8], expected: Roots, threads: usize) {
    let began = Instant::now();
    let read = types::SingleAppendOnlyProof::parse_from_bytes(bytes).expect("a proof");
    let proof = SingleAppendOnlyProof::try_from(&read).expect("a proof");
    drop(read);
    let decoded = began.elapsed();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).build().expect("a runtime");
    let Roots { start, end } = expected;
    // Spawned, so that it runs on the threads and not beside them.
    let verdict = runtime
        .block_on(runtime.spawn(async move {
            verify_consecutive_append_only::<WhatsAppV1Configuration>(&proof, start, end, EPOCH).await
        }))
        .expect("a verdict");
    tell(verdict.is_ok(), decoded.as_secs_f64(), began.elapsed().as_secs_f64());
}

fn tell(accepted: bool, decoding: f64, seconds: f64) {
    let status = fs::read_to_string("/proc/self/status").expect("what the system says of this process");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak of memory");
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    println!(r#"{{"accepted": {accepted}, "decoding_s": {decoding:.4}, "seconds": {seconds:.4}, "peak_kib": {kib}}}"#);
}

/// Writes the proof of an epoch with as many elements, in the order in which a directory does.
fn make(elements: u64, file: &str) {
    let mut numbers = Numbers(elements);
    let mut inserted: Vec<Digest> = (0..elements / u64::from(SIBLINGS + 1)).map(|_| numbers.digest()).collect();
    inserted.sort_unstable();
    let mut unchanged = Vec::new();
    for (index, leaf) in inserted.iter().enumerate() {
        let before = index.checked_sub(1).map_or(0, |before| common_bits(leaf, &inserted[before]));
        let behind = inserted.get(index + 1).map_or(0, |behind| common_bits(leaf, behind));
        let own = before.max(behind) + 1;
        for bit in own..own + SIBLINGS {
            unchanged.push((sibling(leaf, bit), u32::from(bit) + 1));
        }
    }
    unchanged.sort_unstable();
    let proof = SingleAppendOnlyProof {
        inserted: inserted.into_iter().map(|leaf| element(&mut numbers, leaf, 256)).collect(),
        unchanged_nodes: unchanged.into_iter().map(|(label, length)| element(&mut numbers, label, length)).collect(),
    };
    let bytes = types::SingleAppendOnlyProof::from(&proof).write_to_bytes().expect("the bytes of a proof");
    fs::write(file, &bytes).expect("a file that can be written");
    let proof = Proof::decode(&bytes).expect("a proof");
    let roots = proof.roots(&Configuration::WhatsAppV1, EPOCH, 1, &Progress::default()).expect("both roots");
    println!(
        r#"{{"inserted": {}, "unchanged": {}, "bytes": {}, "start": "{}", "end": "{}"}}"#,
        proof.inserted().len(),
        proof.unchanged().len(),
        bytes.len(),
        hexadecimal(&roots.start),
        hexadecimal(&roots.end)
    );
}

/// Writes the proofs of epochs that follow one another to files named as an auditor asks for them, and tells the digests of
/// all epochs, that before the first included. An epoch adds an eighth of `elements`, which is how many a proof has in the
/// middle of the chain: what an epoch added is left unchanged by the next, beside the siblings of all.
fn chain(epochs: u64, elements: u64, directory: &str) {
    let mut numbers = Numbers(elements);
    let added = elements / 8;
    let siblings = 7 * added - added * (epochs - 1) / 2;
    let mut leaves: Vec<Digest> = (0..added * epochs).map(|_| numbers.digest()).collect();
    leaves.sort_unstable();
    let each = siblings as f64 / leaves.len() as f64;
    let mut unchanged = Vec::with_capacity(siblings as usize);
    for (index, leaf) in leaves.iter().enumerate() {
        let before = index.checked_sub(1).map_or(0, |before| common_bits(leaf, &leaves[before]));
        let behind = leaves.get(index + 1).map_or(0, |behind| common_bits(leaf, behind));
        let own = before.max(behind) + 1;
        let count = (((index + 1) as f64 * each) as u64 - (index as f64 * each) as u64) as u16;
        for bit in own..own + count {
            unchanged.push(element(&mut numbers, sibling(leaf, bit), u32::from(bit) + 1));
        }
    }
    // Which leaf comes in which epoch is by chance.
    let mut leaves: Vec<AzksElement> = leaves.into_iter().map(|leaf| element(&mut numbers, leaf, 256)).collect();
    for index in (1..leaves.len()).rev() {
        leaves.swap(index, (numbers.next() % (index as u64 + 1)) as usize);
    }
    let mut digests = Vec::new();
    for (number, added) in leaves.chunks(added as usize).enumerate() {
        let epoch = EPOCH + number as u64;
        let in_order = |elements: &mut Vec<AzksElement>| {
            elements.sort_unstable_by_key(|element| (element.label.label_val, element.label.label_len));
        };
        let mut inserted = added.to_vec();
        in_order(&mut inserted);
        in_order(&mut unchanged);
        let proof = SingleAppendOnlyProof { inserted, unchanged_nodes: unchanged.clone() };
        let bytes = types::SingleAppendOnlyProof::from(&proof).write_to_bytes().expect("the bytes of a proof");
        let Roots { start, end } = Proof::decode(&bytes)
            .and_then(|proof| proof.roots(&Configuration::WhatsAppV1, epoch, 1, &Progress::default()))
            .expect("both roots");
        if digests.is_empty() {
            digests.push(hexadecimal(&start));
        }
        assert_eq!(digests.last(), Some(&hexadecimal(&start)), "an epoch begins where the one before ends");
        digests.push(hexadecimal(&end));
        let folder = format!("{directory}/{epoch}/{}", hexadecimal(&start));
        fs::create_dir_all(&folder).expect("a directory");
        fs::write(format!("{folder}/{}", hexadecimal(&end)), &bytes).expect("a file that can be written");
        unchanged.extend(added.iter().map(|leaf| AzksElement {
            label: leaf.label,
            value: AzksValue(WhatsAppV1Configuration::hash_leaf_with_commitment(leaf.value, epoch).0),
        }));
    }
    println!(r#"{{"first": {EPOCH}, "digests": {digests:?}}}"#);
}

fn element(numbers: &mut Numbers, label_val: Digest, label_len: u32) -> AzksElement {
    AzksElement { label: NodeLabel { label_val, label_len }, value: AzksValue(numbers.digest()) }
}

fn common_bits(one: &Digest, other: &Digest) -> u16 {
    let whole = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let rest = one.get(whole).map_or(0, |byte| (byte ^ other[whole]).leading_zeros() as u16);
    8 * whole as u16 + rest
}

/// The node beside the path of a leaf, below its bit of that number.
fn sibling(leaf: &Digest, bit: u16) -> Digest {
    let mut label = [0; 32];
    let (byte, mask) = (usize::from(bit / 8), 0x80_u8 >> (bit % 8));
    label[..=byte].copy_from_slice(&leaf[..=byte]);
    // The bit is turned over, those behind it are none.
    label[byte] = (label[byte] ^ mask) & !(mask - 1);
    label
}

/// Numbers by chance, the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn digest(&mut self) -> Digest {
        let mut digest = [0; 32];
        for bytes in digest.chunks_mut(8) {
            bytes.copy_from_slice(&self.next().to_le_bytes());
        }
        digest
    }
}
