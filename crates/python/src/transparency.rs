//! Key transparency for Python: proofs of epochs, signatures of auditors, a key directory and what its clients verify.
//!
//! The GIL is released while a proof is read or verified. A verification runs on threads of its own; the one that called
//! tells how far it is and notices signals.

#![expect(clippy::needless_pass_by_value, reason = "what comes from Python is owned")]

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ::transparency::client::{self, AnswerRefusal, Version};
use ::transparency::directory::{Answer, Directory, DirectoryRefusal, Epoch};
use ::transparency::signature::{self, Ciphersuite, SignatureRefusal, SigningKey, Statement};
use ::transparency::{Configuration, Decoder, Digest, Name, Progress, Proof, Refusal, Roots};
use pyo3::create_exception;
use pyo3::exceptions::{PyKeyError, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

create_exception!(
    bartizan._native,
    AuditProofRefused,
    PyValueError,
    "A proof is refused; its arguments are the check, a sentence, and the offset in the proof or None."
);

create_exception!(
    bartizan._native,
    StatementRefused,
    PyValueError,
    "A signature is refused; its arguments are the check and a sentence."
);

create_exception!(
    bartizan._native,
    DirectoryAnswerRefused,
    PyValueError,
    "An answer of a key directory is refused; its arguments are the check and a sentence."
);

/// How often a verification is looked after.
const LOOKS: Duration = Duration::from_millis(100);

/// Every check of what an auditor or a client verifies: what is checked, the name of the check, what it asks.
#[pyfunction]
pub fn transparency_checks_table() -> Vec<(&'static str, &'static str, &'static str)> {
    of("proof", &::transparency::CHECKS)
        .chain(of("signature", &signature::CHECKS))
        .chain(of("answer", &client::CHECKS))
        .collect()
}

fn of(
    kind: &'static str,
    checks: &'static [(&'static str, &'static str)],
) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    checks.iter().map(move |(check, asks)| (kind, *check, *asks))
}

/// Epoch, previous and current root hash of the name of a proof. Raises `AuditProofRefused`.
#[pyfunction]
pub fn parse_audit_proof_name<'py>(
    py: Python<'py>,
    name: &str,
) -> PyResult<(u64, Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let Name { epoch, previous, current } = name.parse::<Name>().map_err(refused)?;
    Ok((epoch, PyBytes::new(py, &previous), PyBytes::new(py, &current)))
}

/// The proof that leads from one epoch to the next.
#[pyclass(frozen, module = "bartizan._native")]
pub struct AuditProof {
    proof: Proof,
}

#[pymethods]
impl AuditProof {
    /// Reads the whole bytes of a proof.
    #[staticmethod]
    fn decode(py: Python<'_>, data: &[u8]) -> PyResult<Self> {
        let proof = py.detach(|| Proof::decode(data)).map_err(refused)?;
        Ok(Self { proof })
    }

    /// How many leaves the epoch added.
    #[getter]
    fn inserted(&self) -> usize {
        self.proof.inserted().len()
    }

    /// How many nodes it left as they were.
    #[getter]
    fn unchanged(&self) -> usize {
        self.proof.unchanged().len()
    }

    /// The root hashes before and after, if the proof leads to `epoch`.
    #[pyo3(signature = (epoch, *, configuration="whatsapp_v1", domain=None, threads=1, progress=None))]
    fn roots<'py>(
        &self,
        py: Python<'py>,
        epoch: u64,
        configuration: &str,
        domain: Option<Vec<u8>>,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let configuration = configuration_of(configuration, domain)?;
        let made = self.looked_after(py, progress.as_ref(), |progress| {
            self.proof.roots(&configuration, epoch, threads, progress)
        })?;
        let Roots { start, end } = made.map_err(refused)?;
        Ok((PyBytes::new(py, &start), PyBytes::new(py, &end)))
    }

    /// Checks that the proof leads from one root hash to the next, in `epoch`, the later of the two.
    #[pyo3(signature = (epoch, start_hash, end_hash, *, configuration="whatsapp_v1", domain=None, threads=1, progress=None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn verify(
        &self,
        py: Python<'_>,
        epoch: u64,
        start_hash: &[u8],
        end_hash: &[u8],
        configuration: &str,
        domain: Option<Vec<u8>>,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let configuration = configuration_of(configuration, domain)?;
        let expected = Roots { start: hash("start_hash", start_hash)?, end: hash("end_hash", end_hash)? };
        let verified = self.looked_after(py, progress.as_ref(), |progress| {
            self.proof.verify(&configuration, epoch, &expected, threads, progress)
        })?;
        verified.map_err(refused)
    }
}

