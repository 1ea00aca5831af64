//! `redirect`: the client is sent elsewhere.

use std::sync::Arc;

use fields::FieldId;
use rules::{ListKind, Phase, Use};
use serde::Deserialize;

use super::{ActionRow, ParameterRow, Reading, words};
use crate::policy::redirect::location;
use crate::policy::run::{Act, Redirect};
use crate::policy::text::Given;

pub(super) const ROW: ActionRow = ActionRow {
    name: "redirect",
    phases: &[Phase::RequestDynamicRedirect, Phase::RequestRedirect],
    terminating: true,
    summary: "Answers with a `Location`. A target that is no URL and no path is no match, nor is a URL that the list does not have.",
    parameters: &[
        ParameterRow::new("from_value.target_url.value", "The target: an http or https URL, or a path."),
        ParameterRow::new("from_value.target_url.expression", "The same, as an expression over the request."),
        ParameterRow::new("from_value.status_code", "301, 302, 303, 307 or 308. Unset: 301, as documented."),
        ParameterRow::new("from_value.preserve_query_string", "Whether the request's query is appended. Unset: no."),
        ParameterRow::new(
            "from_list.name",
            "The list of kind redirect that says where each URL leads; in `http_request_redirect`, where nothing else is.",
        ),
        ParameterRow::new(
            "from_list.key",
            "The field that is looked up, which the rule's expression must read: `http.request.full_uri` (where unset) or \
             `raw.http.request.full_uri`.",
        ),
    ],
    read,
};

fn read(reading: &mut Reading<'_, '_>) -> Option<Act> {
    target(reading).map(|redirect| Act::Redirect(Arc::new(redirect)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    #[serde(default)]
    from_value: Option<FromValue>,
    #[serde(default)]
    from_list: Option<FromList>,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FromList {
    name: String,
    #[serde(default)]
    key: Option<String>,
}

fn target(reading: &mut Reading<'_, '_>) -> Option<Redirect> {
    let phase = reading.context.phase;
    let needed = if phase == Phase::RequestRedirect {
        "action redirect needs \"from_list\" with the \"name\" of a list of kind redirect"
    } else {
        "action redirect needs \"from_value\" with a \"target_url\""
    };
    let given: Parameters = reading.needed(needed)?;
    match (given.from_value, given.from_list) {
        (Some(_), Some(_)) => {
            reading.wrong.push(reading.place.error(format!("{needed}, and nothing else")));
            None
        }
        (Some(value), None) if phase == Phase::RequestDynamicRedirect => from_value(value, reading),
        (None, Some(list)) if phase == Phase::RequestRedirect => from_list(&list, reading),
        (Some(_), None) => {
            let message = format!("\"from_value\" is for rules in {}", Phase::RequestDynamicRedirect);
            reading
                .wrong
                .push(reading.place.key("from_value").error(format!("{message}; in {phase} use \"from_list\"")));
            None
        }
        (None, Some(_)) => {
            let message = format!("\"from_list\" is for rules in {}", Phase::RequestRedirect);
            reading
                .wrong
                .push(reading.place.key("from_list").error(format!("{message}; in {phase} use \"from_value\"")));
            None
        }
        (None, None) => {
            reading.wrong.push(reading.place.error(needed));
            None
        }
    }
}

fn from_value(given: FromValue, reading: &mut Reading<'_, '_>) -> Option<Redirect> {
    let (context, place, wrong) = (reading.context, reading.place, &mut *reading.wrong);
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
    let FromValue { status_code: status, preserve_query_string, .. } = given;
    (wrong.len() == before).then_some(Redirect::Value { status, target, preserve_query_string })
}

/// The fields that hold a whole URL, of which one is looked up.
const KEYS: [FieldId; 2] = [FieldId::RequestFullUri, FieldId::RawRequestFullUri];

fn from_list(given: &FromList, reading: &mut Reading<'_, '_>) -> Option<Redirect> {
    let place = reading.place.key("from_list");
    let [usual, raw] = KEYS.map(FieldId::name);
    let written = given.key.as_deref().unwrap_or(usual);
    let Some(key) = KEYS.into_iter().find(|key| key.name() == written) else {
        let message = format!("\"{written}\" is no key; a URL is looked up as it stands in {usual} or {raw}");
        reading.wrong.push(place.key("key").error(message));
        return None;
    };
    // As documented: a rule that asks for one form of the URL and looks the other up would match, and redirect nobody.
    if reading.expression.is_some_and(|expression| !expression.fields().contains(key)) {
        let name = &given.name;
        let message = format!("the expression does not read {written}, which is looked up; write {written} in ${name}");
        reading.wrong.push(place.key("key").error(message));
    }
    let lists = reading.context.lists;
    match lists.get(&given.name) {
        Some(list) if list.kind() == ListKind::Redirect => Some(Redirect::List { list: Arc::clone(list), key }),
        found => {
            let kind = found.map(|list| format!("{} is a list of kind {}", given.name, list.kind()));
            let message = kind.unwrap_or_else(|| format!("there is no list \"{}\"", given.name));
            let known =
                lists.names().filter(|name| lists.get(name).is_some_and(|list| list.kind() == ListKind::Redirect));
            let way_out = match words(known) {
                known if known.is_empty() => "make one of kind redirect".to_owned(),
                known => format!("of kind redirect there is {known}"),
            };
            reading.wrong.push(place.key("name").error(format!("{message}; {way_out}")));
            None
        }
    }
}
