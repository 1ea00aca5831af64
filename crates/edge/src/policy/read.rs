//! Parts of the document into their types, with the path of what does not fit.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_path_to_error::{Segment, Track};

use super::diagnostic::{Diagnostic, Place, Step};

/// A part that was kept as text. The way that tracks paths is taken only when the plain way has failed: it is slower.
pub(super) fn read_raw<'de, T: Deserialize<'de>>(
    raw: &'de RawValue,
    place: &Place<'_>,
    wrong: &mut Vec<Diagnostic>,
) -> Option<T> {
    if let Ok(value) = serde_json::from_str(raw.get()) {
        return Some(value);
    }
    let mut track = Track::new();
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    let tracked = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
    match T::deserialize(tracked) {
        Ok(value) => Some(value),
        Err(error) => {
            wrong.push(misfit(place, &track.path(), &error));
            None
        }
    }
}

/// A part that was read without a type.
pub(super) fn read_value<T: DeserializeOwned>(
    value: &serde_json::Value,
    place: &Place<'_>,
    wrong: &mut Vec<Diagnostic>,
) -> Option<T> {
    let mut track = Track::new();
    match T::deserialize(serde_path_to_error::Deserializer::new(value, &mut track)) {
        Ok(value) => Some(value),
        Err(error) => {
            wrong.push(misfit(place, &track.path(), &error));
            None
        }
    }
}

fn misfit(place: &Place<'_>, inner: &serde_path_to_error::Path, error: &serde_json::Error) -> Diagnostic {
    // The line and column of the part in the document mean nothing to the author.
    let text = error.to_string();
    let message = text.rfind(" at line ").map_or(text.as_str(), |end| &text[..end]);
    let mut diagnostic = place.error(message);
    diagnostic.path.extend(inner.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    }));
    diagnostic
}
