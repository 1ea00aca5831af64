//! `log`: a match that is written down and nothing else.

use rules::Phase;

use super::{ActionRow, Reading};
use crate::policy::run::Act;

pub(super) const ROW: ActionRow = ActionRow {
    name: "log",
    phases: &[Phase::RequestFirewallCustom, Phase::RequestFirewallManaged],
    terminating: false,
    summary: "Leaves an event; the request goes on.",
    parameters: &[],
    read,
};

fn read(reading: &mut Reading<'_, '_>) -> Option<Act> {
    match reading.parameters.and_then(serde_json::Value::as_object) {
        Some(given) if !given.is_empty() => {
            reading.wrong.push(reading.place.error("action log takes no parameters; remove them"));
            None
        }
        _ => Some(Act::Log),
    }
}
