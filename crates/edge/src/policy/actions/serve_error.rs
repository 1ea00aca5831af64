//! `serve_error`: the zone's own words in the place of an error of the origin or of the edge.

use std::sync::Arc;

use bytes::Bytes;
use rules::Phase;
use serde::Deserialize;

use super::{ActionRow, ParameterRow, Reading};
use crate::policy::error_page::ErrorPage;
use crate::policy::run::Act;

pub(super) const ROW: ActionRow = ActionRow {
    name: "serve_error",
    phases: &[Phase::CustomErrors],
    terminating: true,
    summary: "Gives the client the rule's page in the place of a response of status 400 or above, of the origin or of the \
              edge; what a rule has blocked keeps its answer. The zone's rules run before those of the account, and the \
              first that matches ends the phase; they go before the zone's `error_pages`. Headers stay, but for those that speak of the content.",
    parameters: &[
        ParameterRow::new(
            "content",
            "The body, at most 10 KB. `::CLIENT_IP::` and `::RAY_ID::` stand for the client's address and the Ray ID, \
             `::GEO::` for the code of the client's country, where there is a database of them.",
        ),
        ParameterRow::new("content_type", "`text/html`, `text/plain`, `text/xml` or `application/json`."),
        ParameterRow::new("status_code", "The status, 400 to 999. Unset: as it is."),
    ],
    read,
};

/// As documented.
const CONTENT_MAX: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    status_code: Option<u16>,
    #[serde(default)]
    asset_name: Option<String>,
}

const NEEDED: &str = "action serve_error needs \"content\" and \"content_type\"";

fn read(reading: &mut Reading<'_, '_>) -> Option<Act> {
    let given: Parameters = reading.needed(NEEDED)?;
    let (place, wrong) = (reading.place, &mut *reading.wrong);
    let before = wrong.len();
    if given.asset_name.is_some() {
        let message = "this edge keeps no assets, which Cloudflare fetches by itself; write the page into \"content\"";
        wrong.push(place.key("asset_name").error(message));
        return None;
    }
    let (Some(content), Some(content_type)) = (given.content, given.content_type) else {
        wrong.push(place.error(NEEDED));
        return None;
    };
    if content.is_empty() || content.len() > CONTENT_MAX {
        let message = format!("the content has {} bytes; it can have 1 to {CONTENT_MAX}", content.len());
        wrong.push(place.key("content").error(message));
    }
    let content_type = super::content_type(&content_type, &place.key("content_type"), wrong);
    if let Some(status) = given.status_code.filter(|status| !(400..=999).contains(status)) {
        let message = format!("an error has a status of 400 to 999, not {status}");
        wrong.push(place.key("status_code").error(message));
    }
    let page = ErrorPage { status: given.status_code, content_type: content_type?, content: Bytes::from(content) };
    (wrong.len() == before).then(|| Act::ServeError(Arc::new(page)))
}
