//! Variables and collections: what a rule may ask about, by the names of the reference manual.

/// How a variable is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One value.
    Scalar,
    /// Values with names, in a list of their own.
    Collection,
    /// The names of another's values.
    Names(Variable),
    /// Two lists after each other.
    Both(Variable, Variable),
}

macro_rules! variables {
    ($($variant:ident $name:literal $kind:expr;)*) => {
        /// A variable of the language.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "the names of the manual say it")]
        pub enum Variable { $($variant),* }

        impl Variable {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in rules.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// How it is made.
            pub const fn kind(self) -> Kind {
                use Kind::{Both, Collection, Names, Scalar};
                match self { $(Self::$variant => $kind),* }
            }
        }
    };
}

variables! {
    Args "ARGS" Both(Variable::ArgsGet, Variable::ArgsPost);
    ArgsCombinedSize "ARGS_COMBINED_SIZE" Scalar;
    ArgsGet "ARGS_GET" Collection;
    ArgsGetNames "ARGS_GET_NAMES" Names(Variable::ArgsGet);
    ArgsNames "ARGS_NAMES" Both(Variable::ArgsGetNames, Variable::ArgsPostNames);
    ArgsPost "ARGS_POST" Collection;
    ArgsPostNames "ARGS_POST_NAMES" Names(Variable::ArgsPost);
    AuthType "AUTH_TYPE" Scalar;
    Duration "DURATION" Scalar;
    Env "ENV" Collection;
    Files "FILES" Collection;
    FilesCombinedSize "FILES_COMBINED_SIZE" Scalar;
    FilesNames "FILES_NAMES" Collection;
    FilesSizes "FILES_SIZES" Collection;
    FilesTmpContent "FILES_TMP_CONTENT" Collection;
    FullRequest "FULL_REQUEST" Scalar;
    FullRequestLength "FULL_REQUEST_LENGTH" Scalar;
    Global "GLOBAL" Collection;
    HighestSeverity "HIGHEST_SEVERITY" Scalar;
    InboundDataError "INBOUND_DATA_ERROR" Scalar;
    Ip "IP" Collection;
    MatchedVar "MATCHED_VAR" Scalar;
    MatchedVarName "MATCHED_VAR_NAME" Scalar;
    MatchedVars "MATCHED_VARS" Collection;
    MatchedVarsNames "MATCHED_VARS_NAMES" Collection;
    ModsecBuild "MODSEC_BUILD" Scalar;
    MultipartBoundaryQuoted "MULTIPART_BOUNDARY_QUOTED" Scalar;
    MultipartBoundaryWhitespace "MULTIPART_BOUNDARY_WHITESPACE" Scalar;
    MultipartCrlfLfLines "MULTIPART_CRLF_LF_LINES" Scalar;
    MultipartDataAfter "MULTIPART_DATA_AFTER" Scalar;
    MultipartDataBefore "MULTIPART_DATA_BEFORE" Scalar;
    MultipartFileLimitExceeded "MULTIPART_FILE_LIMIT_EXCEEDED" Scalar;
    MultipartFilename "MULTIPART_FILENAME" Collection;
    MultipartHeaderFolding "MULTIPART_HEADER_FOLDING" Scalar;
    MultipartInvalidHeaderFolding "MULTIPART_INVALID_HEADER_FOLDING" Scalar;
    MultipartInvalidPart "MULTIPART_INVALID_PART" Scalar;
    MultipartInvalidQuoting "MULTIPART_INVALID_QUOTING" Scalar;
    MultipartLfLine "MULTIPART_LF_LINE" Scalar;
    MultipartMissingSemicolon "MULTIPART_MISSING_SEMICOLON" Scalar;
    MultipartName "MULTIPART_NAME" Collection;
    MultipartPartHeaders "MULTIPART_PART_HEADERS" Collection;
    MultipartStrictError "MULTIPART_STRICT_ERROR" Scalar;
    MultipartUnmatchedBoundary "MULTIPART_UNMATCHED_BOUNDARY" Scalar;
    OutboundDataError "OUTBOUND_DATA_ERROR" Scalar;
    PathInfo "PATH_INFO" Scalar;
    QueryString "QUERY_STRING" Scalar;
    RemoteAddr "REMOTE_ADDR" Scalar;
    RemoteHost "REMOTE_HOST" Scalar;
    RemotePort "REMOTE_PORT" Scalar;
    RemoteUser "REMOTE_USER" Scalar;
    ReqbodyError "REQBODY_ERROR" Scalar;
    ReqbodyErrorMsg "REQBODY_ERROR_MSG" Scalar;
    ReqbodyProcessor "REQBODY_PROCESSOR" Scalar;
    ReqbodyProcessorError "REQBODY_PROCESSOR_ERROR" Scalar;
    ReqbodyProcessorErrorMsg "REQBODY_PROCESSOR_ERROR_MSG" Scalar;
    RequestBasename "REQUEST_BASENAME" Scalar;
    RequestBody "REQUEST_BODY" Scalar;
    RequestBodyLength "REQUEST_BODY_LENGTH" Scalar;
    RequestCookies "REQUEST_COOKIES" Collection;
    RequestCookiesNames "REQUEST_COOKIES_NAMES" Names(Variable::RequestCookies);
    RequestFilename "REQUEST_FILENAME" Scalar;
    RequestHeaders "REQUEST_HEADERS" Collection;
    RequestHeadersNames "REQUEST_HEADERS_NAMES" Names(Variable::RequestHeaders);
    RequestLine "REQUEST_LINE" Scalar;
    RequestMethod "REQUEST_METHOD" Scalar;
    RequestProtocol "REQUEST_PROTOCOL" Scalar;
    RequestUri "REQUEST_URI" Scalar;
    RequestUriRaw "REQUEST_URI_RAW" Scalar;
    Resource "RESOURCE" Collection;
    ResponseBody "RESPONSE_BODY" Scalar;
    ResponseContentLength "RESPONSE_CONTENT_LENGTH" Scalar;
    ResponseContentType "RESPONSE_CONTENT_TYPE" Scalar;
    ResponseHeaders "RESPONSE_HEADERS" Collection;
    ResponseHeadersNames "RESPONSE_HEADERS_NAMES" Names(Variable::ResponseHeaders);
    ResponseProtocol "RESPONSE_PROTOCOL" Scalar;
    ResponseStatus "RESPONSE_STATUS" Scalar;
    Rule "RULE" Collection;
    ServerAddr "SERVER_ADDR" Scalar;
    ServerName "SERVER_NAME" Scalar;
    ServerPort "SERVER_PORT" Scalar;
    Session "SESSION" Collection;
    SessionId "SESSIONID" Scalar;
    StatusLine "STATUS_LINE" Scalar;
    Time "TIME" Scalar;
    TimeDay "TIME_DAY" Scalar;
    TimeEpoch "TIME_EPOCH" Scalar;
    TimeHour "TIME_HOUR" Scalar;
    TimeMin "TIME_MIN" Scalar;
    TimeMon "TIME_MON" Scalar;
    TimeSec "TIME_SEC" Scalar;
    TimeWday "TIME_WDAY" Scalar;
    TimeYear "TIME_YEAR" Scalar;
    Tx "TX" Collection;
    UniqueId "UNIQUE_ID" Scalar;
    UrlencodedError "URLENCODED_ERROR" Scalar;
    User "USER" Collection;
    UserId "USERID" Scalar;
    WebAppId "WEBAPPID" Scalar;
    Xml "XML" Collection;
}

