//! Small numbers for the header names that a proxy looks for, found once while parsing so that nobody compares strings
//! afterwards. The table below is the only list; the lookup is a hash that is proven free of collisions at compile time.

const SLOTS: usize = 1024;

macro_rules! known {
    ($($variant:ident $name:literal;)+) => {
        /// A header name that means something to a proxy, or `Other`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        #[repr(u8)]
        pub enum Known {
            /// Any name that is not in the table.
            #[default]
            Other,
            $(#[doc = concat!("`", $name, "`")] $variant,)+
        }

        impl Known {
            /// Every known name, `Other` first; the position is the number.
            pub const ALL: &'static [Self] = &[Self::Other, $(Self::$variant),+];

            /// The name in lower case; empty for `Other`.
            pub const fn name(self) -> &'static str {
                match self { Self::Other => "", $(Self::$variant => $name),+ }
            }
        }
    };
}

known! {
    Host "host";
    Connection "connection";
    ContentLength "content-length";
    TransferEncoding "transfer-encoding";
    Upgrade "upgrade";
    Expect "expect";
    Te "te";
    Trailer "trailer";
    KeepAlive "keep-alive";
    Proxy "proxy";
    ProxyConnection "proxy-connection";
    ProxyAuthenticate "proxy-authenticate";
    ProxyAuthorization "proxy-authorization";
    ProxyAuthenticationInfo "proxy-authentication-info";
    Http2Settings "http2-settings";
    Accept "accept";
    AcceptEncoding "accept-encoding";
    AcceptLanguage "accept-language";
    AcceptRanges "accept-ranges";
    AccessControlAllowOrigin "access-control-allow-origin";
    Age "age";
    AltSvc "alt-svc";
    Authorization "authorization";
    CacheControl "cache-control";
    CdnLoop "cdn-loop";
    CfConnectingIp "cf-connecting-ip";
    CfConnectingIpv6 "cf-connecting-ipv6";
    CfIpcountry "cf-ipcountry";
    CfRay "cf-ray";
    CfVisitor "cf-visitor";
    CfWorker "cf-worker";
    ContentDisposition "content-disposition";
    ContentEncoding "content-encoding";
    ContentLanguage "content-language";
    ContentLocation "content-location";
    ContentRange "content-range";
    ContentSecurityPolicy "content-security-policy";
    ContentType "content-type";
    Cookie "cookie";
    Date "date";
    EarlyData "early-data";
    Etag "etag";
    Expires "expires";
    Forwarded "forwarded";
    GrpcTimeout "grpc-timeout";
    GrpcStatus "grpc-status";
    IfMatch "if-match";
    IfModifiedSince "if-modified-since";
    IfNoneMatch "if-none-match";
    IfRange "if-range";
    IfUnmodifiedSince "if-unmodified-since";
    LastModified "last-modified";
    Link "link";
    Location "location";
    MaxForwards "max-forwards";
    Origin "origin";
    Pragma "pragma";
    Priority "priority";
    Range "range";
    Referer "referer";
    RetryAfter "retry-after";
    SecChUa "sec-ch-ua";
    SecChUaMobile "sec-ch-ua-mobile";
    SecChUaPlatform "sec-ch-ua-platform";
    SecFetchDest "sec-fetch-dest";
    SecFetchMode "sec-fetch-mode";
    SecFetchSite "sec-fetch-site";
    SecFetchUser "sec-fetch-user";
    SecWebSocketAccept "sec-websocket-accept";
    SecWebSocketExtensions "sec-websocket-extensions";
    SecWebSocketKey "sec-websocket-key";
    SecWebSocketProtocol "sec-websocket-protocol";
    SecWebSocketVersion "sec-websocket-version";
    Server "server";
    SetCookie "set-cookie";
    Signature "signature";
    SignatureAgent "signature-agent";
    SignatureInput "signature-input";
    StrictTransportSecurity "strict-transport-security";
    TrueClientIp "true-client-ip";
    UpgradeInsecureRequests "upgrade-insecure-requests";
    UserAgent "user-agent";
    Vary "vary";
    Via "via";
    WwwAuthenticate "www-authenticate";
    XContentTypeOptions "x-content-type-options";
    XForwardedFor "x-forwarded-for";
    XForwardedHost "x-forwarded-host";
    XForwardedPort "x-forwarded-port";
    XForwardedProto "x-forwarded-proto";
    XFrameOptions "x-frame-options";
    XRealIp "x-real-ip";
    XRequestId "x-request-id";
    XRequestedWith "x-requested-with";
}

const _: () = assert!(Known::ALL.len() <= 128, "the set of known headers of a message is one u128");

impl Known {
    /// The number of a header name, in any letter case.
    #[inline]
    pub fn of(name: &[u8]) -> Self {
        let known = Self::of_token(name);
        if name.eq_ignore_ascii_case(known.name().as_bytes()) { known } else { Self::Other }
    }

    /// The number of a name that is known to be a token. Setting bit 5 makes letters small, leaves `-` and digits as they are, and makes no
    /// other token byte one of them.
    #[inline]
    pub(crate) fn of_token(name: &[u8]) -> Self {
        let candidate = SLOT[slot(name)];
        let expected = NAME[candidate as usize].as_bytes();
        if expected.len() == name.len() && is_folded(name, expected) { candidate } else { Self::Other }
    }

