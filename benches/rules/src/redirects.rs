//! A list of a million URL redirects: what one takes in memory, and how long it takes to look a URL up.

use std::hint::black_box;
use std::sync::atomic::Ordering::Relaxed;

use rules::list::ListBuilder;
use rules::{Expiry, List, ListKind, RedirectItem};

use crate::{LIVING, Numbers, best};

const COUNT: u32 = 1_000_000;
const HOSTS: u32 = 2_000;
const LOOK_UPS: u32 = 200_000;

/// The figures as members of a JSON object.
pub fn redirects() -> String {
    let texts: Vec<(String, String)> = (0..COUNT).map(|number| (source(number), target(number))).collect();
    let written: usize = texts.iter().map(|(source, target)| source.len() + target.len()).sum();
    let before = LIVING.load(Relaxed);
    let list = build(&texts);
    let bytes = (LIVING.load(Relaxed) - before) as f64 / f64::from(COUNT);
    let exact = nanos(&list, |number| format!("https://{}", source(number % (COUNT / 2))), true);
    let below = nanos(&list, |number| format!("https://a.b.{}/c/d/e", source(COUNT / 2 + number % (COUNT / 2))), true);
    let missed = nanos(&list, |number| format!("https://{}/x", source(number % (COUNT / 2))), false);
    let elsewhere = nanos(&list, |number| format!("https://www.other-{number}.example/a/b/c?d=e"), false);
    format!(
        "\"redirects_bytes_per_entry\": {bytes:.1}, \"redirects_text_bytes_per_entry\": {:.1}, \"redirects_ns\": \
         {{\"exact\": {exact:.0}, \"subdomain and subpath\": {below:.0}, \"host without the path\": {missed:.0}, \
         \"another host\": {elsewhere:.0}}}",
        written as f64 / f64::from(COUNT)
    )
}

/// The first half as they are, the others with all below their host and path.
fn build(texts: &[(String, String)]) -> List {
    let mut builder = ListBuilder::new(ListKind::Redirect);
    for (number, (source, target)) in texts.iter().enumerate() {
        let wide = number >= texts.len() / 2;
        let item = RedirectItem { include_subdomains: wide, subpath_matching: wide, ..RedirectItem::new(source, target) };
        builder.push_redirect(&item, Expiry::NEVER);
    }
    builder.build().expect("a list of redirects")
}

fn source(number: u32) -> String {
    format!("www.shop-{}.example/old/{}/{number}", number % HOSTS, number % 97)
}

fn target(number: u32) -> String {
    format!("https://new.example/articles/{number}")
}

fn nanos(list: &List, url: impl Fn(u32) -> String, expected: bool) -> f64 {
    let mut numbers = Numbers(7);
    let urls: Vec<String> = (0..LOOK_UPS).map(|_| url(numbers.next())).collect();
    best(LOOK_UPS as usize, || {
        for url in &urls {
            assert_eq!(black_box(list.redirect(url.as_bytes())).is_some(), expected, "{url}");
        }
    }) * 1e3
}
