//! A stream that first yields bytes which were already read from it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Yields the bytes it was given, then those of the stream. Once they are used up it costs one branch per read and
/// holds no memory.
#[derive(Debug)]
pub struct Replay<IO> {
    stream: IO,
    bytes: Vec<u8>,
    at: usize,
}

impl<IO> Replay<IO> {
    /// A stream whose first bytes are `bytes`.
    pub fn new(stream: IO, bytes: Vec<u8>) -> Self {
        Self { stream, bytes, at: 0 }
    }

    /// The stream beneath.
    pub fn get_ref(&self) -> &IO {
        &self.stream
    }

    #[cold]
    fn replay(&mut self, buffer: &mut ReadBuf<'_>) {
        let rest = &self.bytes[self.at..];
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        self.at += count;
        if self.at == self.bytes.len() {
            self.bytes = Vec::new();
            self.at = 0;
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Replay<IO> {
    #[inline]
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.bytes.is_empty() {
            self.replay(buffer);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Replay<IO> {
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

    use super::Replay;

    #[tokio::test]
    async fn replayed_bytes_come_before_those_of_the_stream_whatever_the_size_of_the_reads() {
        for size in [1, 2, 3, 5, 64] {
            let (mut near, far) = tokio::io::duplex(64);
            near.write_all(b" world").await.unwrap();
            near.shutdown().await.unwrap();
            let mut replay = Replay::new(far, b"hello".to_vec());
            let mut read = Vec::new();
            let mut buffer = vec![0; size];
            loop {
                let count = replay.read(&mut buffer).await.unwrap();
                if count == 0 {
                    break;
                }
                read.extend_from_slice(&buffer[..count]);
            }
            assert_eq!(read, b"hello world", "reads of {size}");
            assert_eq!(replay.bytes.capacity(), 0, "nothing is held any more");
        }
    }
}
