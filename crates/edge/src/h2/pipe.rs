//! The bytes of one HTTP/2 connection on their way between TLS (or TCP) and the `h2` crate.
//!
//! h2 writes and flushes frame by frame. A [`Pipe`] gathers what it writes and ignores its flushes; the driver of the
//! connection [drains](Pipe::poll_drain) it once h2 has nothing more to do, so that all frames of all streams that were
//! ready leave in one write: one system call and full TLS records. On the way in the first bytes are shown to the
//! fingerprint's tap until it has seen enough.

use fingerprint::{PrefaceTap, TapState};
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::wire::Io;

/// From here on a write waits until the client has taken what was gathered before it.
const GATHER_BYTES: usize = 64 * 1024;

/// What a resting connection may keep allocated.
const KEEP_BYTES: usize = 4 * 1024;

/// One end for h2, one for the driver.
pub struct Pipe<IO>(Rc<Inner<IO>>);

struct Inner<IO> {
    io: RefCell<IO>,
    out: RefCell<Gathered>,
    tap: RefCell<Tap>,
}

#[derive(Default)]
struct Gathered {
    bytes: Vec<u8>,
    /// How many of them were written.
    written: usize,
    /// How many bytes were written in all.
    total: u64,
    /// Whether the layer below may hold bytes that it was not made to send.
    unflushed: bool,
}

enum Tap {
    Open(Box<PrefaceTap>),
    Closed(Option<String>),
}

impl<IO> Clone for Pipe<IO> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<IO: Io> Pipe<IO> {
    /// A pipe over `io`, of which nothing was read yet.
    pub fn new(io: IO) -> Self {
        let tap = RefCell::new(Tap::Open(Box::default()));
        Self(Rc::new(Inner { io: RefCell::new(io), out: RefCell::default(), tap }))
    }

    /// The fingerprint of the client's first frames; there once its first request is.
    pub fn take_fingerprint(&self) -> Option<String> {
        match &mut *self.0.tap.borrow_mut() {
            Tap::Open(_) => None,
            Tap::Closed(fingerprint) => fingerprint.take(),
        }
    }

    /// Writes what was gathered and makes the layer below send it.
    pub fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_out(cx))?;
        let mut out = self.0.out.borrow_mut();
        if out.unflushed {
            ready!(Pin::new(&mut *self.0.io.borrow_mut()).poll_flush(cx))?;
            out.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// How many bytes the layer below has taken so far.
    pub fn written(&self) -> u64 {
        self.0.out.borrow().total
    }

    /// Gives back the memory of a drained pipe whose connection rests.
    pub fn rest(&self) {
        let mut out = self.0.out.borrow_mut();
        if out.bytes.is_empty() && out.bytes.capacity() > KEEP_BYTES {
            out.bytes = Vec::new();
        }
    }

    fn poll_write_out(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut out = self.0.out.borrow_mut();
        while out.written < out.bytes.len() {
            let count = ready!(Pin::new(&mut *self.0.io.borrow_mut()).poll_write(cx, &out.bytes[out.written..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            out.written += count;
            out.total += count as u64;
            out.unflushed = true;
        }
        out.bytes.clear();
        out.written = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gathered = {
            let out = self.0.out.borrow();
            out.bytes.len() - out.written
        };
        if gathered < GATHER_BYTES { Poll::Ready(Ok(())) } else { self.poll_write_out(cx) }
    }
}

impl<IO: Io> AsyncRead for Pipe<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut *self.0.io.borrow_mut()).poll_read(cx, buf))?;
        let mut tap = self.0.tap.borrow_mut();
        if let Tap::Open(open) = &mut *tap
            && open.push(&buf.filled()[before..]) != TapState::NeedMore
        {
            *tap = Tap::Closed(open.akamai());
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: Io> AsyncWrite for Pipe<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_room(cx))?;
        self.0.out.borrow_mut().bytes.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_room(cx))?;
        let mut out = self.0.out.borrow_mut();
        let before = out.bytes.len();
        for buf in bufs {
            out.bytes.extend_from_slice(buf);
        }
        Poll::Ready(Ok(out.bytes.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing: the driver drains the pipe when h2 is done.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut *self.0.io.borrow_mut()).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test(flavor = "current_thread")]
    async fn what_is_written_leaves_when_it_is_drained_and_in_one_piece() {
        let (near, mut far) = tokio::io::duplex(1024);
        let mut pipe = Pipe::new(near);
        for part in [b"one ", b"two "] {
            pipe.write_all(part).await.unwrap();
            pipe.flush().await.unwrap();
        }
        let nothing = tokio::time::timeout(std::time::Duration::from_millis(20), far.read_u8()).await;
        assert!(nothing.is_err(), "a flush of h2 must not send");
        poll_fn(|cx| pipe.poll_drain(cx)).await.unwrap();
        let mut received = [0; 16];
        assert_eq!(far.read(&mut received).await.unwrap(), 8);
        assert_eq!(&received[..8], b"one two ");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_client_that_takes_nothing_stops_the_writer() {
        let (near, mut far) = tokio::io::duplex(16);
        let mut pipe = Pipe::new(near);
        pipe.write_all(&vec![7; GATHER_BYTES]).await.unwrap();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut pipe).poll_write(&mut cx, b"more").is_pending());
        let mut received = vec![0; GATHER_BYTES];
        let (read, drained) = tokio::join!(far.read_exact(&mut received), poll_fn(|cx| pipe.poll_drain(cx)));
        assert_eq!((read.unwrap(), drained.unwrap()), (GATHER_BYTES, ()));
        assert!(Pin::new(&mut pipe).poll_write(&mut cx, b"more").is_ready());
    }
}
