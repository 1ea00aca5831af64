//! A form, after its content type in the first line: what is in order reads the same when it is written again from its parts, and
//! no beginning of it is an error where more was to come; a reader that read something else before reads the same.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use seclang::body::multipart::Flags;
use seclang::body::{Body, Limits, Processor, Source};

thread_local! {
    static USED: RefCell<Body> = RefCell::default();
}

type Pair = (Vec<u8>, Vec<u8>);

#[derive(Debug, PartialEq)]
struct Read {
    arguments: Vec<Pair>,
    filenames: Vec<Pair>,
    files: Vec<Pair>,
    headers: Vec<Pair>,
    flags: Flags,
    is_strict: bool,
    error: Option<String>,
}

fuzz_target!(|input: &[u8]| {
    let line = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (content_type, body) = (&input[..line], input.get(line + 1..).unwrap_or_default());
    let whole = read(&mut Body::default(), content_type, body, false);
    USED.with_borrow_mut(|used| assert_eq!(whole, read(used, content_type, body, false)));
    let sum = |pairs: &[Pair]| pairs.iter().map(|(_, value)| value.len()).sum::<usize>();
    assert!(sum(&whole.arguments) + sum(&whole.files) <= body.len());
    assert!(sum(&whole.headers) <= 2 * body.len());
    assert!(whole.error.is_none() || whole.is_strict);
    if whole.is_strict || body.is_empty() {
        return;
    }
    let length = usize::from(body[body.len() / 2]) * 17 % body.len();
    let cut = read(&mut Body::default(), content_type, &body[..length], true);
    assert!(!cut.is_strict, "cut at {length}: {cut:?}");
    written_again(content_type, &whole);
});

/// Writes each argument and each file with its first name, and reads that.
fn written_again(content_type: &[u8], whole: &Read) {
    let Some(place) = content_type.windows(9).position(|text| text.eq_ignore_ascii_case(b"boundary=")) else { return };
    let boundary = content_type[place + 9..].split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let mut body = Vec::new();
    let mut begin = |name: &[u8], filename: Option<&[u8]>, content: &[u8]| {
        body.extend_from_slice(&[b"--", boundary, b"\r\nContent-Disposition: form-data; name="].concat());
        quote(name, &mut body);
        if let Some(filename) = filename {
            body.extend_from_slice(b"; filename=");
            quote(filename, &mut body);
        }
        body.extend_from_slice(&[b"\r\n\r\n", content, b"\r\n"].concat());
    };
    whole.arguments.iter().for_each(|(name, value)| begin(name, None, value));
    whole.files.iter().for_each(|(name, content)| begin(name, Some(b"f"), content));
    body.extend_from_slice(&[b"--", boundary, b"--\r\n"].concat());
    let again = read(&mut Body::default(), content_type, &body, false);
    assert!(!again.is_strict, "{again:?}");
    assert_eq!((&again.arguments, &again.files), (&whole.arguments, &whole.files));
}

fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        out.extend((matches!(byte, b'"' | b'\\')).then_some(b'\\'));
        out.push(*byte);
    }
    out.push(b'"');
}

fn read(body: &mut Body, content_type: &[u8], bytes: &[u8], is_cut: bool) -> Read {
    body.read(Processor::Multipart, Source { content_type, bytes, is_cut, separator: b'&' }, &Limits::default());
    let owned = |(name, value): (&[u8], &[u8])| (name.to_vec(), value.to_vec());
    let form = body.form();
    Read {
        arguments: body.arguments().iter().map(owned).collect(),
        filenames: form.filenames().map(owned).collect(),
        files: form.files(bytes).map(|file| owned((file.name, file.content))).collect(),
        headers: form.headers().map(owned).collect(),
        flags: form.flags(),
        is_strict: form.has_strict_error(),
        error: body.error().map(|error| error.to_string()),
    }
}
