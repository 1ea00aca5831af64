//! The words of the language, for its reference: each with what it does, or why it is not here.
//!
//! Variables, operators and transformations are read from the tables that the engine runs on. Directives and actions are
//! taken apart where they are read, so their names stand here once more, and tests hold both to each other.

use crate::load;
use crate::operator;
use crate::transform::Transformation;
use crate::variable::{Kind, Variable};

/// A word of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// `directive`, `variable`, `operator`, `transformation` or `action`.
    pub kind: &'static str,
    /// As the manual writes it.
    pub name: &'static str,
    /// What it does, or why it is not here.
    pub about: &'static str,
    /// Whether it has an effect, has none but is read, or is refused.
    pub standing: Standing,
}

/// What becomes of a word in a rule file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does what it says.
    Works,
    /// It is read and has no effect.
    WithoutBearing,
    /// A file that has it is not loaded.
    Refused,
}

/// All words that the engine knows.
pub fn all() -> Vec<Word> {
    let word =
        |kind, standing| move |&(name, about): &(&'static str, &'static str)| Word { kind, name, about, standing };
    let mut words: Vec<Word> = DIRECTIVES.iter().map(word("directive", Standing::Works)).collect();
    words.extend(load::WITHOUT_BEARING.iter().map(word("directive", Standing::WithoutBearing)));
    words.extend(load::REFUSED.iter().map(word("directive", Standing::Refused)));
    words.extend(Variable::ALL.iter().map(|variable| {
        let about = match variable.kind() {
            _ if *variable == Variable::RequestBody => {
                "one value: of a form, of a body that no processor takes apart, and with ctl:forceRequestBodyVariable of any"
            }
            Kind::Scalar => "one value",
            Kind::Collection => "values with names",
            Kind::Names(_) => "names of another's values",
            Kind::Both(..) => "two collections after each other",
        };
        word("variable", Standing::Works)(&(variable.name(), about))
    }));
    words.extend(Variable::REFUSED.iter().map(word("variable", Standing::Refused)));
    words.extend(operator::names().map(|(name, takes_macros)| {
        let about = if takes_macros { "its argument may have macros" } else { "" };
        word("operator", Standing::Works)(&(name, about))
    }));
    words.extend(operator::REFUSED.iter().map(word("operator", Standing::Refused)));
    words.extend(Transformation::ALL.iter().map(|one| word("transformation", Standing::Works)(&(one.name(), ""))));
    words.extend(ACTIONS.iter().map(word("action", Standing::Works)));
    words.extend(load::REFUSED_ACTIONS.iter().map(word("action", Standing::Refused)));
    words
}

/// Whether a directive of that name, in lower case, is read.
pub(crate) fn is_directive(name: &str) -> bool {
    DIRECTIVES.iter().any(|(one, _)| one.eq_ignore_ascii_case(name))
}

/// The directives that are read, with or without effect.
pub(crate) fn directives() -> impl Iterator<Item = &'static str> {
    DIRECTIVES.iter().chain(&load::WITHOUT_BEARING).map(|(name, _)| *name)
}

/// The actions.
pub(crate) fn actions() -> impl Iterator<Item = &'static str> {
    ACTIONS.iter().map(|(name, _)| *name)
}

const DIRECTIVES: &[(&str, &str)] = &[
    ("Include", "reads another file, or all that a pattern names"),
    ("IncludeOptional", "the same; no file is no mistake"),
    ("SecRule", "looks at variables with an operator, and does its actions where that matches"),
    ("SecAction", "does its actions"),
    ("SecMarker", "a place that skipAfter names"),
    ("SecDefaultAction", "actions of the rules of a phase that say none of their own"),
    ("SecDataset", "a list of phrases or addresses by name, for operators that end in FromDataset"),
    ("SecRuleRemoveById", "takes rules away by number or range"),
    ("SecRuleRemoveByTag", "takes rules away by tag"),
    ("SecRuleRemoveByMsg", "takes rules away by message"),
    ("SecRuleUpdateTargetById", "changes what rules look at, by number or range"),
    ("SecRuleUpdateTargetByTag", "the same by tag"),
    ("SecRuleUpdateTargetByMsg", "the same by message"),
    ("SecRuleUpdateActionById", "changes the actions of a rule"),
    ("SecRuleEngine", "On, DetectionOnly or Off; the mode in which a rule set is loaded wins"),
    ("SecRequestBodyAccess", "whether bodies of requests are read"),
    ("SecRequestBodyLimit", "bytes of a body that are read"),
    ("SecRequestBodyNoFilesLimit", "bytes of a body without its files, beyond which that is an error"),
    ("SecRequestBodyLimitAction", "Reject or ProcessPartial"),
    ("SecRequestBodyJsonDepthLimit", "how deep JSON may be"),
    ("SecResponseBodyAccess", "whether bodies of responses are read"),
    ("SecResponseBodyLimit", "bytes of it that are read"),
    ("SecResponseBodyLimitAction", "Reject or ProcessPartial"),
    ("SecResponseBodyMimeType", "types of responses that are read"),
    ("SecResponseBodyMimeTypesClear", "forgets them"),
    ("SecArgumentsLimit", "how many arguments are read; what a query has beyond them is one more, a body is an error"),
    ("SecArgumentSeparator", "what stands between arguments"),
    ("SecCookieFormat", "0, Netscape's cookies"),
    ("SecUploadFileLimit", "how many files of a form are read"),
    (
        "SecCollectionTimeout",
        "seconds after which a persistent collection that was not changed is forgotten; 3600 unless said",
    ),
    ("SecWebAppId", "the value of WEBAPPID; rule sets with the same one share persistent collections"),
    ("SecComponentSignature", "named in the audit log"),
    ("SecSensorId", "named in the audit log"),
    ("SecAuditEngine", "On, Off or RelevantOnly: which requests have an entry in the audit log"),
    ("SecAuditLog", "the file of the audit log: of its path the edge takes the last part, in its state directory"),
    ("SecAuditLogType", "Serial, one file; Concurrent is refused"),
    ("SecAuditLogFormat", "JSON or Native"),
    ("SecAuditLogParts", "which sections an entry has"),
    ("SecAuditLogRelevantStatus", "statuses that are relevant"),
];

