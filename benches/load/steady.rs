//! A client that asks at a steady rate whatever the answers do (open loop), and checks every answer.
//!
//! `steady ADDRESS BYTES RATE CONNECTIONS SECONDS HOSTS [LOG]`. Requests fall due by a Poisson process of RATE per
//! second with a fixed seed, so both sides of a comparison meet the same arrivals. Latency counts from the moment a
//! request fell due and not from when a connection was free to take it: otherwise a proxy that stalls would be asked less
//! during the stall (coordinated omission), which is why `wrk` flatters it.
//!
//! An answer is right if it is 200 and holds the BYTES bytes of `origin`; everything else is a failure, a connection that
//! ends before its answer too. HOSTS is a file of host names, one a line, asked in turn. Prints one JSON object; LOG gets
//! `due-ns-since-epoch latency-ns ok` of every request. Latencies are in microseconds.

#[allow(dead_code)] // each program takes what it needs of it
mod epoll;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use epoll::{Epoll, READABLE};

/// How long answers may take after the last request fell due.
const PATIENCE: Duration = Duration::from_secs(5);

struct Arguments {
    address: SocketAddr,
    bytes: usize,
    rate: f64,
    connections: usize,
    duration: Duration,
    hosts: Vec<String>,
    log: Option<String>,
}

struct Connection {
    socket: TcpStream,
    /// When the request that is on its way fell due.
    due: Option<Instant>,
    answer: Vec<u8>,
    /// Where the body begins in `answer`.
    body: Option<usize>,
}

struct Outcome {
    due: Instant,
    latency: Duration,
    right: bool,
}

struct Client {
    arguments: Arguments,
    requests: Vec<Vec<u8>>,
    expected: Vec<u8>,
    epoll: Epoll,
    connections: Vec<Connection>,
    idle: VecDeque<usize>,
    outcomes: Vec<Outcome>,
    reasons: Vec<String>,
    asked: usize,
}

fn main() -> io::Result<()> {
    epoll::wake_in_time();
    let arguments = arguments();
    let (started, since_epoch) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    let log = arguments.log.clone();
    let rate = arguments.rate;
    let mut client = Client::connect(arguments)?;
    client.run()?;
    if let Some(log) = log {
        let mut text = String::new();
        for outcome in &client.outcomes {
            let due = since_epoch + (outcome.due - started);
            let _ = writeln!(text, "{} {} {}", due.as_nanos(), outcome.latency.as_nanos(), u8::from(outcome.right));
        }
        std::fs::write(log, text)?;
    }
    println!("{}", client.summary(rate));
    Ok(())
}

fn arguments() -> Arguments {
    let given: Vec<String> = std::env::args().collect();
    let usage = "usage: steady ADDRESS BYTES RATE CONNECTIONS SECONDS HOSTS [LOG]";
    assert!(given.len() == 7 || given.len() == 8, "{usage}");
    let hosts = std::fs::read_to_string(&given[6]).expect("the file of host names");
    Arguments {
        address: given[1].parse().expect(usage),
        bytes: given[2].parse().expect(usage),
        rate: given[3].parse().expect(usage),
        connections: given[4].parse().expect(usage),
        duration: Duration::from_secs_f64(given[5].parse().expect(usage)),
        hosts: hosts.lines().map(str::to_owned).collect(),
        log: given.get(7).cloned(),
    }
}

impl Client {
    fn connect(arguments: Arguments) -> io::Result<Self> {
        let requests = arguments
            .hosts
            .iter()
            .map(|host| {
                let path = format!("/bytes/{}", arguments.bytes);
                format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: steady\r\n\r\n").into_bytes()
            })
            .collect();
        let mut client = Self {
            requests,
            expected: (0..arguments.bytes).map(|position| (position % 251) as u8).collect(),
            epoll: Epoll::new()?,
            connections: Vec::new(),
            idle: (0..arguments.connections).collect(),
            outcomes: Vec::new(),
            reasons: Vec::new(),
            asked: 0,
            arguments,
        };
        for key in 0..client.arguments.connections {
            let connection = client.open(key)?;
            client.connections.push(connection);
        }
        Ok(client)
    }

