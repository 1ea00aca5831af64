//! The codec from outside: tables of messages, properties over all messages, heads of HTTP/2, and writing.

#![allow(clippy::expect_used, clippy::panic)] // a failed expectation in a helper is a failed test

mod builder;
mod cases;
mod driver;
mod headers;
mod properties;
mod write;
