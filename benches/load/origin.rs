//! The origin of the benches: one thread, keep-alive, answers made once. `origin 127.0.0.1:8001` serves until killed.
//!
//! `GET /bytes/N` is answered with N bytes that depend on their position only, so that a client can check them without
//! having asked before; any other path with 404, once the body that its `Content-Length` announces is read. A request to
//! upgrade gets 101 and then nothing: a tunnel that stays open. It understands no more of HTTP/1.1 (RFC 9112) than that,
//! because whatever it does takes time from the client on the same core, and the proxy between them has to be what is
//! slow.

#[allow(dead_code)] // each program takes what it needs of it
mod epoll;

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

use epoll::{Epoll, READABLE, WRITABLE};

const LISTENER: usize = usize::MAX;

struct Connection {
    socket: TcpStream,
    incoming: Vec<u8>,
    /// What the socket did not take yet.
    outgoing: Vec<u8>,
    tunnel: bool,
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).expect("usage: origin ADDRESS");
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    println!("{}", listener.local_addr()?);
    let mut epoll = Epoll::new()?;
    epoll.add(&listener, LISTENER, READABLE)?;
    let mut connections: HashMap<usize, Connection> = HashMap::new();
    let mut answers = HashMap::new();
    let mut next_key = 0;
    let mut ready = Vec::new();
    loop {
        epoll.wait(None, &mut ready)?;
        for &key in &ready {
            if key == LISTENER {
                while let Ok((socket, _)) = listener.accept() {
                    socket.set_nonblocking(true)?;
                    socket.set_nodelay(true)?;
                    epoll.add(&socket, next_key, READABLE)?;
                    let connection = Connection { socket, incoming: vec![], outgoing: vec![], tunnel: false };
                    connections.insert(next_key, connection);
                    next_key += 1;
                }
            } else if let Some(connection) = connections.get_mut(&key)
                && connection.advance(&epoll, key, &mut answers).is_err()
            {
                connections.remove(&key);
            }
        }
    }
}

impl Connection {
    fn advance(&mut self, epoll: &Epoll, key: usize, answers: &mut HashMap<usize, Vec<u8>>) -> io::Result<()> {
        if !self.outgoing.is_empty() {
            let sent = taken(self.socket.write(&self.outgoing))?;
            self.outgoing.drain(..sent);
            if !self.outgoing.is_empty() {
                return Ok(());
            }
            epoll.modify(&self.socket, key, READABLE)?;
        }
        let mut chunk = [0; 4096];
        let received = match self.socket.read(&mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            received => taken(received)?,
        };
        if self.tunnel {
            return Ok(());
        }
        self.incoming.extend_from_slice(&chunk[..received]);
        while self.outgoing.is_empty()
            && let Some((head_end, end)) = whole_request(&self.incoming)
        {
            let head = &self.incoming[..head_end];
            let answer: &[u8] = if contains(head, b"\nUpgrade: ") || contains(head, b"\nupgrade: ") {
                self.tunnel = true;
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
            } else if let Some(length) = length_asked_for(head) {
                answers.entry(length).or_insert_with(|| answer_of(length))
            } else {
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
            };
            let sent = taken(self.socket.write(answer))?;
            if sent < answer.len() {
                self.outgoing.extend_from_slice(&answer[sent..]);
                epoll.modify(&self.socket, key, WRITABLE)?;
            }
            self.incoming.drain(..end);
        }
        Ok(())
    }
}

/// Where the head of the first request ends, and where the request does; nothing until all of it is there.
fn whole_request(incoming: &[u8]) -> Option<(usize, usize)> {
    let head_end = incoming.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = &incoming[..head_end];
    let body = if head.starts_with(b"GET ") { 0 } else { body_length(head) };
    let end = head_end + 4 + body;
    (end <= incoming.len()).then_some((head_end, end))
}

fn body_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length:";
    let mut lines = head.split(|byte| *byte == b'\n');
    let line = lines.find(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME));
    let length = line.and_then(|line| std::str::from_utf8(&line[NAME.len()..]).ok());
    length.and_then(|length| length.trim().parse().ok()).unwrap_or(0)
}

fn length_asked_for(head: &[u8]) -> Option<usize> {
    let digits = head.strip_prefix(b"GET /bytes/")?;
    let digits = digits.split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|length| *length <= 1 << 30)
}

fn answer_of(length: usize) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Sat, 21 Nov 2026 08:00:00 GMT\r\n\
         Content-Type: application/octet-stream\r\nETag: \"bench-{length}\"\r\nContent-Length: {length}\r\n\r\n"
    )
    .into_bytes();
    answer.extend((0..length).map(|position| (position % 251) as u8));
    answer
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// How many bytes went through; none where the socket is not ready.
fn taken(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}
