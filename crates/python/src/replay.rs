//! A policy over recorded requests, many at once, with the GIL released.

use std::borrow::Cow;

use edge::replay::{Judged, Recorded, Replay, Unusable};
use fields::{Connection, FieldSet};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::edge::refused;
use crate::rules::{Handshake, address, moment};

/// A policy that judges recorded requests.
#[pyclass(module = "bartizan._native", frozen)]
pub struct PolicyReplay(Replay);

/// A recorded request, as Python describes it: an object with these attributes.
#[derive(FromPyObject)]
struct Recording {
    message: Vec<u8>,
    http2: bool,
    client_ip: String,
    client_port: u16,
    server_ip: String,
    server_port: u16,
    https: bool,
    tls: Option<Handshake>,
    http2_fingerprint: Option<String>,
    may_be_proxied: bool,
    received: f64,
    response: Option<Vec<u8>>,
    unknown: Vec<String>,
}

#[pymethods]
impl PolicyReplay {
    /// Compiles a policy document. Raises `PolicyRefused` where the edge would refuse it.
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "arguments from Python arrive by value")]
    fn new(py: Python<'_>, document: Vec<u8>) -> PyResult<Self> {
        py.detach(|| Replay::prepare(&document)).map(Self).map_err(|unusable| match unusable {
            Unusable::Refused(diagnostics) => refused(&diagnostics),
            Unusable::System(error) => PyOSError::new_err(error.to_string()),
        })
    }

    /// What the policy makes of each of the requests, as a JSON array.
    #[expect(clippy::needless_pass_by_value, reason = "arguments from Python arrive by value")]
    fn judge(&self, py: Python<'_>, requests: Vec<Recording>) -> PyResult<Cow<'static, [u8]>> {
        let judged: Result<Vec<Judged>, String> = py.detach(|| {
            let requests: Result<Vec<_>, _> = requests.iter().map(Recording::facts).collect();
            Ok(self.0.judge(&requests?))
        });
        let judged = judged.map_err(PyValueError::new_err)?;
        serde_json::to_vec(&judged).map(Cow::Owned).map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }
}

impl Recording {
    fn facts(&self) -> Result<Recorded<'_>, String> {
        let connection = Connection {
            client_ip: address("client_ip", &self.client_ip)?,
            client_port: self.client_port,
            server_ip: address("server_ip", &self.server_ip)?,
            server_port: self.server_port,
            tls: self.tls.as_ref().map(Handshake::facts).transpose()?,
            http2_fingerprint: self.http2_fingerprint.clone(),
            scheme_https: self.https,
        };
        let field = |name: &String| fields::by_name(name).ok_or_else(|| format!("there is no field {name:?}"));
        Ok(Recorded {
            message: &self.message,
            http2: self.http2,
            connection,
            may_be_proxied: self.may_be_proxied,
            received: moment(self.received)?,
            response: self.response.as_deref(),
            unknown: self.unknown.iter().map(field).collect::<Result<FieldSet, String>>()?,
        })
    }
}
