//! What it costs to look for secrets in a URL, and to take them out: `cargo bench -p redact --bench redaction`.
//!
//! Times are of the processor's clock, one URL at a time as an exchange does it. Each URL is checked to come out as it should
//! before its figure is printed.

#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use std::hint::black_box;
use std::time::Instant;

use redact::SecretNames;

const ROUNDS: u32 = 1_000_000;

const URLS: [(&str, &str); 6] = [
    ("/products/shoes/running/4711", "/products/shoes/running/4711"),
    ("/products/shoes/running/4711?color=red&size=43", "/products/shoes/running/4711?color=red&size=43"),
    ("https://shop.example/products/shoes/running", "https://shop.example/products/shoes/running"),
    (
        "/search?q=running+shoes&page=2&sort=price_asc&brand=example&utm_source=mail&utm_campaign=spring&lang=en",
        "/search?q=running+shoes&page=2&sort=price_asc&brand=example&utm_source=mail&utm_campaign=spring&lang=en",
    ),
    ("/login?user=jo&token=8c1f0e2d4b6a", "/login?user=jo&token=REDACTED"),
    (
        "/cb?state=1&redirect_uri=https%3A%2F%2Fshop.example%2F%3Ftoken%3D8c1f&x=1",
        "/cb?state=1&redirect_uri=https%3A%2F%2Fshop.example%2F%3Ftoken%3DREDACTED&x=1",
    ),
];

fn main() {
    let names = SecretNames::default();
    for (url, expected) in URLS {
        assert_eq!(String::from_utf8_lossy(&names.url(url.as_bytes())), expected);
        let began = Instant::now();
        for _ in 0..ROUNDS {
            black_box(names.url(black_box(url.as_bytes())));
        }
        let nanoseconds = began.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS);
        println!("{nanoseconds:>6.0} ns {:>4} bytes  {expected}", url.len());
    }
}
