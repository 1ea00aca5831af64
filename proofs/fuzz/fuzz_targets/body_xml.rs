//! A body of XML, after a query in the first line: a document that is in order has the same text in its element as in its
//! texts and in each element that of those within, and no beginning of it is an error where more was to come; a reader that
//! read something else before reads the same; a query that is taken selects nothing that is not there.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use seclang::body::xml::{Document, Query};
use seclang::body::{Body, Limits, Processor, Source};

thread_local! {
    static USED: RefCell<Body> = RefCell::default();
}

fuzz_target!(|input: &[u8]| {
    let line = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (path, text) = (&input[..line], input.get(line + 1..).unwrap_or_default());
    let mut body = Body::default();
    let error = read(&mut body, text, false);
    let all: Vec<_> = ["/*", "//*", "//@*", "//text()"].map(|path| selected(body.document(), path.as_bytes())).into();
    USED.with_borrow_mut(|used| {
        assert_eq!(error, read(used, text, false));
        for (path, known) in ["/*", "//*", "//@*", "//text()"].iter().zip(&all) {
            assert_eq!(known, &selected(used.document(), path.as_bytes()));
        }
    });
    let [roots, elements, attributes, texts] = &all[..] else { unreachable!("four queries") };
    let size: usize = texts.iter().chain(attributes).map(Vec::len).sum();
    assert!(size <= 3 * text.len(), "a character of four bytes takes six at least to write");
    assert!(elements.len() <= text.len());
    if error.is_none() && !text.is_empty() {
        assert_eq!((roots.len(), &roots[0]), (1, &texts.concat()));
        assert_eq!(elements.first(), roots.first());
        let length = usize::from(text[text.len() / 2]) * 17 % text.len();
        assert_eq!(read(&mut Body::default(), &text[..length], true), None, "cut at {length}");
    }
    // Where a limit cut the elements short, others may be selected.
    if is_whole(body.document()) && Query::parse(path).is_ok() {
        let known: Vec<_> = elements.iter().chain(attributes).chain(texts).collect();
        assert!(selected(body.document(), path).iter().all(|value| known.contains(&value)));
    }
});

fn read(body: &mut Body, bytes: &[u8], is_cut: bool) -> Option<String> {
    body.read(Processor::Xml, Source { content_type: b"text/xml", bytes, is_cut, separator: b'&' }, &Limits::default());
    body.error().map(|error| error.to_string())
}

fn is_whole(document: &Document) -> bool {
    let query = Query::parse(b"//*").expect("a query that is taken");
    document.select(&query, &mut Vec::new(), |_| ()).is_ok()
}

fn selected(document: &Document, path: &[u8]) -> Vec<Vec<u8>> {
    let (mut found, mut memory) = (Vec::new(), Vec::new());
    let query = Query::parse(path).expect("a query that is taken");
    // A limit may hold, and the first part be given.
    let _ = document.select(&query, &mut memory, |value| found.push(value.to_vec()));
    found
}
