//! Why a message was refused. One table holds every reason with its metric label, its status and the text a person reads;
//! documentation, metrics and tests are read from it.

use std::fmt;

macro_rules! refusals {
    ($($variant:ident $name:literal $status:literal $text:literal;)+) => {
        /// A reason to refuse a message. The connection cannot be used afterwards, since where the next message would
        /// begin is no longer known.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Refusal {
            $(#[doc = $text] $variant,)+
        }

        impl Refusal {
            /// Every reason, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Label in metrics, events and test cases.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// Status code of the answer to a client. An origin's refused response is 502 whatever the reason.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status),+ }
            }

            const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

refusals! {
    BareLf "bare_lf" 400 "a line ends in LF alone; end every line with CR LF (RFC 9112 §2.2)";
    BareCr "bare_cr" 400 "a CR is not followed by LF; end every line with CR LF (RFC 9112 §2.2)";
    NulByte "nul_byte" 400 "the head has a NUL byte; remove it (RFC 9110 §5.5)";
    ControlByte "control_byte" 400 "the head has a control byte; only a tab is allowed, inside a header value (RFC 9110 §5.5)";
    TlsOnPlainPort "tls_on_plain_port" 400 "the client speaks TLS to a port without TLS; use http:// or another port";
    TooManyEmptyLines "too_many_empty_lines" 400 "more than two empty lines come before the request line; send none (RFC 9112 §2.2)";
    HeadTooLarge "head_too_large" 431 "the head is larger than `head_bytes`; send fewer or shorter headers (RFC 6585 §5)";
    TooManyHeaders "too_many_headers" 431 "the head has more header lines than `headers`; send fewer (RFC 6585 §5)";
    TargetTooLong "target_too_long" 414 "the request target is longer than `target_bytes`; send the data in a body (RFC 9110 §4.1)";
    MethodTooLong "method_too_long" 501 "the method is longer than `method_bytes`; use a registered method (RFC 9112 §3)";
    RequestLineWhitespace "request_line_whitespace" 400 "the request line must be method, space, target, space, version, with single spaces (RFC 9112 §3)";
    RequestLineIncomplete "request_line_incomplete" 400 "the request line has no target; send method, target and version (RFC 9112 §3)";
    InvalidMethod "invalid_method" 400 "the method has a byte that no token has; use letters (RFC 9110 §9.1)";
    MissingVersion "missing_version" 400 "the request line has no version; HTTP/0.9 is not spoken, send HTTP/1.1 (RFC 9112 §3)";
    InvalidVersion "invalid_version" 400 "the version is not written as HTTP/1.1 or HTTP/1.0 (RFC 9112 §2.3)";
    UnsupportedVersion "unsupported_version" 505 "the version is neither HTTP/1.1 nor HTTP/1.0; HTTP/2 begins with its own preface (RFC 9112 §2.3)";
    InvalidTarget "invalid_target" 400 "the request target is none of the four forms; begin it with / (RFC 9112 §3.2)";
    TargetNonAscii "target_non_ascii" 400 "the request target has a byte above 0x7f; percent-encode it (RFC 3986 §2.1)";
    FragmentInTarget "fragment_in_target" 400 "the request target has a # fragment; a client keeps it to itself (RFC 9112 §3.2.1)";
    UserinfoInTarget "userinfo_in_target" 400 "the request target names a user before @; send Authorization instead (RFC 9110 §4.2.4)";
    UnsupportedScheme "unsupported_scheme" 400 "the scheme is neither http nor https (RFC 9110 §4.2)";
    AuthorityFormNotConnect "authority_form_not_connect" 400 "a target of host:port is for CONNECT only; begin it with / (RFC 9112 §3.2.3)";
    ConnectTarget "connect_target" 400 "the target of CONNECT must be host:port (RFC 9112 §3.2.3)";
    AsteriskNotOptions "asterisk_not_options" 400 "the target * is for OPTIONS only (RFC 9112 §3.2.4)";
    WhitespaceBeforeHeaders "whitespace_before_headers" 400 "the first header line begins with whitespace (RFC 9112 §2.2)";
    ObsFold "obs_fold" 400 "a header value is folded over two lines; write it on one (RFC 9112 §5.2)";
    SpaceBeforeColon "space_before_colon" 400 "whitespace stands between a header name and its colon (RFC 9112 §5.1)";
    EmptyHeaderName "empty_header_name" 400 "a header line begins with its colon; give the header a name (RFC 9112 §5)";
    InvalidHeaderName "invalid_header_name" 400 "a header name has a byte that no token has (RFC 9110 §5.1)";
    MissingColon "missing_colon" 400 "a header line has no colon (RFC 9112 §5)";
    InvalidHeaderValue "invalid_header_value" 400 "a header value has a byte or an outer space that is not allowed in it (RFC 9110 §5.5, RFC 9113 §8.2.1)";
    LookalikeHeader "lookalike_header" 400 "a header name has _ where a name that routes or frames has -, and origins take one for the other; write -";
    MissingHost "missing_host" 400 "an HTTP/1.1 request has no Host header; send one (RFC 9112 §3.2)";
    DuplicateHost "duplicate_host" 400 "the request has more than one Host header; send one (RFC 9112 §3.2)";
    EmptyHost "empty_host" 400 "Host is empty; name the host that is asked for (RFC 9112 §3.2)";
    InvalidHost "invalid_host" 400 "Host or authority is no host name, IPv4 address or [IPv6] address (RFC 9110 §7.2)";
    InvalidPort "invalid_port" 400 "the port is not a number from 1 to 65535 without leading zeros (RFC 3986 §3.2.3)";
    HostMismatch "host_mismatch" 400 "the authority of the target is not that of Host; send the same in both (RFC 9112 §3.2)";
    DuplicateContentLength "duplicate_content_length" 400 "there is more than one Content-Length header; send one (RFC 9112 §6.3)";
    ContentLengthList "content_length_list" 400 "Content-Length is a list; send one number (RFC 9112 §6.3)";
    ContentLengthSign "content_length_sign" 400 "Content-Length has a sign; send digits alone (RFC 9110 §8.6)";
    ContentLengthLeadingZero "content_length_leading_zero" 400 "Content-Length has a leading zero, which some read as octal; leave it out (RFC 9110 §8.6)";
    ContentLengthOverflow "content_length_overflow" 400 "Content-Length is above 2^63 - 1 (RFC 9110 §8.6)";
    InvalidContentLength "invalid_content_length" 400 "Content-Length is not a decimal number (RFC 9110 §8.6)";
    ContentLengthWithTransferEncoding "content_length_with_transfer_encoding" 400 "both Content-Length and Transfer-Encoding are there; send one of them (RFC 9112 §6.3)";
    ContentLengthWithoutContent "content_length_without_content" 400 "Content-Length announces content but the stream ends with its head (RFC 9113 §8.1.1)";
    DuplicateTransferEncoding "duplicate_transfer_encoding" 400 "there is more than one Transfer-Encoding header; send one (RFC 9112 §6.1)";
    TransferEncodingNotChunked "transfer_encoding_not_chunked" 400 "Transfer-Encoding is not exactly `chunked`; compress with Content-Encoding (RFC 9112 §6.1)";
    TransferEncodingHttp10 "transfer_encoding_http10" 400 "Transfer-Encoding in an HTTP/1.0 message, which has none; send Content-Length (RFC 9112 §6.1)";
    InvalidConnection "invalid_connection" 400 "Connection is not a list of tokens (RFC 9110 §7.6.1)";
    TooManyConnectionOptions "too_many_connection_options" 400 "Connection names more than 16 headers; name fewer (RFC 9110 §7.6.1)";
    ConnectionNamesEndToEnd "connection_names_end_to_end" 400 "Connection names a header that frames, routes or identifies the message; such a header is for all recipients (RFC 9110 §7.6.1)";
    UnknownExpectation "unknown_expectation" 417 "Expect is not 100-continue (RFC 9110 §10.1.1)";
    UpgradeWithContent "upgrade_with_content" 400 "a request to upgrade has content, which would be read as the new protocol by some; send none (RFC 9110 §7.8)";
    ConnectWithContent "connect_with_content" 400 "CONNECT has Content-Length or Transfer-Encoding; send neither (RFC 9110 §9.3.6)";
    TraceWithContent "trace_with_content" 400 "TRACE has content; send none (RFC 9110 §9.3.8)";
    ChunkSizeMissing "chunk_size_missing" 400 "a chunk has no size; begin it with hexadecimal digits (RFC 9112 §7.1)";
    InvalidChunkSize "invalid_chunk_size" 400 "a chunk size has a byte that is no hexadecimal digit, such as a sign, a space or the x of 0x (RFC 9112 §7.1)";
    ChunkSizeOverflow "chunk_size_overflow" 400 "a chunk size has more than 16 digits or is above 2^63 - 1 (RFC 9112 §7.1)";
    ChunkBareLf "chunk_bare_lf" 400 "a chunk line ends in LF alone; end it with CR LF (RFC 9112 §7.1)";
    ChunkBareCr "chunk_bare_cr" 400 "a CR in a chunk line is not followed by LF (RFC 9112 §7.1)";
    ChunkExtensionByte "chunk_extension_byte" 400 "a chunk extension has a control byte (RFC 9112 §7.1.1)";
    ChunkExtensionsTooLarge "chunk_extensions_too_large" 400 "the chunk extensions of a body are larger than `chunk_extension_bytes`; send none (RFC 9112 §7.1.1)";
    ChunkDataUnterminated "chunk_data_unterminated" 400 "the data of a chunk is not followed by CR LF; its size does not fit its data (RFC 9112 §7.1)";
    TrailersTooLarge "trailers_too_large" 431 "the trailer section is larger than `trailer_bytes` or has more lines than `trailers` (RFC 9112 §7.1.2)";
    ForbiddenTrailer "forbidden_trailer" 400 "a trailer frames, routes, authenticates or describes the content; send it as a header (RFC 9110 §6.5.1)";
    BodyTruncated "body_truncated" 400 "the connection ended before the body did (RFC 9112 §8)";
    MissingPseudoHeader "missing_pseudo_header" 400 "an HTTP/2 request lacks :method, :scheme, :path or an authority (RFC 9113 §8.3.1)";
    DuplicatePseudoHeader "duplicate_pseudo_header" 400 "an HTTP/2 pseudo-header is there twice or where it may not be (RFC 9113 §8.3)";
    UppercaseHeaderName "uppercase_header_name" 400 "an HTTP/2 header name has an upper-case letter (RFC 9113 §8.2.1)";
    ConnectionSpecificHeader "connection_specific_header" 400 "an HTTP/2 message has a header about the connection, such as Connection or Transfer-Encoding (RFC 9113 §8.2.2)";
    TeNotTrailers "te_not_trailers" 400 "TE in an HTTP/2 request is not `trailers` (RFC 9113 §8.2.2)";
    InvalidStatusLine "invalid_status_line" 502 "the status line is not version, space, three digits, space, reason (RFC 9112 §4)";
    InvalidStatus "invalid_status" 502 "the status is below 100 (RFC 9110 §15)";
    ContentOnBodilessStatus "content_on_bodiless_status" 502 "a 1xx or 204 response announces content, which it cannot have (RFC 9110 §8.6, RFC 9112 §6.1)";
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

impl std::error::Error for Refusal {}
