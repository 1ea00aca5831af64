//! The data plane as a Python object.
//!
//! Its threads never touch Python. Every call that waits releases the GIL first; the one that blocks for good looks for
//! signals ten times a second.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use edge::service::{Edge as Service, Inherited, Options, StartError};
use pyo3::create_exception;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::descriptors::{given, taken};

create_exception!(
    bartizan._native,
    PolicyRefused,
    PyValueError,
    "A policy was refused; the first argument is the text for people, the second the diagnostics as JSON bytes."
);

/// Whether an edge runs in this process.
static RUNNING: AtomicBool = AtomicBool::new(false);
const SIGNALS_EVERY: Duration = Duration::from_millis(100);

/// The data plane. One may run in a process at a time.
#[pyclass(module = "bartizan._native", frozen)]
pub struct Edge {
    options: Options,
    pid: u32,
    running: Mutex<Option<Arc<Service>>>,
    stopped: Condvar,
    /// Whether another process was given what it needs to take this one's place.
    handed_over: AtomicBool,
}

/// What Python is told of a policy that is refused.
pub fn refused(diagnostics: &[edge::policy::Diagnostic]) -> PyErr {
    let text: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
    match serde_json::to_vec(diagnostics) {
        Ok(json) => PolicyRefused::new_err((text.join("\n"), json)),
        Err(error) => PyRuntimeError::new_err(error.to_string()),
    }
}

fn json<'py, T: serde::Serialize>(py: Python<'py>, value: &T) -> PyResult<Bound<'py, PyBytes>> {
    let bytes = serde_json::to_vec(value).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    Ok(PyBytes::new(py, &bytes))
}

impl Edge {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<Service>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own(&self) -> PyResult<()> {
        if self.pid == std::process::id() {
            return Ok(());
        }
        let pid = self.pid;
        Err(PyRuntimeError::new_err(format!(
            "this edge belongs to process {pid}, which forked: its threads are there; make a new Edge after the fork"
        )))
    }

    fn service(&self) -> PyResult<Arc<Service>> {
        self.own()?;
        self.lock()
            .clone()
            .ok_or_else(|| PyRuntimeError::new_err("this edge is not running; call start() or serve() first"))
    }

    fn stop(&self, grace: Duration) {
        let Some(service) = self.lock().clone() else { return };
        if self.handed_over.load(Ordering::Acquire) {
            service.leave(grace);
        } else {
            service.shutdown(grace);
        }
        // Only now is it gone: who waits must not go on while requests are still served and events written.
        let mut running = self.lock();
        if running.as_ref().is_some_and(|other| Arc::ptr_eq(other, &service)) {
            *running = None;
            RUNNING.store(false, Ordering::Release);
        }
        drop(running);
        self.stopped.notify_all();
    }
}

#[pymethods]
impl Edge {
    /// `options` is a JSON object: `acme_challenges`, `events` (`spool`, `off`), `sticky_key`, `address_key` (files, made where
    /// they are missing), `audit_logs` (a folder).
    #[new]
    fn new(options: &[u8]) -> PyResult<Self> {
        let options = serde_json::from_slice(options)
            .map_err(|error| PyValueError::new_err(format!("the options of the edge cannot be read: {error}")))?;
        Ok(Self {
            options,
            pid: std::process::id(),
            running: Mutex::new(None),
            stopped: Condvar::new(),
            handed_over: AtomicBool::new(false),
        })
    }

    /// Compiles the policy, binds its addresses and starts the threads. `sockets` and `spool_lock` are descriptors that
    /// another edge handed over.
    #[pyo3(signature = (policy, sockets=None, spool_lock=None))]
    fn start(&self, py: Python<'_>, policy: &[u8], sockets: Option<Vec<i32>>, spool_lock: Option<i32>) -> PyResult<()> {
        let inherited = Inherited {
            sockets: sockets.into_iter().flatten().map(|number| taken(number).into()).collect(),
            spool_lock: spool_lock.map(|number| taken(number).into()),
        };
        self.own()?;
        if RUNNING.swap(true, Ordering::AcqRel) {
            return Err(PyRuntimeError::new_err(
                "an edge runs in this process already; stop it with shutdown(), or run this one in another process",
            ));
        }
        let started = py.detach(|| Service::take_over(&self.options, policy, inherited));
        match started {
            Ok(service) => {
                *self.lock() = Some(Arc::new(service));
                Ok(())
            }
            Err(error) => {
                RUNNING.store(false, Ordering::Release);
                Err(match error {
                    StartError::Policy(diagnostics) => refused(&diagnostics),
                    StartError::Bind(_) | StartError::Spool(_) | StartError::System(_) => {
                        PyOSError::new_err(error.to_string())
                    }
                    StartError::Tls(_) => PyRuntimeError::new_err(error.to_string()),
                })
            }
        }
    }

