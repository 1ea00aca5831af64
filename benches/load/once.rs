//! A client that sends each request of a batch once, over a few kept-alive connections, and says what was answered.
//!
//! `once ADDRESS CONNECTIONS` reads batches from its standard input until that ends. The requests of a batch are given out
//! to the connections as they become free; for each batch it prints one line of JSON with the status of each request, in
//! the order of the batch. An answer must say its length. A connection that the proxy closed while it was idle is opened
//! again.

mod batches;

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use batches::read_batch;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

struct Connection {
    address: SocketAddr,
    socket: Option<TcpStream>,
    answer: Vec<u8>,
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: once ADDRESS CONNECTIONS";
    let address = arguments.next().and_then(|text| text.parse().ok()).expect(usage);
    let count: usize = arguments.next().and_then(|text| text.parse().ok()).expect(usage);
    let mut connections: Vec<_> =
        (0..count).map(|_| Connection { address, socket: None, answer: Vec::new() }).collect();
    let mut input = BufReader::with_capacity(1 << 20, io::stdin());
    while let Some(batch) = read_batch(&mut input)? {
        println!("{:?}", ask(&mut connections, &batch)?);
    }
    Ok(())
}

fn ask(connections: &mut [Connection], batch: &[Vec<u8>]) -> io::Result<Vec<u16>> {
    let next = AtomicUsize::new(0);
    let answered = thread::scope(|scope| {
        let threads: Vec<_> = connections
            .iter_mut()
            .map(|connection| {
                let next = &next;
                scope.spawn(move || {
                    let mut statuses = Vec::new();
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(request) = batch.get(at) else { return io::Result::Ok(statuses) };
                        statuses.push((at, connection.ask(request)?));
                    }
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect::<io::Result<Vec<_>>>()
    })?;
    let mut statuses = vec![0; batch.len()];
    for (at, status) in answered.into_iter().flatten() {
        statuses[at] = status;
    }
    Ok(statuses)
}

impl Connection {
    fn ask(&mut self, request: &[u8]) -> io::Result<u16> {
        let is_kept = self.socket.is_some();
        match self.exchange(request) {
            Err(_) if is_kept && self.answer.is_empty() => {
                self.socket = None;
                self.exchange(request)
            }
            outcome => outcome,
        }
    }

    fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        self.answer.clear();
        let mut socket = match self.socket.take() {
            Some(socket) => socket,
            None => TcpStream::connect(self.address)?,
        };
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        // Who refuses a request by its head may close before the body is through: the answer is there all the same.
        let sent = socket.write_all(request);
        let mut chunk = [0; 16_384];
        let (status, end, closes) = loop {
            let received = socket.read(&mut chunk)?;
            if received == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.answer.extend_from_slice(&chunk[..received]);
            if let Some(head) = self.answer.windows(4).position(|four| four == b"\r\n\r\n") {
                let (status, length, closes) = read_head(&self.answer[..head])?;
                break (status, head + 4 + length, closes);
            }
        };
        while self.answer.len() < end {
            let received = socket.read(&mut chunk)?;
            if received == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.answer.extend_from_slice(&chunk[..received]);
        }
        if sent.is_ok() && !closes {
            self.socket = Some(socket);
        }
        Ok(status)
    }
}

/// Status, length of the body, and whether the connection ends with it.
fn read_head(head: &[u8]) -> io::Result<(u16, usize, bool)> {
    let wrong = |what: &str| io::Error::other(format!("{what}: {}", String::from_utf8_lossy(head)));
    let text = std::str::from_utf8(head).map_err(|_| wrong("an answer that is no text"))?;
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| wrong("no status"))?;
    let value = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(one, _)| one.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let length = value("content-length").and_then(|length| length.parse().ok());
    let closes = value("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    Ok((status, length.ok_or_else(|| wrong("an answer that does not say its length"))?, closes))
}
