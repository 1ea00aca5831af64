//! `log_custom_field`: headers and cookies that the request's event keeps.

use std::sync::Arc;

use http1::Known;
use rules::Phase;
use serde::Deserialize;

use super::{ActionRow, ParameterRow, Reading};
use crate::policy::changes::{CustomFields, ResponseField};
use crate::policy::diagnostic::{Diagnostic, Place};
use crate::policy::run::Act;

pub(super) const ROW: ActionRow = ActionRow {
    name: "log_custom_field",
    phases: &[Phase::LogCustomFields],
    terminating: false,
    summary: "Writes headers and cookies into the request's event (`RequestHeaders`, `ResponseHeaders` and `Cookies` of \
              `http_requests`), of each value at most 1024 bytes. Of several rules the last has its way.",
    parameters: &[
        ParameterRow::new(
            "request_fields",
            "Request headers as the client sent them: a list of objects with a `name` in lower case.",
        ),
        ParameterRow::new("transformed_request_fields", "Request headers as the origin got them."),
        ParameterRow::new(
            "response_fields",
            "Response headers as the client got them. `preserve_duplicates`: all values as an array, not the first alone.",
        ),
        ParameterRow::new("raw_response_fields", "Response headers as the origin sent them."),
        ParameterRow::new("cookie_fields", "Cookies of the request, by name."),
    ],
    read,
};

/// As documented: no more of a kind than this.
const FIELDS_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the documented names")]
struct Parameters {
    #[serde(default)]
    request_fields: Vec<Named>,
    #[serde(default)]
    transformed_request_fields: Vec<Named>,
    #[serde(default)]
    response_fields: Vec<NamedOnce>,
    #[serde(default)]
    raw_response_fields: Vec<NamedOnce>,
    #[serde(default)]
    cookie_fields: Vec<Named>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedOnce {
    name: String,
    #[serde(default)]
    preserve_duplicates: bool,
}

const NEEDED: &str = "action log_custom_field does not say what to log; add \"request_fields\", \
                      \"transformed_request_fields\", \"response_fields\", \"raw_response_fields\" or \"cookie_fields\"";

fn read(reading: &mut Reading<'_, '_>) -> Option<Act> {
    let given: Parameters = reading.needed(NEEDED)?;
    let (place, wrong) = (reading.place, &mut *reading.wrong);
    let before = wrong.len();
    let plain = |fields: Vec<Named>| fields.into_iter().map(|field| field.name.into()).collect::<Box<[Box<str>]>>();
    let response = |fields: Vec<NamedOnce>| {
        let fields = fields.into_iter();
        fields
            .map(|field| ResponseField { name: field.name.into(), all: field.preserve_duplicates })
            .collect::<Box<[ResponseField]>>()
    };
    let fields = CustomFields {
        raw_request: plain(given.request_fields),
        request: plain(given.transformed_request_fields),
        raw_response: response(given.raw_response_fields),
        response: response(given.response_fields),
        cookies: plain(given.cookie_fields),
    };
    let names = |fields: &[ResponseField]| fields.iter().map(|field| field.name.clone()).collect::<Vec<_>>();
    let (raw_response, response) = (names(&fields.raw_response), names(&fields.response));
    check(&fields.raw_request, &[], &place.key("request_fields"), wrong);
    check(&fields.request, &fields.raw_request, &place.key("transformed_request_fields"), wrong);
    check(&raw_response, &[], &place.key("raw_response_fields"), wrong);
    check(&response, &raw_response, &place.key("response_fields"), wrong);
    if fields.cookies.len() > FIELDS_MAX {
        wrong.push(place.key("cookie_fields").error(format!("at most {FIELDS_MAX} cookies can be logged")));
    }
    if wrong.len() == before && fields.is_empty() {
        wrong.push(place.error(NEEDED));
    }
    (wrong.len() == before).then(|| Act::LogFields(Arc::new(fields)))
}

/// Names of headers, none of which is among those that are logged in their other form.
fn check(names: &[Box<str>], raw: &[Box<str>], place: &Place<'_>, wrong: &mut Vec<Diagnostic>) {
    if names.len() > FIELDS_MAX {
        wrong.push(place.error(format!("at most {FIELDS_MAX} headers can be logged, not {}", names.len())));
    }
    for (index, name) in names.iter().enumerate() {
        let entry = place.index(index);
        let place = entry.key("name");
        if name.is_empty() || name.bytes().any(|byte| !byte.is_ascii_graphic() || byte.is_ascii_uppercase()) {
            wrong.push(place.error(format!("\"{name}\" is no name of a header in lower case")));
        } else if Known::of(name.as_bytes()) == Known::Cookie {
            wrong.push(place.error("cookies are logged one by one, under \"cookie_fields\""));
        }
        if raw.contains(name) {
            wrong.push(place.error(format!("header {name} is logged as it was sent already; choose one form")));
        }
    }
}
