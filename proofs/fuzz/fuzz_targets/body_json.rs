//! A body of JSON: another parser takes it, too, and finds the same names and strings in the same order; no beginning of a body
//! that is taken is an error where more was to come; a reader that read something else before reads the same.

#![no_main]

use std::cell::RefCell;
use std::fmt;

use libfuzzer_sys::fuzz_target;
use seclang::body::{Body, Limits, Processor, Source};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Less than where the other parser gives up.
const LIMITS: Limits = Limits { arguments: 10_000, files: 0, json_depth: 100, xml_depth: 0 };

thread_local! {
    static USED: RefCell<Body> = RefCell::default();
}

type Read = (Vec<(Vec<u8>, Vec<u8>)>, Option<String>);

fuzz_target!(|input: &[u8]| {
    let found = read(&mut Body::default(), input, false);
    USED.with_borrow_mut(|used| assert_eq!(found, read(used, input, false)));
    let (arguments, error) = found;
    let size: usize = arguments.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(size <= (9 * input.len()).max(4096) + 2 * input.len() + 8, "{size} bytes of {}", input.len());
    if error.is_none() && !input.is_empty() {
        let length = usize::from(input[input.len() / 2]) * 17 % input.len();
        assert_eq!(read(&mut Body::default(), &input[..length], true).1, None, "cut at {length}");
    }
    let Ok(text) = str::from_utf8(input) else { return };
    if text.is_empty() {
        return;
    }
    let mut found = Vec::new();
    let mut other = serde_json::Deserializer::from_str(text);
    let done =
        Flatten { name: "json".to_owned(), found: &mut found }.deserialize(&mut other).and_then(|()| other.end());
    match (done, error) {
        (Ok(()), None) => {
            assert_eq!(found.len(), arguments.len());
            for ((name, value), (known, text)) in arguments.iter().zip(&found) {
                assert_eq!(name, known.as_bytes());
                assert!(text.as_ref().is_none_or(|text| text.as_bytes() == value), "{known}");
            }
        }
        (Err(_), Some(_)) => {}
        // Our own limits.
        (Ok(()), Some(error)) => {
            assert!(
                ["nested deeper", "many times", "SecArgumentsLimit"].iter().any(|limit| error.contains(limit)),
                "{error}"
            );
        }
        // Numbers beyond every double and halves of surrogate pairs are limits of the other.
        (Err(error), None) => {
            let error = error.to_string();
            assert!(["out of range", "surrogate", "hex escape"].iter().any(|limit| error.contains(limit)), "{error}");
        }
    }
});

fn read(body: &mut Body, bytes: &[u8], is_cut: bool) -> Read {
    body.read(Processor::Json, Source { content_type: b"application/json", bytes, is_cut, separator: b'&' }, &LIMITS);
    let arguments = body.arguments().iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    (arguments, body.error().map(|error| error.to_string()))
}

/// Finds the names of all values and the texts of those that are no numbers.
struct Flatten<'f> {
    name: String,
    found: &'f mut Vec<(String, Option<String>)>,
}

impl Flatten<'_> {
    fn within(&mut self, name: &dyn fmt::Display) -> Flatten<'_> {
        Flatten { name: format!("{}.{name}", self.name), found: self.found }
    }

    fn push(self, text: Option<&str>) {
        self.found.push((self.name, text.map(str::to_owned)));
    }
}

impl<'de> DeserializeSeed<'de> for Flatten<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, other: D) -> Result<(), D::Error> {
        other.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Flatten<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.push(Some(""));
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.push(Some(if value { "true" } else { "false" }));
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.push(None);
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.push(None);
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.push(None);
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.push(Some(value));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        let mut number = 0;
        while items.next_element_seed(self.within(&number))?.is_some() {
            number += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            members.next_value_seed(self.within(&name))?;
        }
        Ok(())
    }
}
