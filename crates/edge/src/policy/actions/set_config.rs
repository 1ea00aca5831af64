//! `set_config`: settings that hold for some requests.

use std::sync::Arc;

use rules::Phase;
use serde::Deserialize;

use super::{ActionRow, ParameterRow, Reading};
use crate::policy::PastLimit;
use crate::policy::config::{Buffering, Config, HELD_MAX, Ssl};
use crate::policy::diagnostic::{Diagnostic, Place};
use crate::policy::read::read_value;
use crate::policy::run::Act;

pub(super) const ROW: ActionRow = ActionRow {
    name: "set_config",
    phases: &[Phase::ConfigSettings],
    terminating: false,
    summary: "Changes settings for the request. Rules add up key by key, and of several that give one key the last has its way. \
              The documented settings that are not named here have nothing behind them and are refused, each with the reason. \
              How the body is held can only be said before a rule reads it: then no rule of this phase or of one before may.",
    parameters: &[
        ParameterRow::new(
            "ssl",
            "How the origin is spoken to: `flexible` in clear text; `full` as the client is, with any certificate; `strict` as \
             the client is, with a valid one; `origin_pull` over TLS with a valid certificate. A server at port 80 or 443 is \
             then asked at the other one, at any other port where it is; a Unix socket stays as it is.",
        ),
        ParameterRow::new(
            "request_body_buffering",
            "`standard`: the body is held as far as rules read it. `none`: it is passed on as it arrives, rules see none of it \
             and `http.request.body.truncated` is true. `full`: all of it is held before the request goes on, up to 64 MiB and \
             for as long as the client takes.",
        ),
        ParameterRow::new(
            "bartizan_body_inspection_limit",
            "In the place of the zone's `body.inspection_limit`: bytes of a body that rules see.",
        ),
        ParameterRow::new("bartizan_body_wait_ms", "In the place of the zone's `body.wait_ms`."),
        ParameterRow::new(
            "bartizan_body_past_limit",
            "In the place of the zone's `body.past_limit`: `inspect_prefix` or `reject`.",
        ),
    ],
    read,
};

const CONTENT: &str = "responses are passed on as the origin wrote them";
const SCRIPTS: &str = "there is nothing of the kind in the pages that pass through here";

/// Documented settings that nothing here could follow, and why.
const REFUSED: &[(&str, &str)] = &[
    ("automatic_https_rewrites", CONTENT),
    ("autominify", CONTENT),
    ("bic", "there is no browser integrity check here; write a rule that blocks such requests"),
    ("disable_apps", SCRIPTS),
    ("disable_railgun", "there is no Railgun here"),
    ("disable_rum", SCRIPTS),
    ("disable_zaraz", SCRIPTS),
    ("email_obfuscation", CONTENT),
    ("fonts", CONTENT),
    (
        "hotlink_protection",
        "there is no hotlink protection here; write a rule on http.referer that blocks such requests",
    ),
    ("mirage", CONTENT),
    ("opportunistic_encryption", "no alternative service is announced here"),
    ("polish", CONTENT),
    ("response_body_buffering", "responses are never held here: they are passed on as they arrive"),
    ("rocket_loader", CONTENT),
    ("security_level", "there are no challenges by reputation here"),
    ("server_side_excludes", CONTENT),
    ("sxg", "no signed exchanges are made here"),
];

const NEEDED: &str = "action set_config does not say what to set; add \"ssl\", \"request_body_buffering\", \
                      \"bartizan_body_inspection_limit\", \"bartizan_body_wait_ms\" or \"bartizan_body_past_limit\"";

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Parameters {
    ssl: Option<String>,
    request_body_buffering: Option<String>,
    bartizan_body_inspection_limit: Option<usize>,
    bartizan_body_wait_ms: Option<u64>,
    bartizan_body_past_limit: Option<PastLimit>,
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Act> {
    let before = reading.wrong.len();
    let given = reading.parameters.and_then(serde_json::Value::as_object);
    let Some(given) = given.filter(|given| !given.is_empty()) else {
        reading.wrong.push(reading.place.error(NEEDED));
        return None;
    };
    let mut honoured = given.clone();
    for (key, reason) in REFUSED {
        if honoured.remove(*key).is_some() {
            reading.wrong.push(reading.place.key(key).error(format!("setting {key} does nothing here: {reason}")));
        }
    }
    let (place, wrong) = (reading.place, &mut *reading.wrong);
    let given: Parameters = read_value(&honoured.into(), place, wrong)?;
    let config = Config {
        ssl: given.ssl.and_then(|ssl| read_ssl(&ssl, &place.key("ssl"), wrong)),
        buffering: given
            .request_body_buffering
            .and_then(|mode| read_buffering(&mode, &place.key("request_body_buffering"), wrong)),
        inspection_limit: given.bartizan_body_inspection_limit,
        wait_ms: given.bartizan_body_wait_ms,
        past_limit: given.bartizan_body_past_limit,
    };
    if let Some(limit) = config.inspection_limit.filter(|limit| !(1..=HELD_MAX).contains(limit)) {
        let message = format!("bartizan_body_inspection_limit is {limit}; it can be 1 byte to 64 MiB");
        wrong.push(place.key("bartizan_body_inspection_limit").error(message));
    }
    if let Some(wait_ms) = config.wait_ms.filter(|wait_ms| *wait_ms > 600_000) {
        let message = format!("bartizan_body_wait_ms is {wait_ms}; it can be 0 to 600000");
        wrong.push(place.key("bartizan_body_wait_ms").error(message));
    }
    (wrong.len() == before).then(|| Act::SetConfig(Arc::new(config)))
}

fn read_ssl(name: &str, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) -> Option<Ssl> {
    let message = match name {
        "flexible" => return Some(Ssl::Flexible),
        "full" => return Some(Ssl::Full),
        "strict" => return Some(Ssl::Strict),
        "origin_pull" => return Some(Ssl::OriginPull),
        "off" => "\"off\" would send clients from HTTPS to plain HTTP, which this edge never does; \"flexible\" speaks to the \
                  origin in clear text"
            .to_owned(),
        other => format!("\"{other}\" is no mode of encryption; use flexible, full, strict or origin_pull"),
    };
    wrong.push(place.error(message));
    None
}

fn read_buffering(name: &str, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) -> Option<Buffering> {
    match name {
        "none" => Some(Buffering::None),
        "standard" => Some(Buffering::Standard),
        "full" => Some(Buffering::Full),
        other => {
            wrong.push(place.error(format!("\"{other}\" is no way to hold a body; use standard, none or full")));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_either_followed_or_refused() {
        assert!(REFUSED.is_sorted());
        for (name, _) in REFUSED {
            assert!(ROW.parameters.iter().all(|row| row.name != *name), "{name}");
        }
    }
}
