//! Bytes on a connection: pooled buffers, and reads and writes that know their deadline.
//!
//! A buffer belongs to a connection only while it holds bytes: a read takes one from the pool of its thread inside the
//! poll and gives it back if nothing came, so connections that rest hold none. Sixty-four KiB and room for a head is
//! the size at which a 64 KiB response moves with one read and one write (measured: 16 KiB buffers cost 1.8 times the
//! CPU, `../shared/field-notes/http1-proxy.md`).

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::deadlines::{Deadline, Lane, Timer};

/// Anything that bytes come from and go to: TCP, TLS over TCP, a Unix socket, a pipe in a test.
pub trait Io: AsyncRead + AsyncWrite + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + 'static> Io for T {}

/// Why a wire can no longer be used.
#[derive(Debug)]
pub enum WireError {
    /// The peer closed in the middle of something.
    Closed,
    /// The operating system or TLS reports an error.
    Io(io::Error),
    /// A deadline passed.
    Late(Deadline),
}

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => f.write_str("the peer closed the connection"),
            Self::Io(error) => error.fmt(f),
            Self::Late(deadline) => write!(f, "the deadline {} passed", deadline.name()),
        }
    }
}

impl From<http1::write::Unwritable> for WireError {
    fn from(unwritable: http1::write::Unwritable) -> Self {
        Self::Io(io::Error::new(io::ErrorKind::InvalidData, unwritable.to_string()))
    }
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The buffers of one thread, last in, first out: the one used last is still in the cache.
#[derive(Debug)]
pub struct Buffers {
    size: usize,
    keep: usize,
    free: RefCell<Vec<Box<[u8]>>>,
}

impl Buffers {
    /// Buffers of `size` bytes, of which at most `keep` are kept when nobody uses them.
    pub fn new(size: usize, keep: usize) -> Rc<Self> {
        Rc::new(Self { size, keep, free: RefCell::default() })
    }