    /// Starts and blocks as `wait` does.
    fn serve(&self, py: Python<'_>, policy: &[u8]) -> PyResult<()> {
        self.start(py, policy, None, None)?;
        self.wait(py)
    }

    /// Blocks until `shutdown()` or a signal; a signal's exception is raised after the drain.
    fn wait(&self, py: Python<'_>) -> PyResult<()> {
        self.own()?;
        loop {
            let over = py.detach(|| {
                let running = self.lock();
                let (running, _) =
                    self.stopped.wait_timeout(running, SIGNALS_EVERY).unwrap_or_else(PoisonError::into_inner);
                running.as_ref().map_or(Some(true), |service| service.is_broken().then_some(false))
            });
            if let Err(signal) = py.check_signals() {
                self.shutdown(py, None)?;
                return Err(signal);
            }
            match over {
                None => {}
                Some(true) => return Ok(()),
                Some(false) => {
                    self.shutdown(py, Some(0.0))?;
                    return Err(PyRuntimeError::new_err(
                        "a thread of the edge has ended by itself; see the lines above",
                    ));
                }
            }
        }
    }

    /// Descriptors for another edge: of the listening sockets, and of the spool's lock. This one serves on.
    fn hand_over(&self, py: Python<'_>) -> PyResult<(Vec<i32>, Option<i32>)> {
        let service = self.service()?;
        let inherited = py.detach(|| service.hand_over())?;
        self.handed_over.store(true, Ordering::Release);
        Ok((inherited.sockets.into_iter().map(given).collect(), inherited.spool_lock.map(given)))
    }

    /// Goes on as if nothing had been handed over.
    fn stay(&self, py: Python<'_>) -> PyResult<()> {
        let service = self.service()?;
        self.handed_over.store(false, Ordering::Release);
        Ok(py.detach(|| service.stay())?)
    }

    /// Puts a policy into effect; the report as JSON.
    fn apply<'py>(&self, py: Python<'py>, policy: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let service = self.service()?;
        let report = py.detach(|| service.apply(policy)).map_err(|diagnostics| refused(&diagnostics))?;
        json(py, &report)
    }

    /// The status as JSON.
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let service = self.service()?;
        json(py, &py.detach(|| service.status()))
    }

    /// The metrics in Prometheus' text format.
    fn metrics(&self, py: Python<'_>) -> PyResult<String> {
        let service = self.service()?;
        Ok(py.detach(|| service.metrics()))
    }

    /// The bound addresses; the flag: TLS.
    fn listening(&self) -> PyResult<Vec<(String, bool)>> {
        let service = self.service()?;
        Ok(service.listening().iter().map(|(address, tls)| (address.to_string(), *tls)).collect())
    }

    /// Reads certificates again that changed on disk: how many did, and what is wrong with others.
    fn reload_certificates(&self, py: Python<'_>) -> PyResult<(usize, Vec<String>)> {
        let service = self.service()?;
        Ok(py.detach(|| service.reload_certificates()))
    }

    /// Drains for at most `grace_s` seconds (the policy's `drain_timeout_ms` if none) and stops. Does nothing if not running.
    #[pyo3(signature = (grace_s=None))]
    fn shutdown(&self, py: Python<'_>, grace_s: Option<f64>) -> PyResult<()> {
        self.own()?;
        let grace = match grace_s {
            None => self.lock().as_ref().map_or(Duration::ZERO, |service| service.drain_timeout()),
            Some(seconds) => Duration::try_from_secs_f64(seconds)
                .map_err(|_| PyValueError::new_err(format!("grace_s must be 0 or more seconds, not {seconds}")))?,
        };
        py.detach(|| self.stop(grace));
        Ok(())
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(service) = running else { return };
        if self.pid == std::process::id() {
            service.shutdown(Duration::ZERO);
            drop(service);
            RUNNING.store(false, Ordering::Release);
        } else {
            // In a forked child the threads do not exist: waiting for them would hang.
            std::mem::forget(service);
        }
    }
}
