//! The codec from outside: tables of messages, properties over all messages, heads of HTTP/2, and writing.

mod builder;
mod cases;
mod driver;
mod headers;
mod properties;
mod write;