impl AuditProof {
    /// Does work on a thread, tells `told` how far it is, and ends it where that or a signal raises.
    fn looked_after<T: Send>(
        &self,
        py: Python<'_>,
        told: Option<&Py<PyAny>>,
        work: impl FnOnce(&Progress) -> T + Send,
    ) -> PyResult<T> {
        let total = (self.proof.inserted().len() + self.proof.unchanged().len()) as u64;
        let progress = &Progress::default();
        let look = || {
            Python::attach(|py| {
                py.check_signals()?;
                told.map_or(Ok(()), |told| told.call1(py, (progress.done(), total)).map(drop))
            })
        };
        py.detach(|| {
            thread::scope(|scope| {
                let (ends, ended) = channel::<()>();
                let worker = scope.spawn(move || {
                    let made = work(progress);
                    drop(ends);
                    made
                });
                while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(LOOKS) {
                    if let Err(raised) = look() {
                        progress.cancel();
                        return Err(raised);
                    }
                }
                let made = worker.join().map_err(|_| PyRuntimeError::new_err("the verification died"))?;
                look().map(|()| made)
            })
        })
    }
}

/// Reads a proof as its bytes come.
#[pyclass(frozen, module = "bartizan._native")]
pub struct AuditProofDecoder {
    decoder: Mutex<Option<Decoder>>,
}

#[pymethods]
impl AuditProofDecoder {
    #[new]
    fn new() -> Self {
        Self { decoder: Mutex::new(Some(Decoder::default())) }
    }

    /// Takes the next bytes.
    fn feed(&self, py: Python<'_>, data: &[u8]) -> PyResult<()> {
        let fed = py.detach(|| {
            self.decoder.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(|decoder| decoder.feed(data))
        });
        fed.ok_or_else(finished)?.map_err(refused)
    }

    /// The proof, if the bytes ended where they may.
    fn finish(&self, py: Python<'_>) -> PyResult<AuditProof> {
        let decoder = self.decoder.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(finished)?;
        let proof = py.detach(|| decoder.finish()).map_err(refused)?;
        Ok(AuditProof { proof })
    }
}

fn finished() -> PyErr {
    PyValueError::new_err("this proof is finished; use a new AuditProofDecoder for each")
}

/// The secret of an auditor.
#[pyclass(frozen, module = "bartizan._native")]
pub struct AuditorKey {
    key: SigningKey,
}

#[pymethods]
impl AuditorKey {
    /// A new key of the system's randomness.
    #[staticmethod]
    fn generate() -> PyResult<Self> {
        let key = SigningKey::generate().ok_or_else(|| PyOSError::new_err("the system has no randomness"))?;
        Ok(Self { key })
    }

    /// The key of 32 secret bytes.
    #[staticmethod]
    fn from_seed(seed: &[u8]) -> PyResult<Self> {
        Ok(Self { key: SigningKey::from_seed(&hash("seed", seed)?) })
    }

    /// The 32 secret bytes, to be kept where nobody else reads.
    fn seed<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.key.seed())
    }

    /// What others verify with.
    #[getter]
    fn public_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.key.public_key())
    }

    /// What Plexi calls it: the last byte of the public key.
    #[getter]
    fn key_id(&self) -> u8 {
        signature::key_id(&self.key.public_key())
    }

    /// The signature over a statement.
    fn sign<'py>(
        &self,
        py: Python<'py>,
        ciphersuite: u32,
        namespace: &str,
        timestamp: u64,
        epoch: u64,
        digest: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        let statement = statement(ciphersuite, namespace, timestamp, epoch, digest)?;
        Ok(PyBytes::new(py, &self.key.sign(&statement)))
    }

    fn __repr__(&self) -> String {
        format!("AuditorKey(public_key={})", ::transparency::hexadecimal(&self.key.public_key()))
    }
}

