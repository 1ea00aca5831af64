//! What the system knows of a client's TCP connection (tcp(7), `TCP_INFO`), asked when a rule wants to know it.
//!
//! A connection's requests outlive it where they run beside each other: what asks for them holds no descriptor of its own,
//! which would cost one for each connection, but the number of the connection's, which [`ClientSocket`] takes back before
//! it closes it.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use fields::{Measured, Transport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A client's connection, as long as it is open.
#[derive(Debug)]
pub struct ClientSocket {
    stream: TcpStream,
    meter: Rc<Meter>,
}

/// Asks the system about a connection.
#[derive(Debug)]
pub struct Meter(Cell<Option<RawFd>>);

impl ClientSocket {
    /// The connection of that stream.
    pub fn new(stream: TcpStream) -> Self {
        let meter = Rc::new(Meter(Cell::new(Some(stream.as_raw_fd()))));
        Self { stream, meter }
    }

    /// The stream.
    pub fn get_ref(&self) -> &TcpStream {
        &self.stream
    }

    /// What can be asked about it, and has nothing to say once it is closed.
    pub fn meter(&self) -> Rc<Meter> {
        Rc::clone(&self.meter)
    }
}

impl Meter {
    /// Of a connection that is no more.
    pub fn closed() -> Self {
        Self(Cell::new(None))
    }
}

impl Drop for ClientSocket {
    fn drop(&mut self) {
        self.meter.0.set(None);
    }
}

impl Transport for Meter {
    fn measured(&self) -> Option<Measured> {
        self.0.get().and_then(tcp_info)
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "there is no safe name for this option")]
fn tcp_info(socket: RawFd) -> Option<Measured> {
    // SAFETY: the struct is integers alone, for which zeros are values.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    let (place, room) = ((&raw mut info).cast(), &raw mut length);
    // SAFETY: the system writes at most `length` bytes, which is the size of the struct, and the length that it wrote. An older
    // one writes less, and what it does not know stays zero. The descriptor is open: its owner takes the number back first.
    let failed = unsafe { libc::getsockopt(socket, libc::IPPROTO_TCP, libc::TCP_INFO, place, room) } != 0;
    (!failed).then(|| Measured {
        round_trip: Duration::from_micros(info.tcpi_rtt.into()),
        delivery_rate: info.tcpi_delivery_rate,
    })
}

#[cfg(not(target_os = "linux"))]
fn tcp_info(_: RawFd) -> Option<Measured> {
    None
}

impl AsyncRead for ClientSocket {
    #[inline]
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ClientSocket {
    #[inline]
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    #[inline]
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn an_open_connection_is_measured_and_a_closed_one_is_not() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut socket = ClientSocket::new(listener.accept().await.unwrap().0);
        let meter = socket.meter();
        socket.write_all(&[7; 4096]).await.unwrap();
        client.read_exact(&mut [0; 4096]).await.unwrap();
        // One byte back: with it comes the word that all has arrived.
        client.write_all(b"!").await.unwrap();
        socket.read_exact(&mut [0]).await.unwrap();
        let measured = meter.measured().unwrap();
        assert!(!measured.round_trip.is_zero() && measured.delivery_rate > 0, "{measured:?}");
        drop(socket);
        assert_eq!(meter.measured(), None);
    }
}
