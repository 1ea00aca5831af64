//! `skip`: what comes later at the rule's own level is left out.

use std::collections::BTreeMap;
use std::sync::Arc;

use rules::Phase;
use serde::Deserialize;

use super::execute::no_ruleset;
use super::{ActionRow, ParameterRow, Reading, Ruleset, is_in_use, phases};
use crate::policy::diagnostic::{Diagnostic, Place};
use crate::policy::rule::Compiler;
use crate::policy::run::{Act, Exemption, Skip, bit};

pub(super) const ROW: ActionRow = ActionRow {
    name: "skip",
    phases: &[Phase::RequestFirewallCustom, Phase::RequestFirewallManaged],
    terminating: false,
    summary: "Leaves out rules that come later. Of the rest of a ruleset or phase, of rulesets and of rules it leaves out those \
              at its own level, which is that of the account or of the zone. Phases that a rule of the account names are left out at both \
              levels, as documented; those that a rule of a zone names at that of the zone.",
    parameters: &[
        ParameterRow::new("ruleset", "`current`: the rest of the ruleset in which the rule stands."),
        ParameterRow::new("phase", "`current`: the rest of the phase."),
        ParameterRow::new("phases", "Later phases, by name."),
        ParameterRow::new("rulesets", "Rulesets that the phase would execute, by id; in a site file by name too."),
        ParameterRow::new(
            "rules",
            "Rules of such rulesets: a list of ids for each id of a ruleset; in a site file for each name too.",
        ),
        ParameterRow::new("products", "None of the documented products exists here; each is refused with what to use."),
    ],
    read,
};

/// The products that the documented `skip` knows, which are none of rulesets, and what stands in their place here.
const PRODUCTS: &[(&str, &str)] = &[
    ("bic", "there is no browser integrity check"),
    ("hot", "there is no hotlink protection"),
    ("rateLimit", "there are no rate limits of the old kind"),
    ("securityLevel", "there are no challenges by reputation"),
    ("uaBlock", "user agents are blocked by rules, which \"ruleset\", \"phase\" and \"phases\" skip"),
    ("waf", "managed rules are in a phase of their own: \"phases\": [\"http_request_firewall_managed\"] skips them"),
    ("zoneLockdown", "addresses are locked out by rules, which \"ruleset\", \"phase\" and \"phases\" skip"),
];

const SKIP_WHAT: &str = "action skip does not say what to skip; add \"ruleset\": \"current\", \"phase\": \"current\", \"phases\", \"rulesets\" or \"rules\"";

fn read(reading: &mut Reading<'_, '_>) -> Option<Act> {
    what(reading).map(|skip| Act::Skip(Arc::new(skip)))
}

fn what(reading: &mut Reading<'_, '_>) -> Option<Skip> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Parameters {
        #[serde(default)]
        ruleset: Option<String>,
        #[serde(default)]
        phase: Option<String>,
        #[serde(default)]
        phases: Vec<String>,
        #[serde(default)]
        products: Vec<String>,
        #[serde(default)]
        rulesets: Vec<String>,
        #[serde(default)]
        rules: BTreeMap<String, Vec<String>>,
    }
    let before = reading.wrong.len();
    let given: Parameters = reading.needed(SKIP_WHAT)?;
    let (compiler, phase) = (reading.compiler, reading.context.phase);
    let (place, wrong) = (reading.place, &mut *reading.wrong);
    for (key, value) in [("ruleset", &given.ruleset), ("phase", &given.phase)] {
        if let Some(value) = value
            && value != "current"
        {
            wrong.push(place.key(key).error(format!("{key} can only be \"current\", not \"{value}\"")));
        }
    }
    let mut skip =
        Skip { rest_of_ruleset: given.ruleset.is_some(), rest_of_phase: given.phase.is_some(), ..Skip::default() };
    for (index, name) in given.phases.iter().enumerate() {
        let (list, name) = (place.key("phases"), name.as_str());
        let place = list.index(index);
        match Phase::by_name(name) {
            None => wrong.push(place.error(format!("unknown phase \"{name}\"; the phases are {}", phases()))),
            Some(other) if !is_in_use(other) => {
                wrong.push(place.error(format!("phase {name} does nothing yet, so there is nothing to skip; remove it")));
            }
            Some(other) if other <= phase => wrong.push(place.error(format!(
                "phase {name} does not come after {phase}, so it cannot be skipped from there; \"phase\": \"current\" skips the rest of {phase}"
            ))),
            Some(other) => skip.phases |= bit(other),
        }
    }
    for (index, name) in given.products.iter().enumerate() {
        let list = place.key("products");
        let product = PRODUCTS.iter().find(|(product, _)| product == name);
        wrong.push(list.index(index).error(match product {
            Some((_, instead)) => format!("product {name} does not exist here: {instead}; remove it"),
            None => format!("unknown product \"{name}\"; remove it"),
        }));
    }
    let mut exemption = Exemption::default();
    for (index, id) in given.rulesets.iter().enumerate() {
        let list = place.key("rulesets");
        exempted(compiler, id, &list.index(index), wrong);
        exemption.rulesets.push(id.as_str().into());
    }
    for (id, rules) in &given.rules {
        let map = place.key("rules");
        let place = map.key(id);
        let Some(ruleset) = exempted(compiler, id, &place, wrong) else { continue };
        for (index, rule) in rules.iter().enumerate() {
            if ruleset.seclang.is_some() {
                let message = format!(
                    "ruleset \"{id}\" is of SecLang, whose rules know one another; skip it whole, or override the rule in execute"
                );
                wrong.push(place.index(index).error(message));
            } else if !ruleset.has(rule) {
                wrong.push(place.index(index).error(format!("ruleset \"{id}\" has no rule \"{rule}\"")));
            }
            exemption.rules.push((id.as_str().into(), rule.as_str().into()));
        }
    }
    if !exemption.rulesets.is_empty() || !exemption.rules.is_empty() {
        skip.exemption = Some(Arc::new(exemption));
    } else if !skip.rest_of_ruleset && !skip.rest_of_phase && skip.phases == 0 && wrong.len() == before {
        wrong.push(place.error(SKIP_WHAT));
    }
    (wrong.len() == before).then_some(skip)
}

fn exempted(compiler: Compiler<'_>, id: &str, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) -> Option<Arc<Ruleset>> {
    let Some(rulesets) = compiler.rulesets else {
        wrong.push(
            place.error("a rule inside a ruleset cannot skip rulesets; put it into the entry point of the phase"),
        );
        return None;
    };
    let Some(ruleset) = rulesets.get(id) else {
        wrong.push(place.error(no_ruleset(id, rulesets)));
        return None;
    };
    ruleset.clone()
}
