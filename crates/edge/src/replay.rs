//! A policy over recorded requests, without an edge: no socket is opened, no name resolved, nothing sent and nothing written.
//!
//! The judgement is that of the edge, by the same exchange ([`crate::exchange::replay`]). What the recording does not hold is
//! not guessed: the caller says which fields those are, and each rule that reads one of them is told with the verdict.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use fields::{Connection, FieldSet};
use http1::{Content, Framing, Known, Refusal, RequestHead, RequestParser};
use serde::Serialize;

use crate::exchange::{Client, RecordedBody, Replayed, Response, replay};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::origin::{Origins, Pool, PoolLimits};
use crate::policy::{self, Diagnostic, Policy};
use crate::pseudonym::Pseudonyms;
use crate::ray::{RayKey, Rays};
use crate::tcp_info::Meter;
use crate::tls::{Acceptor, CertificateStore};
use crate::worker::{Shared, Worker};

/// A recorded request.
#[derive(Debug)]
pub struct Recorded<'r> {
    /// As HTTP/1.1.
    pub message: &'r [u8],
    /// Whether it came over HTTP/2.
    pub http2: bool,
    /// The connection on which it came, as far as it is known.
    pub connection: Connection,
    /// Whether the address of the connection may be that of a proxy, which names the client if the policy trusts it.
    pub may_be_proxied: bool,
    /// When it came.
    pub received: SystemTime,
    /// What the origin answered, as HTTP/1.1.
    pub response: Option<&'r [u8]>,
    /// The fields that are not known.
    pub unknown: FieldSet,
}

/// What comes of a recorded request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Judged {
    /// What the policy makes of it.
    Replayed(Box<Replayed>),
    /// The edge refuses it before any rule sees it.
    Refused {
        /// The status that it answers.
        status: u16,
        /// Its name in metrics.
        name: &'static str,
        /// Why, in words.
        reason: String,
    },
    /// It is no recording of a request, and why.
    Unreadable(String),
}

/// A policy that judges recorded requests.
pub struct Replay {
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay").field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// Why a policy cannot judge.
#[derive(Debug)]
pub enum Unusable {
    /// The edge would refuse it.
    Refused(Vec<Diagnostic>),
    /// What it takes cannot be made.
    System(std::io::Error),
}

impl From<std::io::Error> for Unusable {
    fn from(error: std::io::Error) -> Self {
        Self::System(error)
    }
}

impl Replay {
    /// Compiles a policy document, and reads the databases of addresses that it names.
    pub fn prepare(document: &[u8]) -> Result<Self, Unusable> {
        let (policy, _) = Policy::compile(document, None).map_err(Unusable::Refused)?;
        let live = Live::offline(policy, &Origins::unreached()?).map_err(Unusable::Refused)?;
        let tls = Acceptor::new(Arc::new(CertificateStore::new())).map_err(std::io::Error::other)?;
        let metrics = Metrics::new(1);
        let live = policy::Shared::new(Arc::new(live))?;
        let shared = Shared::new(live, tls, Arc::clone(&metrics), Pseudonyms::open(None)?, None, None);
        Ok(Self { shared: Arc::new(shared), metrics })
    }