    /// Headers that end at this hop (RFC 9110 §7.6.1), and `Proxy`, which CGI programs take for `HTTP_PROXY`.
    #[inline]
    pub const fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::KeepAlive
                | Self::Te
                | Self::TransferEncoding
                | Self::Upgrade
                | Self::Http2Settings
                | Self::Proxy
                | Self::ProxyConnection
                | Self::ProxyAuthenticate
                | Self::ProxyAuthorization
                | Self::ProxyAuthenticationInfo
        )
    }

    /// Headers that frame, route or identify a request. They may not be named by `Connection`, which would take them from the
    /// origin, nor be imitated by a name with `_` for `-`, which CGI, WSGI and PHP turn into the same variable.
    pub(crate) const fn is_guarded(self) -> bool {
        matches!(
            self,
            Self::Host
                | Self::ContentLength
                | Self::ContentType
                | Self::ContentEncoding
                | Self::Expect
                | Self::Authorization
                | Self::Cookie
                | Self::SetCookie
                | Self::Forwarded
                | Self::TrueClientIp
                | Self::XForwardedFor
                | Self::XForwardedHost
                | Self::XForwardedPort
                | Self::XForwardedProto
                | Self::XRealIp
                | Self::CfConnectingIp
                | Self::CfConnectingIpv6
                | Self::CfIpcountry
                | Self::CfRay
                | Self::CfVisitor
                | Self::CfWorker
                | Self::TransferEncoding
        )
    }

    /// Fields that a trailer section may not carry (RFC 9110 §6.5.1): framing, routing, modifiers, authentication, content.
    pub const fn is_forbidden_trailer(self) -> bool {
        self.is_hop_by_hop()
            || self.is_guarded()
            || matches!(
                self,
                Self::Trailer
                    | Self::Accept
                    | Self::AcceptEncoding
                    | Self::AcceptLanguage
                    | Self::Age
                    | Self::CacheControl
                    | Self::ContentLanguage
                    | Self::ContentLocation
                    | Self::ContentRange
                    | Self::ContentDisposition
                    | Self::ContentSecurityPolicy
                    | Self::Date
                    | Self::Expires
                    | Self::IfMatch
                    | Self::IfModifiedSince
                    | Self::IfNoneMatch
                    | Self::IfRange
                    | Self::IfUnmodifiedSince
                    | Self::Location
                    | Self::MaxForwards
                    | Self::Origin
                    | Self::Pragma
                    | Self::Range
                    | Self::RetryAfter
                    | Self::StrictTransportSecurity
                    | Self::UserAgent
                    | Self::Vary
                    | Self::WwwAuthenticate
            )
    }

    #[inline]
    pub(crate) const fn bit(self) -> u128 {
        1 << (self as u8)
    }
}

/// Whether a token is a name in lower case of the same length, eight bytes at a time; the last eight may overlap those before.
#[inline]
fn is_folded(token: &[u8], name: &[u8]) -> bool {
    const SMALL: u64 = 0x2020_2020_2020_2020;
    let differs = |token: &[u8; 8], name: &[u8; 8]| (u64::from_ne_bytes(*token) | SMALL) ^ u64::from_ne_bytes(*name);
    let (Some(token_end), Some(name_end)) = (token.last_chunk(), name.last_chunk()) else {
        return token.iter().zip(name).all(|(&byte, &wanted)| byte | 0x20 == wanted);
    };
    let words = token.as_chunks().0.iter().zip(name.as_chunks().0);
    words.fold(differs(token_end, name_end), |sum, (token, name)| sum | differs(token, name)) == 0
}

/// Case-insensitive: bit 5 of a letter is set, and of `-` and digits it is set already.
#[inline]
const fn slot(name: &[u8]) -> usize {
    if name.is_empty() {
        return 0;
    }
    let first = (name[0] | 0x20) as u32;
    let middle = (name[name.len() / 2] | 0x20) as u32;
    let fourth_last = (name[name.len().saturating_sub(4)] | 0x20) as u32;
    let last = (name[name.len() - 1] | 0x20) as u32;
    let length = (name.len() as u32 & 31) << 24;
    let mixed = (first | (middle << 8) | (last << 16) | (length ^ (fourth_last << 5))).wrapping_mul(MULTIPLIER);
    (mixed >> (32 - SLOTS.trailing_zeros())) as usize
}

/// Found by trying odd numbers until no two names share a slot; the table below does not compile otherwise.
const MULTIPLIER: u32 = 0x442e_3d43;

static NAME: [&str; Known::ALL.len()] = {
    let mut names = [""; Known::ALL.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = Known::ALL[index].name();
        index += 1;
    }
    names
};

static SLOT: [Known; SLOTS] = {
    let mut table = [Known::Other; SLOTS];
    let mut index = 1;
    while index < Known::ALL.len() {
        let known = Known::ALL[index];
        let at = slot(known.name().as_bytes());
        assert!(matches!(table[at], Known::Other), "two known names share a slot: choose another MULTIPLIER");
        table[at] = known;
        index += 1;
    }
    table
};
