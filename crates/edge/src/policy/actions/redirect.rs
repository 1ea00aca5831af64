//! `redirect`: the client is sent elsewhere.

use std::sync::Arc;

use rules::{Phase, Use};
use serde::Deserialize;

use super::{ActionRow, ParameterRow, Reading};
use crate::policy::redirect::location;
use crate::policy::run::{Act, Redirect};
use crate::policy::text::Given;

pub(super) const ROW: ActionRow = ActionRow {
    name: "redirect",
    phases: &[Phase::RequestDynamicRedirect, Phase::RequestRedirect],
    terminating: true,
    summary: "Answers with a `Location`. A target that is no URL and no path is no match.",
    parameters: &[
        ParameterRow::new("from_value.target_url.value", "The target: an http or https URL, or a path."),
        ParameterRow::new("from_value.target_url.expression", "The same, as an expression over the request."),
        ParameterRow::new("from_value.status_code", "301, 302, 303, 307 or 308. Unset: 301, as documented."),
        ParameterRow::new("from_value.preserve_query_string", "Whether the request's query is appended. Unset: no."),
    ],
    read,
};

fn read(reading: &mut Reading<'_, '_>) -> Option<Act> {
    target(reading).map(|redirect| Act::Redirect(Arc::new(redirect)))
}

fn target(reading: &mut Reading<'_, '_>) -> Option<Redirect> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Parameters {
        #[serde(default)]
        from_value: Option<FromValue>,
        #[serde(default)]
        from_list: Option<serde_json::Value>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct FromValue {
        target_url: Given,
        #[serde(default = "moved_permanently")]
        status_code: u16,
        #[serde(default)]
        preserve_query_string: bool,
    }
    fn moved_permanently() -> u16 {
        301
    }
    const NEEDED: &str = "action redirect needs \"from_value\" with a \"target_url\"";
    let given: Parameters = reading.needed(NEEDED)?;
    let (context, place, wrong) = (reading.context, reading.place, &mut *reading.wrong);
    if given.from_list.is_some() {
        wrong.push(place.key("from_list").error("redirects from a list do nothing yet; use \"from_value\""));
        return None;
    }
    let Some(given) = given.from_value else {
        wrong.push(place.error(NEEDED));
        return None;
    };
    let (before, place) = (wrong.len(), place.key("from_value"));
    if !matches!(given.status_code, 301 | 302 | 303 | 307 | 308) {
        let message = format!("a redirect has the status 301, 302, 303, 307 or 308, not {}", given.status_code);
        wrong.push(place.key("status_code").error(message));
    }
    let place = place.key("target_url");
    let check = |value: &str| match location(value.as_bytes(), b"") {
        Some(_) => Ok(value.into()),
        None => Err(format!("\"{value}\" is no target; write an http or https URL, or a path that begins with /")),
    };
    let target = given.target_url.read("a target", Use::RedirectTarget, context, check, &place, wrong)?;
    let redirect = Redirect { status: given.status_code, target, preserve_query_string: given.preserve_query_string };
    (wrong.len() == before).then_some(redirect)
}
