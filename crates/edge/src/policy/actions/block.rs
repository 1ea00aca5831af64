//! `block`: the request ends here, with the edge's page or the rule's own words.

use std::sync::Arc;

use bytes::Bytes;
use rules::Phase;
use serde::Deserialize;

use super::{ActionRow, ParameterRow, Reading};
use crate::page::Reason;
use crate::policy::diagnostic::{Diagnostic, Place};
use crate::policy::read::read_value;
use crate::policy::run::{Act, Response, ResponseBody};

pub(super) const ROW: ActionRow = ActionRow {
    name: "block",
    phases: &[Phase::RequestFirewallCustom, Phase::RequestFirewallManaged],
    terminating: true,
    summary: "Answers the request with an error; it never reaches the origin.",
    parameters: &[
        ParameterRow::new("response.status_code", "The status, 400 to 499. Unset: 403."),
        ParameterRow::new("response.content", "The body, at most 30 KiB. Unset: the block page."),
        ParameterRow::new(
            "response.content_type",
            "`text/plain`, `text/html`, `text/xml` or `application/json`. Unset: `text/plain`.",
        ),
    ],
    read,
};

pub(super) fn default_block() -> Response {
    Response { status: 403, body: ResponseBody::Page(Reason::Blocked) }
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Act> {
    answer(reading.parameters, reading.place, reading.wrong).map(|response| Act::Block(Arc::new(response)))
}

fn answer(parameters: Option<&serde_json::Value>, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) -> Option<Response> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Parameters {
        #[serde(default)]
        response: Option<Answer>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Answer {
        #[serde(default)]
        status_code: Option<u16>,
        #[serde(default)]
        content_type: Option<String>,
        #[serde(default)]
        content: Option<String>,
    }
    let Some(parameters) = parameters else { return Some(default_block()) };
    let given: Parameters = read_value(parameters, place, wrong)?;
    let Some(answer) = given.response else { return Some(default_block()) };
    let (before, place) = (wrong.len(), place.key("response"));
    let status = answer.status_code.unwrap_or(403);
    if !(400..=499).contains(&status) {
        wrong
            .push(place.key("status_code").error(format!("a block answers with a status of 400 to 499, not {status}")));
    }
    let body = match (answer.content, answer.content_type) {
        (None, None) => ResponseBody::Page(Reason::Blocked),
        (Some(content), content_type) => {
            let content_type = content_type.as_deref().unwrap_or("text/plain");
            let content_type = super::content_type(content_type, &place.key("content_type"), wrong).unwrap_or_default();
            if content.len() > 30 << 10 {
                wrong.push(
                    place
                        .key("content")
                        .error(format!("the content is {} bytes long; at most 30 KiB are sent", content.len())),
                );
            }
            ResponseBody::Custom { content_type, content: Bytes::from(content) }
        }
        (None, Some(_)) => {
            wrong.push(place.key("content_type").error("a content type without content; add \"content\" or remove it"));
            ResponseBody::Page(Reason::Blocked)
        }
    };
    (wrong.len() == before).then_some(Response { status, body })
}
