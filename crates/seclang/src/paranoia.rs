//! Paranoia levels: how much of a Core Rule Set runs, which its own rules ask `TX` for.

/// The lowest and the highest.
pub const LEVELS: std::ops::RangeInclusive<u8> = 1..=4;

/// The numbers of rules that no file of a user holds: those that Bartizan puts around a rule set.
pub const OWN_IDS: std::ops::Range<u64> = 77_000_000..78_000_000;

/// What versions 4 and 3 of the Core Rule Set call it.
const NAMES: [&str; 4] =
    ["blocking_paranoia_level", "detection_paranoia_level", "paranoia_level", "executing_paranoia_level"];

/// The directive that sets a level. It stands after the setup of a rule set, which it wins over, and before its rules.
pub fn directive(level: u8) -> String {
    let id = OWN_IDS.start + 100;
    let values = NAMES.map(|name| format!("setvar:tx.{name}={level}")).join(",");
    format!("SecAction \"id:{id},phase:1,pass,nolog,{values}\"\n")
}

/// The level that a label of rules is for: `paranoia-level/2`, or `paranoia-level-2` as Cloudflare writes it.
pub fn of_label(label: &str) -> Option<u8> {
    let level = label.strip_prefix("paranoia-level")?.strip_prefix(['/', '-'])?;
    LEVELS.into_iter().find(|known| known.to_string() == level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_has_one_label_in_two_spellings() {
        for (label, level) in [
            ("paranoia-level/2", Some(2)),
            ("paranoia-level-4", Some(4)),
            ("paranoia-level/5", None),
            ("paranoia-level", None),
            ("paranoia-level/+2", None),
            ("paranoia-level-02", None),
            ("attack-sqli", None),
        ] {
            assert_eq!(of_label(label), level, "{label}");
        }
    }
}