/// The bytes that an auditor signs.
#[pyfunction]
pub fn statement_bytes<'py>(
    py: Python<'py>,
    ciphersuite: u32,
    namespace: &str,
    timestamp: u64,
    epoch: u64,
    digest: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &statement(ciphersuite, namespace, timestamp, epoch, digest)?.bytes()))
}

/// Checks that a signature is by a key over a statement. Raises `StatementRefused`.
#[pyfunction]
pub fn verify_statement(
    public_key: &[u8],
    signature: &[u8],
    ciphersuite: u32,
    namespace: &str,
    timestamp: u64,
    epoch: u64,
    digest: &[u8],
) -> PyResult<()> {
    let statement = statement(ciphersuite, namespace, timestamp, epoch, digest)?;
    statement.verify(public_key, signature).map_err(unsigned)
}

fn statement<'a>(
    ciphersuite: u32,
    namespace: &'a str,
    timestamp: u64,
    epoch: u64,
    digest: &'a [u8],
) -> PyResult<Statement<'a>> {
    let ciphersuite = Ciphersuite::by_number(ciphersuite).map_err(unsigned)?;
    Ok(Statement { ciphersuite, namespace, timestamp, epoch, digest })
}

fn unsigned(refusal: SignatureRefusal) -> PyErr {
    StatementRefused::new_err((refusal.check(), refusal.to_string()))
}

/// An epoch and its root hash.
type EpochAndRoot<'py> = (u64, Bound<'py, PyBytes>);
/// A proof with the epoch that it is of, and its root hash.
type ProofOfEpoch<'py> = (Bound<'py, PyBytes>, u64, Bound<'py, PyBytes>);

/// A key directory, in memory. Threads take turns.
#[pyclass(frozen, module = "bartizan._native")]
pub struct KeyDirectory {
    directory: Mutex<Directory>,
}

#[pymethods]
impl KeyDirectory {
    /// An empty directory with a secret key of 32 bytes.
    #[new]
    fn new(key: &[u8]) -> PyResult<Self> {
        let directory = Directory::new(&hash("key", key)?).map_err(unanswered)?;
        Ok(Self { directory: Mutex::new(directory) })
    }

    /// What clients verify answers with.
    #[getter]
    fn public_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.with(py, |directory| directory.public_key()))
    }

    /// The latest epoch and its root hash.
    #[getter]
    fn epoch<'py>(&self, py: Python<'py>) -> EpochAndRoot<'py> {
        epoch_and_root(py, self.with(py, |directory| directory.epoch()))
    }

    /// The root hash of an epoch.
    fn root<'py>(&self, py: Python<'py>, epoch: u64) -> PyResult<Bound<'py, PyBytes>> {
        let root = self.with(py, |directory| directory.root(epoch)).map_err(unanswered)?;
        Ok(PyBytes::new(py, &root))
    }

    /// Publishes labels with their values as the next epoch.
    fn publish<'py>(&self, py: Python<'py>, updates: Vec<(Vec<u8>, Vec<u8>)>) -> PyResult<EpochAndRoot<'py>> {
        let epoch = self.with(py, |directory| directory.publish(updates)).map_err(unanswered)?;
        Ok(epoch_and_root(py, epoch))
    }

    /// The proof of the value that a label has now.
    fn lookup<'py>(&self, py: Python<'py>, label: &[u8]) -> PyResult<ProofOfEpoch<'py>> {
        let answer = self.with(py, |directory| directory.lookup(label)).map_err(unanswered)?;
        Ok(proof_of_epoch(py, &answer))
    }

    /// The proof of the latest values that a label had, as many as `most` or all.
    #[pyo3(signature = (label, most=None))]
    fn history<'py>(&self, py: Python<'py>, label: &[u8], most: Option<usize>) -> PyResult<ProofOfEpoch<'py>> {
        let answer = self.with(py, |directory| directory.history(label, most)).map_err(unanswered)?;
        Ok(proof_of_epoch(py, &answer))
    }

    /// Name and bytes of the proof that leads to an epoch from the one before.
    fn audit<'py>(&self, py: Python<'py>, epoch: u64) -> PyResult<(String, Bound<'py, PyBytes>)> {
        let (name, proof) = self.with(py, |directory| directory.audit(epoch)).map_err(unanswered)?;
        Ok((name.to_string(), PyBytes::new(py, &proof)))
    }
}