impl Variable {
    /// The manual's variables that are not here, and why.
    pub(crate) const REFUSED: [(&str, &str); 15] = [
        ("FILES_TMPNAMES", "no temporary file is written: FILES_TMP_CONTENT has what a file holds"),
        ("GEO", "there is no @geoLookup: use a rule of the edge with ip.src.country"),
        ("INBOUND_ERROR_DATA", "it is named INBOUND_DATA_ERROR"),
        ("OUTBOUND_ERROR_DATA", "it is named OUTBOUND_DATA_ERROR"),
        ("PERF_ALL", "timings are metrics of the edge"),
        ("SCRIPT_FILENAME", "there is no script behind a proxy"),
        ("SDBM_DELETE_ERROR", "collections are not kept in SDBM files"),
        ("JSON", "JSON becomes ARGS_POST, as ModSecurity v3 has it"),
        ("WEBSERVER_ERROR_LOG", "there is no web server whose log could be read"),
        ("REMOTE_IDENT", "nobody speaks identd"),
        ("MSC_PCRE_ERROR", "matching takes linear time and does not fail"),
        ("MSC_PCRE_LIMITS_EXCEEDED", "matching takes linear time and needs no limit"),
        ("STREAM_INPUT_BODY", "bodies are not rewritten: REQUEST_BODY has what there is"),
        ("STREAM_OUTPUT_BODY", "bodies are not rewritten: RESPONSE_BODY has what there is"),
        ("USERAGENT_IP", "REMOTE_ADDR is the client's address behind proxies too, where the site file trusts them"),
    ];

