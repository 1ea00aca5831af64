//! The bounds of one message, so that a peer cannot make the edge hold or read more than it agreed to.

/// Bounds on what a peer may send. One value serves a whole listener; it is copied into each parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head, from the first byte of its start line to the empty line that ends it. Default 64 KiB.
    pub head_bytes: usize,
    /// Header lines of a head. Default 128.
    pub headers: usize,
    /// Bytes of a method. Default 32; the longest registered one is `UPDATEREDIRECTREF`, 17 bytes.
    pub method_bytes: usize,
    /// Bytes of a request target. Default 16 KiB; RFC 9110 §4.1 asks for at least 8,000.
    pub target_bytes: usize,
    /// Bytes of chunk extensions over a whole body, since they are read and thrown away. Default 4 KiB.
    pub chunk_extension_bytes: usize,
    /// Bytes of a trailer section. Default 8 KiB.
    pub trailer_bytes: usize,
    /// Lines of a trailer section. Default 32.
    pub trailers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 64 * 1024,
            headers: 128,
            method_bytes: 32,
            target_bytes: 16 * 1024,
            chunk_extension_bytes: 4 * 1024,
            trailer_bytes: 8 * 1024,
            trailers: 32,
        }
    }
}