    /// What the policy makes of each of the requests, in their order: what rule sets remember of one is there for the next.
    pub fn judge(&self, requests: &[Recorded<'_>]) -> Vec<Judged> {
        let pool = Pool::new(PoolLimits::default());
        let rays = Rays::new(RayKey::random(), 0, 1);
        let worker = Worker::new(Arc::clone(&self.shared), pool, self.metrics.control(), None, rays, 0);
        requests.iter().map(|request| Self::judge_one(&worker, request)).collect()
    }

    fn judge_one(worker: &Rc<Worker>, request: &Recorded<'_>) -> Judged {
        let (limits, trusted) = {
            let live = worker.shared.live.load();
            (live.http1_limits, request.may_be_proxied && live.trusts(request.connection.client_ip))
        };
        let (head, end) = match RequestParser::new(limits).parse(request.message) {
            Err(refusal) => return refused(refusal),
            Ok(None) => {
                return Judged::Unreadable("it has no end: an empty line follows the headers of a request".to_owned());
            }
            Ok(Some(parsed)) => parsed,
        };
        let mut body = RecordedBody::new(head.framing(), &request.message[end..], &limits);
        let head = match request.http2.then(|| over_http2(&head, request.connection.scheme_https)).transpose() {
            Err(refusal) => return refused(refusal),
            Ok(over_http2) => over_http2.unwrap_or(head),
        };
        let response = request.response.map(|message| Response::read(message, head.method(), &limits)).transpose();
        let response = match response {
            Err(refusal) => return Judged::Unreadable(format!("the edge refuses its response: {refusal}")),
            Ok(Some(None)) => {
                return Judged::Unreadable("its response has no end: an empty line follows its headers".to_owned());
            }
            Ok(response) => response.flatten(),
        };
        let client = Client {
            worker: Rc::clone(worker),
            connection: request.connection.clone(),
            meter: Rc::new(Meter::closed()),
            local: SocketAddr::new(request.connection.server_ip, request.connection.server_port),
            address: request.connection.client_ip.to_canonical().to_string(),
            trusted,
            limits,
            rtt_ms: None,
            located: RefCell::default(),
        };
        let timer = worker.timers.register();
        let replayed = replay(&client, &timer, request.received, &head, &mut body, response, request.unknown);
        if replayed.outcome == "client_gone" {
            return Judged::Unreadable("it ends before its body does".to_owned());
        }
        Judged::Replayed(Box::new(replayed))
    }
}

fn refused(refusal: Refusal) -> Judged {
    Judged::Refused { status: refusal.status(), name: refusal.name(), reason: refusal.to_string() }
}

/// The same head as an HTTP/2 client would send it.
pub fn over_http2(head: &RequestHead, is_https: bool) -> Result<RequestHead, Refusal> {
    let mut builder = RequestHead::builder();
    builder.method(head.method())?;
    builder.scheme(if is_https { b"https" } else { b"http" })?;
    builder.authority(head.host())?;
    builder.path(head.path_and_query())?;
    for line in head.headers().end_to_end().filter(|line| line.known != Known::Host) {
        let name = head.headers().name(line).to_ascii_lowercase();
        builder.header(&name, head.headers().value(line))?;
    }
    let content = if head.framing() == Framing::None { Content::Absent } else { Content::Follows };
    builder.finish(content)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use fields::FieldId;
    use serde_json::json;

    use super::*;

    fn recorded<'r>(message: &'r [u8], response: Option<&'r [u8]>) -> Recorded<'r> {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Recorded {
            message,
            http2: false,
            connection: Connection {
                client_ip: address,
                client_port: 0,
                server_ip: address,
                server_port: 80,
                tls: None,
                http2_fingerprint: None,
                scheme_https: false,
            },
            may_be_proxied: true,
            received: SystemTime::UNIX_EPOCH + Duration::from_secs(1_709_210_096),
            response,
            unknown: [FieldId::IpSource].into_iter().collect(),
        }
    }

    fn policy() -> Replay {
        let rule = |id: u32, expression: &str, action: &str| json!({"id": format!("{id:032x}"), "expression": expression, "action": action});
        let document = json!({
            "format": 1, "version": 1,
            "edge": {"listen": [{"address": "127.0.0.1:0"}], "spool": {"dir": "unused"}, "trusted_proxies": ["127.0.0.1"]},
            "zones": [{
                "name": "shop", "hosts": ["shop.test"],
                "origin": {"servers": [{"url": "http://nobody.invalid"}]},
                "phases": {"http_request_firewall_custom": [
                    rule(1, "ip.src eq 192.0.2.7", "block"),
                    rule(2, "http.request.body.raw contains \"attack\"", "block"),
                ]}
            }]
        });
        Replay::prepare(&serde_json::to_vec(&document).unwrap()).unwrap()
    }

    fn replayed(judged: &Judged) -> (&'static str, Option<u16>, Vec<&str>) {
        let Judged::Replayed(replayed) = judged else { panic!("{judged:?}") };
        let undecided = replayed.undecided.iter().map(|rule| &*rule.id).collect();
        (replayed.outcome, replayed.status, undecided)
    }

    #[test]
    fn a_recorded_request_is_judged_by_its_head_its_body_and_the_proxy_that_it_came_through() {
        let chunked = b"POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\natt\r\n3\r\nack\r\n0\r\n\r\n";
        let proxied = b"GET / HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
        let plain = b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n";
        let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
        let judged = policy().judge(&[
            recorded(chunked, None),
            recorded(proxied, None),
            recorded(plain, None),
            recorded(plain, Some(answer)),
            recorded(b"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n", None),
        ]);
        let first = "00000000000000000000000000000001";
        let said: Vec<_> = judged.iter().map(replayed).collect();
        assert_eq!(
            said,
            [
                ("blocked", Some(403), vec![first]),
                ("blocked", Some(403), vec![first]),
                ("ok", None, vec![first]),
                ("ok", Some(204), vec![first]),
                ("unknown_host", Some(404), vec![]),
            ]
        );
    }

    #[test]
    fn what_is_no_request_has_no_verdict() {
        let long = b"POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 9\r\n\r\nshort";
        let plain = b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n";
        let judged = policy().judge(&[
            recorded(b"GET / HT", None),
            recorded(long, None),
            recorded(plain, Some(b"HTTP/1.1 200")),
        ]);
        assert!(judged.iter().all(|judged| matches!(judged, Judged::Unreadable(_))), "{judged:?}");
        let refused = policy().judge(&[recorded(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", None)]);
        assert!(matches!(&refused[..], [Judged::Refused { status: 400, .. }]), "{refused:?}");
    }
}
