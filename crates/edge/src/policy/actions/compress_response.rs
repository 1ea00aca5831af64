//! `compress_response`: which coding a response gets.

use rules::Phase;
use serde::Deserialize;

use super::{ActionRow, ParameterRow, Reading};
use crate::compress::Algorithm;
use crate::policy::run::Act;

pub(super) const ROW: ActionRow = ActionRow {
    name: "compress_response",
    phases: &[Phase::ResponseCompression],
    terminating: false,
    summary: "Chooses the coding of a response that the origin sent uncompressed, whatever its media type: the first of the \
              list that the client accepts, and none if it accepts none of them. Of several rules the last has its way. \
              Nothing is done to a response with `Cache-Control: no-transform`, and none below 48 bytes is compressed.",
    parameters: &[ParameterRow::new(
        "algorithms",
        "A list of objects with a `name`: `gzip`, `brotli`; and as the last `none`, `auto` (what the client likes best) or \
         `default` (as the zone's `compression` says). `zstd` is refused: this edge has no encoder for it.",
    )],
    read,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    algorithms: Vec<Named>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

const NEEDED: &str = "action compress_response needs \"algorithms\", a list of objects with a \"name\"";

fn read(reading: &mut Reading<'_, '_>) -> Option<Act> {
    let given: Parameters = reading.needed(NEEDED)?;
    let (list, wrong) = (reading.place.key("algorithms"), &mut *reading.wrong);
    let before = wrong.len();
    if given.algorithms.is_empty() {
        wrong.push(list.error(NEEDED));
    }
    let mut algorithms = Vec::with_capacity(given.algorithms.len());
    for (index, Named { name }) in given.algorithms.iter().enumerate() {
        let entry = list.index(index);
        let place = entry.key("name");
        let Some(algorithm) = Algorithm::by_name(name) else {
            wrong.push(place.error(if name == "zstd" {
                "this edge has no encoder for zstd; use brotli or gzip".to_owned()
            } else {
                format!("unknown algorithm \"{name}\"; use gzip, brotli, none, auto or default")
            }));
            continue;
        };
        if algorithm.is_last() && index + 1 < given.algorithms.len() {
            wrong.push(place.error(format!("nothing after {name} would ever be chosen; put it last")));
        }
        if algorithms.contains(&algorithm) {
            wrong.push(place.error(format!("{name} is named twice; name it once")));
        }
        algorithms.push(algorithm);
    }
    (wrong.len() == before).then(|| Act::Compress(algorithms.into()))
}
