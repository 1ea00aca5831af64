//! What rules change of how a request is treated, and how its body is held as a result.
//!
//! The phase of such rules comes before the body is held, so that they can say how; a policy in which a rule needs the body
//! before they have spoken is refused ([`super::compile`]).

use crate::origin::Scheme;

use super::document::{BodySettings, PastLimit};

/// What rules have said of a request; what they have not said stays as the zone has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// How the origin is spoken to.
    pub ssl: Option<Ssl>,
    /// Whether the body is held.
    pub buffering: Option<Buffering>,
    /// In the place of [`BodySettings::inspection_limit`].
    pub inspection_limit: Option<usize>,
    /// In the place of [`BodySettings::wait_ms`].
    pub wait_ms: Option<u64>,
    /// In the place of [`BodySettings::past_limit()`].
    pub past_limit: Option<PastLimit>,
}

/// The documented modes of encryption, as far as they concern the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ssl {
    /// Never encrypted.
    Flexible,
    /// As the client is spoken to, by any certificate.
    Full,
    /// As the client is spoken to, by a valid certificate.
    Strict,
    /// Always encrypted, by a valid certificate.
    OriginPull,
}

/// Whether a request body is held before the request goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Buffering {
    /// It is passed on as it arrives, and no rule sees it.
    None,
    /// As far as rules read it.
    #[default]
    Standard,
    /// Whole, whether rules read it or not.
    Full,
}

/// How a body is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyHold {
    /// Bytes held at most.
    pub limit: usize,
    /// Bytes of them that rules see.
    pub inspected: usize,
    /// Time waited at most, 0 as long as it takes.
    pub wait_ms: u64,
    /// What happens to a body that cannot be held so.
    pub past_limit: PastLimit,
}

/// The most that can be held of one body, as the setting of a zone has it.
pub(super) const HELD_MAX: usize = 64 << 20;

impl Config {
    /// Adds what a later rule says, which has its way.
    pub(super) fn merge(&mut self, later: &Self) {
        self.ssl = later.ssl.or(self.ssl);
        self.buffering = later.buffering.or(self.buffering);
        self.inspection_limit = later.inspection_limit.or(self.inspection_limit);
        self.wait_ms = later.wait_ms.or(self.wait_ms);
        self.past_limit = later.past_limit.or(self.past_limit);
    }

    /// Whether it says anything of the body.
    pub(super) fn concerns_body(&self) -> bool {
        *self != Self { ssl: self.ssl, ..Self::default() }
    }

    /// How the body of a request is held in a zone with these settings; nothing where it is not. `is_read`: whether a rule
    /// will look at it.
    pub(super) fn body_hold(&self, of_zone: BodySettings, is_read: bool) -> Option<BodyHold> {
        let inspected = self.inspection_limit.unwrap_or(of_zone.inspection_limit);
        let past_limit = self.past_limit.unwrap_or(of_zone.past_limit());
        let hold = |limit, wait_ms| BodyHold { limit, inspected, wait_ms, past_limit };
        match self.buffering.unwrap_or_default() {
            Buffering::None => None,
            Buffering::Standard => is_read.then(|| hold(inspected, self.wait_ms.unwrap_or(of_zone.wait_ms))),
            Buffering::Full => Some(hold(HELD_MAX, 0)),
        }
    }
}

impl Ssl {
    /// How the origin of a request is spoken to whose client uses `https` or not.
    pub(super) fn scheme(self, client_https: bool) -> Scheme {
        match self {
            Self::Full if client_https => Scheme::Https { verify: false },
            Self::Strict if client_https => Scheme::Https { verify: true },
            Self::OriginPull => Scheme::Https { verify: true },
            Self::Flexible | Self::Full | Self::Strict => Scheme::Http,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_of_encryption_goes_by_what_the_client_uses() {
        let (plain, any, valid) = (Scheme::Http, Scheme::Https { verify: false }, Scheme::Https { verify: true });
        for (ssl, over_http, over_https) in [
            (Ssl::Flexible, plain, plain),
            (Ssl::Full, plain, any),
            (Ssl::Strict, plain, valid),
            (Ssl::OriginPull, valid, valid),
        ] {
            assert_eq!((ssl.scheme(false), ssl.scheme(true)), (over_http, over_https), "{ssl:?}");
        }
    }

    #[test]
    fn a_body_is_held_as_the_zone_has_it_unless_rules_say_otherwise() {
        let zone = BodySettings::default();
        let none = Config::default();
        let usual =
            BodyHold { limit: 131_072, inspected: 131_072, wait_ms: 1_000, past_limit: PastLimit::InspectPrefix };
        assert_eq!((none.body_hold(zone, true), none.body_hold(zone, false)), (Some(usual), None));
        let mut config = Config { inspection_limit: Some(10), wait_ms: Some(5), ..none };
        config.merge(&Config { inspection_limit: Some(20), past_limit: Some(PastLimit::Reject), ..none });
        let own = BodyHold { limit: 20, inspected: 20, wait_ms: 5, past_limit: PastLimit::Reject };
        assert_eq!(config.body_hold(zone, true), Some(own));
        config.merge(&Config { buffering: Some(Buffering::Full), ..none });
        let whole = BodyHold { limit: HELD_MAX, wait_ms: 0, ..own };
        assert_eq!(config.body_hold(zone, false), Some(whole));
        config.merge(&Config { buffering: Some(Buffering::None), ..none });
        assert_eq!(config.body_hold(zone, true), None);
        assert!(config.concerns_body() && !Config { ssl: Some(Ssl::Full), ..none }.concerns_body());
    }
}