const ACTIONS: &[(&str, &str)] = &[
    ("id", "the rule's number"),
    ("phase", "1 to 5, request, response or logging"),
    ("pass", "goes on"),
    ("deny", "refuses the request"),
    ("drop", "closes the connection"),
    ("block", "does what SecDefaultAction says"),
    ("allow", "asks no more rules: at all, of this phase, of the request"),
    ("redirect", "sends the client elsewhere"),
    ("status", "the status of a refusal"),
    ("log", "tells of the match"),
    ("nolog", "does not"),
    ("auditlog", "tells of it in the audit log"),
    ("noauditlog", "does not"),
    ("severity", "0 to 7, or its name"),
    ("tag", "a label"),
    ("ver", "version of the rule set"),
    ("rev", "revision of the rule"),
    ("maturity", "0 to 9"),
    ("accuracy", "0 to 9"),
    ("msg", "what the match is called"),
    ("logdata", "what is told with it"),
    ("chain", "matches only if the next rule does too"),
    ("capture", "groups of a pattern become TX:0 to TX:9"),
    ("multiMatch", "asks before the transformations and after each"),
    ("t", "a transformation; none forgets those before"),
    ("skip", "leaves out rules by count"),
    ("skipAfter", "leaves out rules up to a marker"),
    ("setvar", "sets, adds to, subtracts from or removes a value"),
    ("expirevar", "a value of an open persistent collection is forgotten after so many seconds"),
    ("initcol", "opens a persistent collection, IP, GLOBAL or another, for a key"),
    ("setsid", "opens SESSION, and sets SESSIONID"),
    ("setuid", "opens USER, and sets USERID"),
    ("setrsc", "opens RESOURCE"),
    ("setenv", "sets a value of ENV"),
    ("xmlns", "what a prefix in a path into XML stands for"),
    ("ctl", "changes the engine for this request"),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn problems(text: &str) -> String {
        let found = load::text(text.as_bytes(), "test.conf", Path::new(".")).err().unwrap_or_default();
        found.iter().map(ToString::to_string).collect()
    }

    /// Names in lower case, of lines that begin with one in quotes.
    fn read_in<'s>(source: &'s str, before: &'s str) -> impl Iterator<Item = &'s str> {
        source
            .lines()
            .filter_map(move |line| line.trim_start().strip_prefix(before))
            .filter_map(|rest| rest.split_once('"').map(|(name, _)| name))
    }

    #[test]
    fn a_directive_of_the_table_is_known_to_the_loader_and_one_of_the_loader_is_in_the_table() {
        for (name, _) in DIRECTIVES {
            assert!(!problems(&format!("{name} a b c d e")).contains("there is no such directive"), "{name}");
        }
        for name in read_in(include_str!("load/mod.rs"), "(\"sec") {
            let known = DIRECTIVES
                .iter()
                .chain(&load::WITHOUT_BEARING)
                .any(|(one, _)| one.to_ascii_lowercase().strip_prefix("sec") == Some(name));
            assert!(known, "sec{name} is in no table");
        }
    }

    #[test]
    fn an_action_of_the_table_is_known_to_the_loader_and_one_of_the_loader_is_in_the_table() {
        for (name, _) in ACTIONS {
            assert!(!problems(&format!("SecAction \"{name}:x\"")).contains("there is no such action"), "{name}");
        }
        let source = include_str!("load/actions.rs");
        let add = source.split("fn add(").nth(1).and_then(|rest| rest.split("fn open(").next()).unwrap_or_default();
        for name in read_in(add, "\"").filter(|name| add.contains(&format!("            \"{name}\" =>"))) {
            assert!(ACTIONS.iter().any(|(one, _)| one.to_ascii_lowercase() == name), "{name} is in no table");
        }
    }

    #[test]
    fn each_word_is_listed_once() {
        let words = all();
        for (at, word) in words.iter().enumerate() {
            assert!(!words[..at].iter().any(|other| (other.kind, other.name) == (word.kind, word.name)), "{word:?}");
        }
    }
}
