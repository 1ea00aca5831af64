//! JA3: the lists of a ClientHello in the order sent, without GREASE, in decimal; and the MD5 of that text.
//!
//! Clients that permute their extensions (Chrome since 110) have a new JA3 each time: [JA4](crate::ClientHello::ja4) is
//! the one to write rules on, JA3 is here because existing block lists speak it. MD5 is part of the format, and no
//! security rests on it.

use md5::{Digest, Md5};

use crate::{
    ClientHello,
    client_hello::is_grease,
    text::{hex, push_decimal},
};

impl ClientHello {
    /// The text that JA3 hashes: `version,ciphers,extensions,groups,point formats`, items joined by `-`.
    pub fn ja3_raw(&self) -> String {
        let mut text = String::with_capacity(256);
        push_decimal(&mut text, self.legacy_version());
        for list in [self.cipher_suites(), self.extensions(), self.groups()] {
            text.push(',');
            push_list(&mut text, list.iter().copied());
        }
        text.push(',');
        push_list(&mut text, self.point_formats().iter().copied().map(u16::from));
        text
    }

    /// The JA3 fingerprint: 32 hexadecimal digits.
    pub fn ja3(&self) -> String {
        hex(&Md5::digest(self.ja3_raw()))
    }
}

fn push_list(text: &mut String, items: impl Iterator<Item = u16>) {
    let mut first = true;
    for item in items.filter(|&item| !is_grease(item)) {
        if !first {
            text.push('-');
        }
        first = false;
        push_decimal(text, item);
    }
}