    fn open(&self, key: usize) -> io::Result<Connection> {
        let socket = TcpStream::connect(self.arguments.address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        self.epoll.add(&socket, key, READABLE)?;
        Ok(Connection { socket, due: None, answer: Vec::new(), body: None })
    }

    fn run(&mut self) -> io::Result<()> {
        let begin = Instant::now();
        let end = begin + self.arguments.duration;
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = begin;
        let mut waiting: VecDeque<Instant> = VecDeque::new();
        let mut ready = Vec::new();
        loop {
            let now = Instant::now();
            while next <= now && next < end {
                waiting.push_back(next);
                next += gap(&mut random, self.arguments.rate);
            }
            while let (Some(&due), Some(&key)) = (waiting.front(), self.idle.front()) {
                waiting.pop_front();
                self.idle.pop_front();
                self.ask(key, due)?;
            }
            let at_work = self.idle.len() < self.connections.len() || !waiting.is_empty();
            if next >= end && (!at_work || now >= end + PATIENCE) {
                break;
            }
            let until = if next < end { next } else { end + PATIENCE };
            self.epoll.wait(Some(until.saturating_duration_since(Instant::now())), &mut ready)?;
            for &key in &ready {
                self.receive(key)?;
            }
        }
        let unanswered: Vec<Instant> = self.connections.iter().filter_map(|c| c.due).chain(waiting).collect();
        for due in unanswered {
            self.fail(due, "no answer in time".to_owned());
        }
        Ok(())
    }

    fn ask(&mut self, key: usize, due: Instant) -> io::Result<()> {
        let request = &self.requests[self.asked % self.requests.len()];
        self.asked += 1;
        let connection = &mut self.connections[key];
        connection.due = Some(due);
        // A request is far smaller than a socket's buffer, so it goes whole or the connection is dead.
        match connection.socket.write(request) {
            Ok(sent) if sent == request.len() => Ok(()),
            result => self.lost(key, &format!("the request was not taken: {result:?}")),
        }
    }

    fn receive(&mut self, key: usize) -> io::Result<()> {
        let connection = &mut self.connections[key];
        let mut chunk = [0; 128 << 10];
        let received = match connection.socket.read(&mut chunk) {
            Ok(0) => return self.lost(key, "the connection ended before its answer"),
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return self.lost(key, &format!("the connection broke: {error}")),
        };
        connection.answer.extend_from_slice(&chunk[..received]);
        if connection.body.is_none() {
            connection.body = connection.answer.windows(4).position(|four| four == b"\r\n\r\n").map(|end| end + 4);
        }
        let Some(body) = connection.body else { return Ok(()) };
        if !connection.answer.starts_with(b"HTTP/1.1 200 ") {
            let line = connection.answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
            let reason = format!("answered {}", String::from_utf8_lossy(line));
            return self.lost(key, &reason);
        }
        if connection.answer.len() < body + self.expected.len() {
            return Ok(());
        }
        if connection.answer[body..] != self.expected[..] {
            return self.lost(key, "the body is not the origin's");
        }
        connection.answer.clear();
        connection.body = None;
        if let Some(due) = connection.due.take() {
            self.outcomes.push(Outcome { due, latency: due.elapsed(), right: true });
            self.idle.push_back(key);
        }
        Ok(())
    }

    /// Counts the failure of whatever was on its way and opens the connection again.
    fn lost(&mut self, key: usize, reason: &str) -> io::Result<()> {
        if let Some(due) = self.connections[key].due.take() {
            self.fail(due, reason.to_owned());
            self.idle.push_back(key);
        }
        self.connections[key] = self.open(key)?;
        Ok(())
    }

    fn fail(&mut self, due: Instant, reason: String) {
        self.outcomes.push(Outcome { due, latency: due.elapsed(), right: false });
        if self.reasons.len() < 5 && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    fn summary(&self, rate: f64) -> String {
        let mut latencies: Vec<u64> =
            self.outcomes.iter().filter(|o| o.right).map(|o| o.latency.as_nanos() as u64).collect();
        latencies.sort_unstable();
        let at = |share: f64| {
            let index = ((latencies.len() as f64 * share) as usize).min(latencies.len().saturating_sub(1));
            latencies.get(index).map_or(0.0, |ns| *ns as f64 / 1000.0)
        };
        let reasons: Vec<String> = self.reasons.iter().map(|reason| format!("{reason:?}")).collect();
        format!(
            "{{\"rate\": {rate}, \"requests\": {}, \"failed\": {}, \"p50_us\": {:.1}, \"p90_us\": {:.1}, \
             \"p99_us\": {:.1}, \"p999_us\": {:.1}, \"max_us\": {:.1}, \"reasons\": [{}]}}",
            self.outcomes.len(),
            self.outcomes.len() - latencies.len(),
            at(0.50),
            at(0.90),
            at(0.99),
            at(0.999),
            at(1.0),
            reasons.join(", "),
        )
    }
}

/// Time to the next arrival of a Poisson process; xorshift64*, whose seed is the caller's.
fn gap(state: &mut u64, rate: f64) -> Duration {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    let uniform = (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64;
    Duration::from_secs_f64(-(1.0 - uniform).ln() / rate)
}