    /// An empty buffer.
    pub fn take(self: &Rc<Self>) -> Buffer {
        let data = self.free.borrow_mut().pop().unwrap_or_else(|| vec![0; self.size].into_boxed_slice());
        Buffer { data, start: 0, end: 0, home: Rc::clone(self) }
    }
}

/// Bytes that were read and not used yet.
#[derive(Debug)]
pub struct Buffer {
    data: Box<[u8]>,
    start: usize,
    end: usize,
    home: Rc<Buffers>,
}

impl Buffer {
    /// The unused bytes.
    pub fn filled(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether no more can be read before something is consumed.
    pub fn is_full(&self) -> bool {
        self.start == 0 && self.end == self.data.len()
    }

    /// Marks the first `count` unused bytes as used.
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads once behind the unused bytes. `Ok(0)` is the end of the stream.
    fn poll_fill<IO: Io>(&mut self, io: &mut IO, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.end == self.data.len() && self.start > 0 {
            self.data.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let mut space = ReadBuf::new(&mut self.data[self.end..]);
        ready!(Pin::new(io).poll_read(cx, &mut space))?;
        let count = space.filled().len();
        self.end += count;
        Poll::Ready(Ok(count))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut free = self.home.free.borrow_mut();
        if free.len() < self.home.keep && self.data.len() == self.home.size {
            free.push(std::mem::take(&mut self.data));
        }
    }
}

/// A connection that both directions of one task use in turn, polled under the deadlines of a timer.
#[derive(Debug)]
pub struct Wire<IO> {
    io: RefCell<IO>,
    buffers: Rc<Buffers>,
}

impl<IO: Io> Wire<IO> {
    /// A wire over `io` that takes its buffers from `buffers`.
    pub fn new(io: IO, buffers: Rc<Buffers>) -> Self {
        Self { io: RefCell::new(io), buffers }
    }

    /// The connection itself, when the wire is done with.
    pub fn into_inner(self) -> IO {
        self.io.into_inner()
    }

    /// Reads once into `buffer`, which is taken from the pool when there is something to read.
    ///
    /// `Ok(0)` is the end of the stream. A full buffer is an error of the caller and reads nothing for ever, so callers
    /// check [`Buffer::is_full`] first.
    pub fn poll_read(
        &self,
        cx: &mut Context<'_>,
        timer: &Timer,
        lane: Lane,
        buffer: &mut Option<Buffer>,
    ) -> Poll<Result<usize, WireError>> {
        if let Some(late) = timer.poll(cx, lane) {
            return Poll::Ready(Err(WireError::Late(late)));
        }
        let mut taken = buffer.take().unwrap_or_else(|| self.buffers.take());
        let polled = taken.poll_fill(&mut *self.io.borrow_mut(), cx);
        match polled {
            Poll::Pending => {
                timer.waiting(lane);
                if !taken.is_empty() {
                    *buffer = Some(taken);
                }
                Poll::Pending
            }
            Poll::Ready(result) => {
                let count = result?;
                timer.moved(lane, count);
                *buffer = Some(taken);
                Poll::Ready(Ok(count))
            }
        }
    }

    /// [`Self::poll_read`] as a future.
    pub async fn read(&self, timer: &Timer, lane: Lane, buffer: &mut Option<Buffer>) -> Result<usize, WireError> {
        std::future::poll_fn(|cx| self.poll_read(cx, timer, lane, buffer)).await
    }

    /// Writes all of `parts`, with one system call where the peer takes that much.
    pub async fn write(&self, timer: &Timer, lane: Lane, parts: [&[u8]; 3]) -> Result<(), WireError> {
        let mut left = parts;
        while left.iter().any(|part| !part.is_empty()) {
            let mut count = std::future::poll_fn(|cx| {
                if let Some(late) = timer.poll(cx, lane) {
                    return Poll::Ready(Err(WireError::Late(late)));
                }
                let mut io = self.io.borrow_mut();
                let io = Pin::new(&mut *io);
                // A plain send is the cheaper call where there is but one part.
                let polled = match left {
                    [only, [], []] | [[], only, []] | [[], [], only] => io.poll_write(cx, only),
                    parts => io.poll_write_vectored(cx, &parts.map(IoSlice::new)),
                };
                if polled.is_pending() {
                    timer.waiting(lane);
                }
                polled.map_err(WireError::Io)
            })
            .await?;
            if count == 0 {
                return Err(WireError::Closed);
            }
            timer.moved(lane, count);
            for part in &mut left {
                let taken = count.min(part.len());
                *part = &part[taken..];
                count -= taken;
            }
        }
        self.flush(timer, lane).await
    }

    /// Hands what a layer such as TLS still holds to the operating system.
    pub async fn flush(&self, timer: &Timer, lane: Lane) -> Result<(), WireError> {
        let mut waited = false;
        std::future::poll_fn(|cx| {
            if let Some(late) = timer.poll(cx, lane) {
                return Poll::Ready(Err(WireError::Late(late)));
            }
            let polled = Pin::new(&mut *self.io.borrow_mut()).poll_flush(cx);
            if polled.is_pending() {
                waited = true;
                timer.waiting(lane);
            } else if waited {
                // The peer took what it was waited for; what comes next may be somebody else's delay.
                timer.moved(lane, 0);
            }
            polled.map_err(WireError::Io)
        })
        .await
    }

    /// Says that nothing more will be written (TLS: `close_notify`).
    pub async fn shutdown(&self, timer: &Timer, lane: Lane) -> Result<(), WireError> {
        std::future::poll_fn(|cx| {
            if let Some(late) = timer.poll(cx, lane) {
                return Poll::Ready(Err(WireError::Late(late)));
            }
            Pin::new(&mut *self.io.borrow_mut()).poll_shutdown(cx).map_err(WireError::Io)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadlines::Timers;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test(flavor = "current_thread")]
    async fn a_connection_that_rests_holds_no_buffer() {
        let (near, mut far) = tokio::io::duplex(64);
        let buffers = Buffers::new(16, 4);
        let (wire, timers) = (Wire::new(near, Rc::clone(&buffers)), Timers::new());
        let timer = timers.register();
        let mut buffer = None;
        let pending = std::future::poll_fn(|cx| {
            Poll::Ready(wire.poll_read(cx, &timer, Lane::ClientRead, &mut buffer).is_pending())
        });
        assert!(pending.await);
        assert!(buffer.is_none());
        assert_eq!(buffers.free.borrow().len(), 1);
        far.write_all(b"hello").await.unwrap();
        assert_eq!(wire.read(&timer, Lane::ClientRead, &mut buffer).await.unwrap(), 5);
        assert_eq!(buffer.as_ref().unwrap().filled(), b"hello");
        drop(far);
        assert_eq!(wire.read(&timer, Lane::ClientRead, &mut buffer).await.unwrap(), 0);
    }

    /// TLS takes bytes that its socket does not take yet: writing is done at once, flushing waits.
    struct LateFlush(tokio::io::DuplexStream, bool);

    impl AsyncRead for LateFlush {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for LateFlush {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, buf)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            if std::mem::replace(&mut self.1, true) {
                return Poll::Ready(Ok(()));
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_peer_that_took_everything_is_not_blamed_for_what_comes_later() {
        let (near, _far) = tokio::io::duplex(64);
        let (wire, timers) = (Wire::new(LateFlush(near, false), Buffers::new(8, 4)), Timers::new());
        let timer = timers.register();
        timer.arm_rate(Lane::ClientWrite, Deadline::WriteRate, 1_000_000, 4);
        wire.write(&timer, Lane::ClientWrite, [b"a", b"", b""]).await.unwrap();
        // Nobody waits for the client now. Two windows pass.
        for _ in 0..2 {
            std::thread::sleep(std::time::Duration::from_millis(8));
            timers.sweep();
        }
        let late = std::future::poll_fn(|cx| Poll::Ready(timer.poll(cx, Lane::ClientWrite))).await;
        assert_eq!(late, None);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn unused_bytes_move_to_the_front_when_the_end_is_reached() {
        let (near, mut far) = tokio::io::duplex(64);
        let (wire, timers) = (Wire::new(near, Buffers::new(8, 4)), Timers::new());
        let timer = timers.register();
        let mut buffer = None;
        far.write_all(b"abcdefgh").await.unwrap();
        wire.read(&timer, Lane::ClientRead, &mut buffer).await.unwrap();
        assert!(buffer.as_ref().unwrap().is_full());
        buffer.as_mut().unwrap().consume(6);
        far.write_all(b"ijk").await.unwrap();
        wire.read(&timer, Lane::ClientRead, &mut buffer).await.unwrap();
        assert_eq!(buffer.unwrap().filled(), b"ghijk");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn head_and_body_arrive_whole_through_a_narrow_pipe() {
        let (near, mut far) = tokio::io::duplex(3);
        let (wire, timers) = (Wire::new(near, Buffers::new(8, 4)), Timers::new());
        let timer = timers.register();
        let reader = tokio::task::LocalSet::new();
        let text = reader.run_until(async move {
            let read = tokio::task::spawn_local(async move {
                let mut text = Vec::new();
                far.read_to_end(&mut text).await.unwrap();
                text
            });
            wire.write(&timer, Lane::ClientWrite, [b"head:", b"the ", b"body"]).await.unwrap();
            wire.shutdown(&timer, Lane::ClientWrite).await.unwrap();
            drop(wire);
            read.await.unwrap()
        });
        assert_eq!(text.await, b"head:the body");
    }
}
