//! The phases of a request's life in which rules run, in the documented order
//! (`cloudflare/cloudflare-docs`, `ruleset-engine/reference/phases-list`).

use std::fmt;

/// A phase. Their order is the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// `http_request_sanitize`: URL normalisation.
    RequestSanitize,
    /// `http_request_dynamic_redirect`: redirects by rule.
    RequestDynamicRedirect,
    /// `http_request_transform`: URL rewrites.
    RequestTransform,
    /// `http_config_settings`: settings by rule.
    ConfigSettings,
    /// `http_request_origin`: where the request goes.
    RequestOrigin,
    /// `ddos_l7`: floods.
    DdosL7,
    /// `http_request_firewall_custom`: the user's own rules.
    RequestFirewallCustom,
    /// `http_ratelimit`: rate limits.
    RateLimit,
    /// `http_request_api_gateway_late`: API schemas; internal.
    RequestApiGatewayLate,
    /// `http_request_firewall_managed`: managed rulesets.
    RequestFirewallManaged,
    /// `http_request_sbfm`: bots.
    RequestBots,
    /// `http_request_redirect`: redirects from lists.
    RequestRedirect,
    /// `http_request_late_transform`: request headers.
    RequestLateTransform,
    /// `http_custom_errors`: error pages.
    CustomErrors,
    /// `http_response_headers_transform`: response headers.
    ResponseHeadersTransform,
    /// `http_response_compression`: content coding by rule.
    ResponseCompression,
    /// `http_response_firewall_managed`: managed rulesets on responses.
    ResponseFirewallManaged,
    /// `http_log_custom_fields`: what the event says beside its columns.
    LogCustomFields,
}

impl Phase {
    /// Every phase in the order in which they run.
    pub const ALL: [Self; 18] = [
        Self::RequestSanitize,
        Self::RequestDynamicRedirect,
        Self::RequestTransform,
        Self::ConfigSettings,
        Self::RequestOrigin,
        Self::DdosL7,
        Self::RequestFirewallCustom,
        Self::RateLimit,
        Self::RequestApiGatewayLate,
        Self::RequestFirewallManaged,
        Self::RequestBots,
        Self::RequestRedirect,
        Self::RequestLateTransform,
        Self::CustomErrors,
        Self::ResponseHeadersTransform,
        Self::ResponseCompression,
        Self::ResponseFirewallManaged,
        Self::LogCustomFields,
    ];

    /// The documented name.
    pub fn name(self) -> &'static str {
        match self {
            Self::RequestSanitize => "http_request_sanitize",
            Self::RequestDynamicRedirect => "http_request_dynamic_redirect",
            Self::RequestTransform => "http_request_transform",
            Self::ConfigSettings => "http_config_settings",
            Self::RequestOrigin => "http_request_origin",
            Self::DdosL7 => "ddos_l7",
            Self::RequestFirewallCustom => "http_request_firewall_custom",
            Self::RateLimit => "http_ratelimit",
            Self::RequestApiGatewayLate => "http_request_api_gateway_late",
            Self::RequestFirewallManaged => "http_request_firewall_managed",
            Self::RequestBots => "http_request_sbfm",
            Self::RequestRedirect => "http_request_redirect",
            Self::RequestLateTransform => "http_request_late_transform",
            Self::CustomErrors => "http_custom_errors",
            Self::ResponseHeadersTransform => "http_response_headers_transform",
            Self::ResponseCompression => "http_response_compression",
            Self::ResponseFirewallManaged => "http_response_firewall_managed",
            Self::LogCustomFields => "http_log_custom_fields",
        }
    }

    /// The phase of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }

    /// What its rules are for, in one sentence.
    pub fn summary(self) -> &'static str {
        match self {
            Self::RequestSanitize => "URL normalisation, before any rule reads the URL.",
            Self::RequestDynamicRedirect => "Redirects by rule.",
            Self::RequestTransform => {
                "Rewrites of path and query. Later phases see the new ones; `raw.*` fields never change."
            }
            Self::ConfigSettings => "Settings by rule.",
            Self::RequestOrigin => "Where the request goes; `http.host` stays what the client asked for.",
            Self::DdosL7 => "Floods of requests.",
            Self::RequestFirewallCustom => "The user's own rules.",
            Self::RateLimit => "Limits of how often a client may ask.",
            Self::RequestApiGatewayLate => "Schemas of APIs; internal.",
            Self::RequestFirewallManaged => "Managed rulesets on requests.",
            Self::RequestBots => "Bots.",
            Self::RequestRedirect => "Redirects from lists.",
            Self::RequestLateTransform => "Headers of the request as the origin gets it.",
            Self::CustomErrors => "Error pages.",
            Self::ResponseHeadersTransform => "Headers of the response as the client gets it.",
            Self::ResponseCompression => "Content codings by rule.",
            Self::ResponseFirewallManaged => "Managed rulesets on responses.",
            Self::LogCustomFields => "What the event says beside its columns.",
        }
    }

    /// Whether the response is known when the phase runs.
    pub fn sees_response(self) -> bool {
        self >= Self::CustomErrors
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_stand_in_the_order_in_which_they_run() {
        assert!(Phase::ALL.is_sorted());
        for phase in Phase::ALL {
            assert_eq!(Phase::by_name(phase.name()), Some(phase));
            assert!(phase.summary().ends_with('.'));
        }
        assert_eq!(Phase::by_name("http_request_firewall"), None);
    }

    #[test]
    fn only_phases_after_the_origin_see_the_response() {
        assert!(!Phase::RequestLateTransform.sees_response());
        assert!(Phase::CustomErrors.sees_response() && Phase::LogCustomFields.sees_response());
    }
}
