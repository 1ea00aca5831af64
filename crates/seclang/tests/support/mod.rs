//! A request as tests make it by hand.

use seclang::transaction::Request;

/// A request of one client to one server: its first line and its headers.
pub fn request<'a>(first: [&'a [u8]; 3], headers: &'a [(&'a [u8], &'a [u8])]) -> Request<'a> {
    let [method, target, protocol] = first;
    let (client, server) = (([192, 0, 2, 7], 40_000).into(), ([198, 51, 100, 1], 443).into());
    Request { client, server, method, target, protocol, headers, id: b"ray" }
}
