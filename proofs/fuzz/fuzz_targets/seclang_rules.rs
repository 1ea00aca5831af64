//! A text as rule files: it loads or says why not, in bounded time and memory; what loads runs over a request the same with gates,
//! folding and memory of texts as without.

#![no_main]

use std::path::Path;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use random::Chance;
use seclang::load;

#[path = "seclang_judged.rs"]
mod judge;
#[allow(dead_code)]
#[path = "../../../crates/rules/tests/rules/random.rs"]
mod random;
mod reword;
#[allow(dead_code)]
#[path = "../../../crates/rules/tests/rules/support.rs"]
mod support;

const REQUESTS: [&[u8]; 2] = [
    b"GET /a/b.php?a=1&b=select%20x&off=1 HTTP/1.1\r\nHost: a.example\r\nCookie: s=1; t=<script>\r\nUser-Agent: nikto\r\n\r\n",
    b"POST /../etc/passwd?x HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 35\r\n\r\n\
      a=%2527+or+1%3d1--&b=&c[]=%u0041%00",
];

fuzz_target!(|text: &[u8]| {
    let lower = text.to_ascii_lowercase();
    let whole = [
        b"SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\nSecResponseBodyMimeType text/html\n",
        text,
    ];
    match load::held(&whole.concat(), "fuzz.conf", Path::new("/"), &load::Held::default()) {
        Err(problems) => assert!(!problems.is_empty() && problems.iter().all(|one| !one.message.is_empty())),
        Ok(rules) => {
            // Times differ from one run to the next.
            if lower.windows(4).any(|part| part == b"time") || lower.windows(8).any(|part| part == b"duration") {
                return;
            }
            for request in REQUESTS {
                let (first, _) = judge::judged(&rules, Box::default(), request, true);
                let (second, _) = judge::judged(&rules, Box::default(), request, false);
                assert_eq!(first, second);
            }
        }
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, room: usize, seed: u32| {
    let mut chance = Chance::new(seed.into());
    let reworded = if chance.once_in(2) { reword::changed(&data[..size], &mut chance) } else { None };
    match reworded {
        Some(text) if text.len() <= room => {
            data[..text.len()].copy_from_slice(&text);
            text.len()
        }
        _ => fuzzer_mutate(data, size, room),
    }
});
