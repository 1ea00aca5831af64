//! Fingerprints of clients, taken from the bytes that they send before any request: TLS and HTTP/2.
//!
//! A [`HelloBuffer`] collects a ClientHello as it arrives, across TCP segments and TLS records, and keeps every byte so
//! that the TLS library can be given the same ones afterwards; the [`ClientHello`] it yields knows its JA3 and JA4. A
//! [`PrefaceTap`] watches the decrypted start of an HTTP/2 connection up to the first header block and knows its Akamai
//! form and the order of the header names. Nothing here does I/O, blocks, or trusts a length that a peer sent.
//!
//! Standards: RFC 8446 §4.1.2 and §5.1 (ClientHello, record layer), RFC 8701 (GREASE), `FoxIO`'s JA4 (the TLS client
//! method, which is BSD-3; its other methods are not free and not here), RFC 9113 (frames), RFC 7541 (HPACK).

mod client_hello;
mod hello_buffer;
mod hpack;
mod huffman;
mod ja3;
mod ja4;
mod preface;
mod text;

pub use client_hello::{ClientHello, Malformed};
pub use hello_buffer::{HelloBuffer, HelloState, MAX_HELLO_BYTES};
pub use preface::{MAX_PREFACE_BYTES, PrefaceTap, TapState};
