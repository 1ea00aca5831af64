//! The name of a proof, under which a log serves it: `epoch/previous hash/current hash`.

use std::fmt;
use std::str::FromStr;

use crate::refusal::Refusal;
use crate::{Digest, from_hexadecimal, hexadecimal};

/// What a proof is of. Plexi and WhatsApp write the epoch that the proof leads to; `akd` writes the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// The epoch.
    pub epoch: u64,
    /// The root hash that the proof starts from.
    pub previous: Digest,
    /// The root hash that it leads to.
    pub current: Digest,
}

impl FromStr for Name {
    type Err = Refusal;

    /// Reads what [`Name`] writes. A name is also a path, so that only one spelling is one: no sign, no leading zero, small
    /// letters.
    fn from_str(name: &str) -> Result<Self, Refusal> {
        let refused = |why: &str| Refusal::Name(format!("{name:?} {why}"));
        let [epoch, previous, current] =
            name.split('/').collect::<Vec<_>>().try_into().map_err(|_| refused("has not three parts"))?;
        let number = epoch.parse().ok().filter(|number: &u64| number.to_string() == epoch);
        Ok(Self {
            epoch: number.ok_or_else(|| refused("begins with no epoch"))?,
            previous: from_hexadecimal(previous).ok_or_else(|| refused("has no previous hash of 64 digits"))?,
            current: from_hexadecimal(current).ok_or_else(|| refused("has no current hash of 64 digits"))?,
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.epoch, hexadecimal(&self.previous), hexadecimal(&self.current))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_as_it_was_written() {
        let name = Name { epoch: 54, previous: [1; 32], current: [0xab; 32] };
        let written = format!("54/{}/{}", "01".repeat(32), "ab".repeat(32));
        assert_eq!(name.to_string(), written);
        assert_eq!(written.parse(), Ok(name));
    }

    #[test]
    fn what_is_no_name_says_which_part_is_none() {
        let hash = "01".repeat(32);
        for (name, why) in [
            (format!("54/{hash}"), "has not three parts"),
            (format!("54/{hash}/{hash}/"), "has not three parts"),
            (format!("+54/{hash}/{hash}"), "begins with no epoch"),
            (format!("054/{hash}/{hash}"), "begins with no epoch"),
            (format!("18446744073709551616/{hash}/{hash}"), "begins with no epoch"),
            (format!("54/{}/{hash}", &hash[1..]), "has no previous hash of 64 digits"),
            (format!("54/{hash}/{}", "AB".repeat(32)), "has no current hash of 64 digits"),
        ] {
            let refusal = name.parse::<Name>().unwrap_err();
            assert_eq!((refusal.check(), refusal.to_string().contains(why)), ("name", true), "{refusal}");
        }
    }
}
