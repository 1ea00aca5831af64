//! Where expressions stand, and where a function is allowed.
//!
//! Cloudflare documents for each function in which rules it may be used. A rule that is refused there is refused here, so
//! that what is written here can be taken there.

use std::fmt;

use crate::phase::Phase;

/// What an expression is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Use {
    /// As the condition of a rule.
    Filter,
    /// As the path or query that a rewrite puts in place.
    UriValue,
    /// As the value that a rewrite gives a header.
    HeaderValue,
    /// As the target of a redirect.
    RedirectTarget,
}

impl Use {
    /// Every use.
    pub const ALL: [Self; 4] = [Self::Filter, Self::UriValue, Self::HeaderValue, Self::RedirectTarget];
}

/// Prints what such an expression is.
impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Filter => "a filter",
            Self::UriValue => "a new path or query",
            Self::HeaderValue => "a value of a header",
            Self::RedirectTarget => "a target of a redirect",
        })
    }
}

/// A place in which a function is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Every expression of that use.
    Use(Use),
    /// The filters of a phase.
    FilterOf(Phase),
    /// Every expression of a phase.
    Phase(Phase),
}

impl Place {
    fn holds(self, phase: Phase, used_as: Use) -> bool {
        match self {
            Self::Use(allowed) => allowed == used_as,
            Self::FilterOf(allowed) => (allowed, Use::Filter) == (phase, used_as),
            Self::Phase(allowed) => allowed == phase,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Use(used_as) => used_as.fmt(f),
            Self::FilterOf(phase) => write!(f, "a filter in {phase}"),
            Self::Phase(phase) => write!(f, "an expression in {phase}"),
        }
    }
}

/// The places in which a function is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// In every expression.
    Anywhere,
    /// In these only.
    Only(&'static [Place]),
}

impl Places {
    /// Whether an expression of that use in that phase is one of them.
    pub fn contain(self, phase: Phase, used_as: Use) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Only(places) => places.iter().any(|place| place.holds(phase, used_as)),
        }
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Only(places) = self else { return f.write_str("any expression") };
        for (at, place) in places.iter().enumerate() {
            let separator = match at {
                0 => "",
                at if at + 1 == places.len() => " or ",
                _ => ", ",
            };
            write!(f, "{separator}{place}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_use_or_a_phase_or_both() {
        let places = Places::Only(&[
            Place::Use(Use::HeaderValue),
            Place::FilterOf(Phase::RateLimit),
            Place::Phase(Phase::CustomErrors),
        ]);
        assert!(places.contain(Phase::RequestLateTransform, Use::HeaderValue));
        assert!(places.contain(Phase::RateLimit, Use::Filter));
        assert!(!places.contain(Phase::RateLimit, Use::UriValue));
        assert!(places.contain(Phase::CustomErrors, Use::Filter));
        assert!(!places.contain(Phase::RequestFirewallCustom, Use::Filter));
        assert_eq!(
            places.to_string(),
            "a value of a header, a filter in http_ratelimit or an expression in http_custom_errors"
        );
        assert!(Places::Anywhere.contain(Phase::RequestSanitize, Use::Filter));
    }
}