impl KeyDirectory {
    fn with<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut Directory) -> T + Send) -> T {
        py.detach(|| work(&mut self.directory.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Version, epoch and value that a directory had for a label. Raises `DirectoryAnswerRefused`.
#[pyfunction]
pub fn verify_lookup<'py>(
    py: Python<'py>,
    public_key: &[u8],
    epoch: u64,
    root: &[u8],
    label: &[u8],
    proof: &[u8],
) -> PyResult<(u64, u64, Bound<'py, PyBytes>)> {
    let (public_key, epoch) = (hash("public_key", public_key)?, Epoch { number: epoch, root: hash("root", root)? });
    let found = py.detach(|| client::verify_lookup(&public_key, &epoch, label, proof)).map_err(disbelieved)?;
    Ok(version(py, &found))
}

/// Versions, epochs and values that a directory had for a label, the latest first. Raises `DirectoryAnswerRefused`.
#[pyfunction]
#[pyo3(signature = (public_key, epoch, root, label, proof, most=None))]
pub fn verify_history<'py>(
    py: Python<'py>,
    public_key: &[u8],
    epoch: u64,
    root: &[u8],
    label: &[u8],
    proof: &[u8],
    most: Option<usize>,
) -> PyResult<Vec<(u64, u64, Bound<'py, PyBytes>)>> {
    let (public_key, epoch) = (hash("public_key", public_key)?, Epoch { number: epoch, root: hash("root", root)? });
    let found = py.detach(|| client::verify_history(&public_key, &epoch, label, proof, most)).map_err(disbelieved)?;
    Ok(found.iter().map(|found| version(py, found)).collect())
}

fn version<'py>(py: Python<'py>, found: &Version) -> (u64, u64, Bound<'py, PyBytes>) {
    (found.version, found.epoch, PyBytes::new(py, &found.value))
}

fn epoch_and_root(py: Python<'_>, epoch: Epoch) -> EpochAndRoot<'_> {
    (epoch.number, PyBytes::new(py, &epoch.root))
}

fn proof_of_epoch<'py>(py: Python<'py>, answer: &Answer) -> ProofOfEpoch<'py> {
    (PyBytes::new(py, &answer.proof), answer.epoch.number, PyBytes::new(py, &answer.epoch.root))
}

fn disbelieved(refusal: AnswerRefusal) -> PyErr {
    DirectoryAnswerRefused::new_err((refusal.check, refusal.why))
}

fn unanswered(refusal: DirectoryRefusal) -> PyErr {
    let sentence = refusal.to_string();
    match refusal {
        DirectoryRefusal::UnknownLabel(_) => PyKeyError::new_err(sentence),
        DirectoryRefusal::LabelTwice(_) | DirectoryRefusal::NoEpoch { .. } => PyValueError::new_err(sentence),
        DirectoryRefusal::Inside(_) => PyRuntimeError::new_err(sentence),
    }
}

fn configuration_of(name: &str, domain: Option<Vec<u8>>) -> PyResult<Configuration> {
    match (name, domain) {
        ("whatsapp_v1", None) => Ok(Configuration::WhatsAppV1),
        ("whatsapp_v1", Some(_)) => Err(PyValueError::new_err("configuration whatsapp_v1 has no domain; leave it out")),
        ("experimental", Some(domain)) => Ok(Configuration::Experimental { domain }),
        ("experimental", None) => Err(PyValueError::new_err("configuration experimental needs the directory's domain")),
        _ => Err(PyValueError::new_err(format!(
            "there is no configuration {name:?}; use \"whatsapp_v1\" or \"experimental\""
        ))),
    }
}

fn hash(what: &str, bytes: &[u8]) -> PyResult<Digest> {
    bytes.try_into().map_err(|_| PyValueError::new_err(format!("{what} has {} bytes, not 32", bytes.len())))
}

fn refused(refusal: Refusal) -> PyErr {
    AuditProofRefused::new_err((refusal.check(), refusal.to_string(), refusal.offset()))
}