    /// The variable of that name, in any case.
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// Why the manual's variable of that name is not here, for those that are not.
    pub fn refused(name: &[u8]) -> Option<&'static str> {
        Self::REFUSED.iter().find(|(one, _)| one.as_bytes().eq_ignore_ascii_case(name)).map(|(_, why)| *why)
    }

    /// Whether values are chosen by name.
    pub fn has_names(self) -> bool {
        self.kind() != Kind::Scalar
    }

    /// Whether rules change what it holds while they run.
    pub(crate) const fn changes_within_a_phase(self) -> bool {
        self.is_of_matches()
            || matches!(
                self,
                Self::Tx | Self::Env | Self::Global | Self::Ip | Self::Resource | Self::Session | Self::User
            )
            || matches!(self, Self::SessionId | Self::UserId | Self::HighestSeverity | Self::ReqbodyProcessor)
            || matches!(self, Self::ReqbodyError | Self::ReqbodyErrorMsg)
            || matches!(self, Self::ReqbodyProcessorError | Self::ReqbodyProcessorErrorMsg)
    }

    /// Whether it says what matched.
    pub(crate) const fn is_of_matches(self) -> bool {
        matches!(self, Self::MatchedVar | Self::MatchedVarName | Self::MatchedVars | Self::MatchedVarsNames)
    }

    /// Whether what it holds outlives the request.
    pub fn is_persistent(self) -> bool {
        matches!(self, Self::Global | Self::Ip | Self::Resource | Self::Session | Self::User)
    }
}

/// Some of the variables, a bit for each.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Variables([u64; Variable::ALL.len().div_ceil(64)]);

impl Variables {
    pub(crate) const fn contains(&self, one: Variable) -> bool {
        self.0[one as usize / 64] >> (one as usize % 64) & 1 == 1
    }
}

impl FromIterator<Variable> for Variables {
    fn from_iter<T: IntoIterator<Item = Variable>>(all: T) -> Self {
        let mut set = Self::default();
        for one in all {
            set.0[one as usize / 64] |= 1 << (one as usize % 64);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_variables_has_those_that_were_put_in() {
        let wanted = |one: Variable| (one as usize).is_multiple_of(3);
        let set: Variables = Variable::ALL.iter().copied().filter(|one| wanted(*one)).collect();
        assert!(Variable::ALL.iter().all(|one| set.contains(*one) == wanted(*one)));
    }

    #[test]
    fn a_name_is_found_in_any_case() {
        assert_eq!(Variable::named(b"request_Headers"), Some(Variable::RequestHeaders));
        assert_eq!(Variable::named(b"REQUEST_HEADER"), None);
        assert!(Variable::refused(b"geo").is_some());
        for one in Variable::ALL {
            assert_eq!(Variable::named(one.name().as_bytes()), Some(*one));
            assert!(Variable::refused(one.name().as_bytes()).is_none());
        }
    }
}
