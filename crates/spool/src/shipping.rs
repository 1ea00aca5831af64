//! The file `shipping`: what those who ship the spool say about how far they are (`docs/reference/spool-format.md`).

use std::path::Path;

use serde::Deserialize;

const FILE: &str = "shipping";
const FORMAT: u32 = 1;

/// How far the sinks are in the segments of one edge.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shipping {
    /// Each sink's; none says that nothing is shipped, and nothing is waited for.
    sinks: Vec<Standing>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Standing {
    /// The segment of the place behind what arrived; `None` before the first row.
    place: Option<u64>,
    in_hand: Option<u64>,
}

#[derive(Deserialize)]
struct Document {
    format: u32,
    sinks: Vec<Sink>,
}

#[derive(Deserialize)]
struct Sink {
    edge: Option<String>,
    place: Option<(u64, u64)>,
    in_hand: Option<(u64, u64, u64)>,
}

impl Shipping {
    /// Reads the file. One that is missing or cannot be understood is taken as a sink that has shipped nothing: what is not
    /// known to be elsewhere is the only copy.
    pub fn read(dir: &Path, edge: &str) -> Self {
        let content = std::fs::read(dir.join(FILE)).unwrap_or_default();
        Self::understood(&content, edge).unwrap_or_else(|| Self { sinks: vec![Standing::default()] })
    }

    fn understood(content: &[u8], edge: &str) -> Option<Self> {
        let document: Document = serde_json::from_slice(content).ok()?;
        let standing = |sink: Sink| {
            if sink.edge.is_some_and(|of| of != edge) {
                // It counts the segments of a spool that was here before, and will read this one from its start.
                return Standing::default();
            }
            Standing { place: sink.place.map(|place| place.0), in_hand: sink.in_hand.map(|range| range.0) }
        };
        (document.format == FORMAT).then(|| Self { sinks: document.sinks.into_iter().map(standing).collect() })
    }

    /// Whether every sink has all of that segment.
    pub fn has(&self, segment: u64) -> bool {
        self.sinks.iter().all(|sink| {
            sink.place.is_some_and(|place| place > segment) && sink.in_hand.is_none_or(|in_hand| in_hand > segment)
        })
    }

    /// Whether a sink is within that segment.
    pub fn stands_in(&self, segment: u64) -> bool {
        self.sinks.iter().any(|sink| sink.place == Some(segment) || sink.in_hand == Some(segment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGE: &str = "9767c15e-0b0d-4844-a8b4-cff8bf1613da";

    fn read(sinks: &str) -> Shipping {
        Shipping::understood(format!(r#"{{"format":1,"sinks":[{sinks}]}}"#).as_bytes(), EDGE).unwrap()
    }

    fn sink(place: &str, in_hand: &str) -> String {
        format!(r#"{{"name":"s","edge":"{EDGE}","place":{place},"in_hand":{in_hand}}}"#)
    }

    #[test]
    fn a_segment_is_shipped_when_every_sink_is_behind_it() {
        let both = read(&format!("{},{}", sink("[5,10]", "null"), sink("[3,900]", "null")));
        assert_eq!([2, 3, 4, 5].map(|segment| both.has(segment)), [true, false, false, false]);
        assert_eq!([2, 3, 4, 5].map(|segment| both.stands_in(segment)), [false, true, false, true]);
    }

    #[test]
    fn a_range_in_hand_holds_its_segment() {
        let ahead = read(&sink("[5,10]", "[6,40,90]"));
        assert_eq!([4, 5, 6].map(|segment| ahead.has(segment)), [true, false, false]);
        assert!(ahead.stands_in(5) && ahead.stands_in(6));
        let first = read(&sink("null", "[1,40,90]"));
        assert!(!first.has(1) && first.stands_in(1));
    }

    #[test]
    fn a_sink_that_has_nothing_or_counts_another_spool_holds_everything() {
        for nothing in [sink("null", "null"), sink("[9,9]", "[9,9,10]").replace(EDGE, "another")] {
            let both = read(&format!("{},{nothing}", sink("[9,9]", "null")));
            assert!(!both.has(1), "{nothing}");
        }
        assert!(!read(&sink("[9,9]", "[9,9,10]").replace(EDGE, "another")).stands_in(9));
    }

    #[test]
    fn without_sinks_nothing_is_waited_for() {
        assert!(read("").has(7) && !read("").stands_in(7));
    }

    #[test]
    fn what_cannot_be_understood_is_taken_as_nothing_shipped() {
        let dir = tempfile::tempdir().unwrap();
        for content in ["", "{", r#"{"format":2,"sinks":[]}"#, r#"{"format":1}"#] {
            std::fs::write(dir.path().join(FILE), content).unwrap();
            assert!(!Shipping::read(dir.path(), EDGE).has(1), "{content}");
        }
        std::fs::write(dir.path().join(FILE), r#"{"format":1,"sinks":[]}"#).unwrap();
        assert!(Shipping::read(dir.path(), EDGE).has(1));
    }
}
