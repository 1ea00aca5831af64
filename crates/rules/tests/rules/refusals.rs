//! What is refused, where the caret points, and what is suggested instead.

use std::sync::Arc;

use rules::{Cache, Context, Error, List, ListKind, Lists, Phase, Use};

fn refusal(expression: &str) -> Error {
    let mut lists = Lists::default();
    lists.insert("office", Arc::new(List::new(ListKind::Ip, ["192.0.2.0/24"]).unwrap()));
    lists.insert("names", Arc::new(List::new(ListKind::Hostname, ["shop.example"]).unwrap()));
    let cache = Cache::default();
    let context = Context { phase: Phase::RequestFirewallCustom, used_as: Use::Filter, lists: &lists, cache: &cache };
    match rules::compile(expression, &context) {
        Err(error) => error,
        Ok(compiled) => panic!("{expression} was accepted as {compiled}"),
    }
}

/// Expression, message, column, expected, suggestion.
type Case = (&'static str, &'static str, usize, Option<&'static str>, Option<&'static str>);

fn check(cases: &[Case]) {
    for (expression, message, column, expected, suggestion) in cases {
        let error = refusal(expression);
        assert_eq!(
            (error.message.as_str(), error.column, error.expected.as_deref(), error.suggestion.as_deref()),
            (*message, *column, *expected, *suggestion),
            "{expression}"
        );
    }
}

const OPERATORS: Option<&str> =
    Some("eq, ne, lt, le, gt, ge, contains, matches, wildcard, strict wildcard, in, and, or, xor");
const AFTER: Option<&str> = Some("and, or, xor, or the end of the condition");

#[test]
fn unknown_names_are_told_with_the_nearest_known_one() {
    check(&[
        ("http.hots eq \"a\"", "unknown field \"http.hots\"", 1, None, Some("http.host")),
        ("ssl and HTTP.host eq \"a\"", "unknown field \"HTTP.host\"", 9, None, Some("http.host")),
        (
            "http.request.uri.pth eq \"/\"",
            "unknown field \"http.request.uri.pth\"",
            1,
            None,
            Some("http.request.uri.path"),
        ),
        ("completely.different eq 1", "unknown field \"completely.different\"", 1, None, None),
        (
            "http.request.headers.Accept eq \"a\"",
            "unknown field \"http.request.headers.Accept\"",
            1,
            None,
            Some("http.request.headers[\"accept\"][0]"),
        ),
        ("lowercase(http.host) eq \"a\"", "unknown function \"lowercase\"", 1, None, None),
        ("lwer(http.host) eq \"a\"", "unknown function \"lwer\"", 1, None, Some("lower")),
        (
            "http.host() eq \"a\"",
            "unknown function \"http.host\"",
            1,
            Some("no parentheses: this is a field"),
            Some("http.host"),
        ),
        ("lower eq \"a\"", "lower is a function", 1, Some("its arguments in parentheses"), Some("lower(…)")),
        ("http.host equals \"a\"", "unknown operator \"equals\"", 11, None, Some("eq")),
        ("http.host contians \"a\"", "unknown operator \"contians\"", 11, OPERATORS, Some("contains")),
        ("http.host like \"a\"", "unknown operator \"like\"", 11, OPERATORS, None),
        (
            "http.host ends_with \"a\"",
            "unknown operator \"ends_with\"",
            11,
            Some("a call: ends_with is a function"),
            Some("ends_with(field, \"text\")"),
        ),
        (
            "ip.src not in {192.0.2.1}",
            "unknown operator \"not\"",
            8,
            Some("not before the whole condition"),
            Some("not field in {…}"),
        ),
        ("ip.src in $ofice", "there is no list $ofice", 11, None, Some("$office")),
        ("ip.src in $nowhere_near", "there is no list $nowhere_near", 11, None, None),
    ]);
}

#[test]
fn types_that_do_not_fit_are_told_with_what_would() {
    check(&[
        (
            "http.host eq 5",
            "http.host is String, and this is an Integer",
            14,
            Some("a string in double quotes"),
            Some("\"5\""),
        ),
        (
            "cf.edge.server_port eq \"443\"",
            "cf.edge.server_port is Integer, and this is a String",
            24,
            Some("a number without quotes"),
            Some("443"),
        ),
        (
            "ip.src eq \"192.0.2.1\"",
            "ip.src is IP address, and this is a String",
            11,
            Some("an address without quotes"),
            Some("192.0.2.1"),
        ),
        (
            "ssl eq \"true\"",
            "ssl is Boolean, and this is a String",
            8,
            Some("true or false without quotes"),
            Some("true"),
        ),
        ("ssl eq 1", "ssl is Boolean, and this is an Integer", 8, Some("true or false without quotes"), None),
        (
            "ip.src lt 192.0.2.1",
            "lt does not apply to IP address",
            1,
            Some("eq, ne or in"),
            Some("ip.src in {first..last}"),
        ),
        (
            "cf.edge.server_port contains \"4\"",
            "contains does not apply to Integer",
            1,
            Some("eq, ne, lt, le, gt, ge or in"),
            None,
        ),
        (
            "ssl gt true",
            "gt does not apply to Boolean",
            1,
            Some("the condition on its own, or eq and ne with true or false"),
            None,
        ),
        (
            "http.request.headers[\"a\"] eq \"x\"",
            "http.request.headers[\"a\"] is Array<String>, and eq compares one value",
            1,
            Some("an element of it"),
            Some("any(http.request.headers[\"a\"][*] eq …)"),
        ),
        (
            "http.request.headers contains \"x\"",
            "http.request.headers is Map<Array<String>>, and contains compares one value",
            1,
            Some("a key in double quotes and an element"),
            Some("any(http.request.headers[\"…\"][*] contains …)"),
        ),
        (
            "http.host",
            "http.host is String, which is no condition",
            1,
            Some("a comparison such as eq, contains or in"),
            None,
        ),
        (
            "ssl and ip.src",
            "ip.src is IP address, which is no condition",
            9,
            Some("a comparison such as eq or in"),
            None,
        ),
        (
            "not len(http.host)",
            "len(http.host) is Integer, which is no condition",
            5,
            Some("a comparison such as eq, gt or in"),
            None,
        ),
        (
            "starts_with(http.request.headers.names[*], \"x\")",
            "starts_with(http.request.headers.names[*], \"x\") is Array<Boolean>, which is no condition",
            1,
            None,
            Some("any(starts_with(http.request.headers.names[*], \"x\"))"),
        ),
        (
            "http.request.headers.names[*] eq \"x\"",
            "[*] gives a condition for each element, not one for the request",
            1,
            Some("any(…) or all(…) around it"),
            Some("any(http.request.headers.names[*] eq \"x\")"),
        ),
        ("\"a\" eq \"a\"", "eq has a literal on its left", 1, Some("a field or a function"), None),
        (
            "ip.src in {\"192.0.2.1\"}",
            "ip.src is IP address, and \"192.0.2.1\" is none",
            12,
            Some("an address without quotes"),
            Some("192.0.2.1"),
        ),
        (
            "http.host in {80}",
            "http.host is String, and 80 is none",
            15,
            Some("a string in double quotes"),
            Some("\"80\""),
        ),
        (
            "tcp.srcport in {80 \"443\"}",
            "tcp.srcport is Integer, and \"443\" is none",
            20,
            Some("a number without quotes"),
            None,
        ),
        (
            "http.host in $office",
            "http.host is String, and $office is a list of kind ip",
            14,
            Some("a list of kind hostname or string"),
            None,
        ),
        (
            "ip.src in $names",
            "ip.src is IP address, and $names is a list of kind hostname",
            11,
            Some("a list of kind ip"),
            None,
        ),
        ("ssl in {1}", "ssl is Boolean and cannot be looked for in a set", 1, Some("the condition on its own"), None),
        (
            "http.host eq http.referer",
            "http.referer is no value",
            14,
            Some("a literal: a field cannot be compared to another"),
            None,
        ),
        (
            "http.response.code eq 403",
            "http.response.code is not known in phase http_request_firewall_custom",
            1,
            Some("a field of the request: there is no response yet"),
            None,
        ),
    ]);
}

#[test]
fn calls_and_indexes_are_checked() {
    check(&[
        (
            "lower(http.host, \"a\") eq \"a\"",
            "lower is given 2 arguments",
            1,
            Some("lower(value String | Bytes): String"),
            None,
        ),
        ("len() eq 1", "len is given no argument", 1, Some("len(value String | Bytes | Array): Integer"), None),
        (
            "starts_with(http.host)",
            "starts_with is given 1 argument",
            1,
            Some("starts_with(source String | Bytes, substring String | Bytes): Boolean"),
            None,
        ),
        (
            "lower(http.request.headers.names) eq \"a\"",
            "value of lower is given Array<String>",
            7,
            Some("String | Bytes"),
            Some("http.request.headers.names[*]"),
        ),
        ("lower(ip.src) eq \"a\"", "value of lower is given IP address", 7, Some("String | Bytes"), None),
        (
            "lower(http.request.headers) eq \"a\"",
            "value of lower is given Map<Array<String>>",
            7,
            Some("String | Bytes"),
            Some("http.request.headers[\"…\"][0]"),
        ),
        (
            "starts_with(\"a\", \"a\")",
            "source of starts_with cannot be a literal",
            13,
            Some("a field or a function"),
            None,
        ),
        (
            "remove_bytes(http.host, http.referer) eq \"a\"",
            "bytes of remove_bytes must be written out",
            25,
            Some("a literal"),
            None,
        ),
        ("url_decode(http.host, \"x\") eq \"a\"", "url_decode has no option 'x'", 23, Some("r, u or both"), None),
        (
            "starts_with(http.host, http.request.headers.names[*])",
            "[*] may stand in the first argument of a function only",
            24,
            None,
            None,
        ),
        (
            "any(http.request.headers.names)",
            "any needs a condition for each element, and http.request.headers.names is Array<String>",
            5,
            Some("a comparison with [*]"),
            Some("any(http.request.headers.names[*] eq \"…\")"),
        ),
        (
            "any(http.host eq \"a\")",
            "any needs a condition for each element",
            5,
            Some("[*] after the array, as in any(http.request.headers.names[*] eq \"x-test\")"),
            None,
        ),
        (
            "any(http.request.headers[*][*] eq \"a\")",
            "http.request.headers is Map<Array<String>> and has no [*]",
            5,
            Some("a key in double quotes"),
            Some("http.request.headers[\"…\"][*]"),
        ),
        ("any(http.request.headers[\"a\"][*][*] eq \"a\")", "[*] within [*]", 5, Some("one [*] for each array"), None),
        ("http.host[0] eq \"a\"", "http.host is String and has no [0]", 1, None, None),
        (
            "http.request.headers.names[\"a\"] eq \"a\"",
            "http.request.headers.names is Array<String> and has no a key",
            1,
            Some("a position such as 0, or *"),
            None,
        ),
        (
            "any(http.request.headers.names[*] eq \"a\" and http.request.headers.values[*] eq \"b\")",
            "[*] of two arrays cannot be joined",
            46,
            Some("[*] of http.request.headers.names, or any(…) around each condition"),
            None,
        ),
        (
            "any(http.request.headers.names[*] eq \"a\" and ssl)",
            "a condition for each element cannot be joined with one for the whole request",
            46,
            Some("any(…) or all(…) around the one with [*]"),
            None,
        ),
        (
            "http.request.headers.names[-1] eq \"a\"",
            "this is no index",
            28,
            Some("a position such as 0, a key in double quotes, or *"),
            None,
        ),
        ("http.request.headers.names[0 eq \"a\"", "this index is not closed", 30, Some("]"), None),
    ]);
}

#[test]
fn text_that_is_no_expression_is_refused_where_it_goes_wrong() {
    check(&[
        ("", "the expression is empty", 1, Some("a condition such as http.host eq \"example.com\""), None),
        ("  \n ", "the expression is empty", 2, Some("a condition such as http.host eq \"example.com\""), None),
        ("(ssl", "this parenthesis is never closed", 1, None, None),
        ("ssl)", "this parenthesis closes nothing", 4, None, None),
        ("ssl and", "the expression ends where a condition is missing", 8, Some("a field or a function"), None),
        ("and ssl", "and has nothing on its left", 1, Some("a field or a function"), None),
        ("ssl ssl", "unknown operator \"ssl\"", 5, OPERATORS, None),
        ("http.host eq \"a\" ssl", "unexpected \"ssl\"", 18, AFTER, None),
        ("ssl AND ssl", "unknown operator \"AND\"", 5, Some("operators in lower case"), Some("and")),
        ("http.host eq \"a\" OR ssl", "unexpected \"OR\"", 18, AFTER, Some("or")),
        ("http.host = \"a\"", "a single = is no operator", 11, None, Some("==")),
        ("ssl & ssl", "a single & is no operator", 5, None, Some("&&")),
        ("ssl | ssl", "a single | is no operator", 5, None, Some("||")),
        ("http.host eq", "eq has nothing on its right", 13, Some("a value"), None),
        ("http.host contains", "contains has nothing on its right", 19, Some("a string"), None),
        ("http.host eq 'a'", "unexpected '\\''", 14, Some("double quotes around a string"), None),
        (
            "http.host eq shop",
            "shop is no value",
            14,
            Some("a string in double quotes, a number or an address"),
            Some("\"shop\""),
        ),
        (
            "http.host contains shop",
            "shop is no value",
            20,
            Some("a string in double quotes, a number or an address"),
            Some("\"shop\""),
        ),
        ("http.host contains 5", "contains needs a string", 20, Some("a string in double quotes"), Some("\"5\"")),
        ("http.host eq \"a", "this string is never closed", 14, Some("a closing double quote"), None),
        ("http.host eq r#\"a\"", "this string is never closed", 14, Some("\"#"), None),
        ("http.host ~ \"a", "this string is never closed", 13, Some("a closing double quote"), None),
        (
            "http.host eq \"a\\d\"",
            "unknown escape \\d",
            16,
            Some("\\\", \\\\ or \\x and two hexadecimal digits, or a raw string r\"…\""),
            Some("\\\\d"),
        ),
        (
            "http.host eq \"\\xg0\"",
            "unknown escape \\x",
            15,
            Some("\\\", \\\\ or \\x and two hexadecimal digits, or a raw string r\"…\""),
            Some("\\\\x"),
        ),
        ("http.host in \"a\"", "in is followed by no set", 14, Some("{…} or $list"), None),
        ("ip.src in 192.0.2.0/24", "in is followed by no set", 11, Some("{…} or $list"), Some("{192.0.2.0/24}")),
        (
            "ip.src eq 192.0.2.0/24",
            "192.0.2.0/24 is a range of addresses, not one value",
            11,
            None,
            Some("in {192.0.2.0/24}"),
        ),
        ("ip.src eq {192.0.2.1}", "this operator compares to one value", 8, None, Some("in")),
        ("ip.src in {}", "the set is empty", 11, Some("values separated by blanks"), None),
        ("ip.src in {192.0.2.1, 192.0.2.2}", "unexpected ','", 21, Some("values separated by blanks"), None),
        ("ip.src in {192.0.2.1", "this set is never closed", 11, Some("}"), None),
        ("ip.src in {192.0.2.256}", "192.0.2.256 is not an IP address", 12, None, None),
        ("ip.src in {192.0.2.0/33}", "/33 is no prefix length: it must be 0 to 32 for 192.0.2.0", 12, None, None),
        (
            "ip.src in {192.0.2.9..192.0.2.1}",
            "192.0.2.9..192.0.2.1 is no range",
            12,
            Some("a lower and a higher value of one kind"),
            None,
        ),
        ("tcp.srcport in {9..1}", "9..1 is no range", 17, Some("a lower and a higher value of one kind"), None),
        ("ip.src in {$office}", "a list cannot be part of a set", 12, Some("in $list on its own"), None),
        (
            "ip.src in $Office",
            "$Office is no name of a list",
            11,
            Some("lower-case letters, digits and underscores"),
            None,
        ),
        (
            "ip.src in $cf.open_proxies",
            "$cf.open_proxies is not here: what Cloudflare knows of addresses fills it",
            11,
            Some("a list of your own"),
            None,
        ),
        ("tcp.srcport eq 080", "080 has leading zeros", 16, Some("a decimal number"), Some("80")),
        (
            "tcp.srcport eq 9223372036854775808",
            "9223372036854775808 is too large",
            16,
            Some("-9223372036854775808 to 9223372036854775807"),
            None,
        ),
        ("lower(http.host eq \"a\"", "this call is never closed", 1, Some("a closing parenthesis"), None),
        ("lower(http.host; 1) eq \"a\"", "unexpected ';'", 16, Some("a comma or a closing parenthesis"), None),
        ("http.host strict \"a\"", "strict is no operator of its own", 11, None, Some("strict wildcard")),
        ("http.host eq \"a\" é", "unexpected 'é'", 18, AFTER, None),
    ]);
}

#[test]
fn patterns_are_checked_where_they_are_written() {
    check(&[
        ("http.host matches \"a(b\"", "the regular expression is wrong: unclosed group", 21, None, None),
        ("http.host matches r#\"a(b\"#", "the regular expression is wrong: unclosed group", 23, None, None),
        (
            "http.host ~ \"[z-a]\"",
            "the regular expression is wrong: invalid character class range, the start must be <= the end",
            15,
            None,
            None,
        ),
        (
            "http.host ~ \"(a{1000}){1000}\"",
            "the regular expression needs 2003000 states",
            13,
            Some("at most 20000: fewer or smaller repetitions"),
            None,
        ),
        (
            "http.host wildcard \"a**b\"",
            "the wildcard pattern has two asterisks in a row",
            20,
            Some("one asterisk: it stands for any text"),
            None,
        ),
    ]);
}

#[test]
fn regular_expressions_are_bounded_one_by_one_and_together() {
    let error = refusal("http.host matches \"(a{1000}){10}\"");
    assert_eq!(error.message, "the regular expression needs 20030 states");
    let each = |times: usize| (0..times).map(|number| format!("http.host matches \"[a-z]{{{}}}\"", 9000 + number));
    let error = refusal(&each(3).collect::<Vec<_>>().join(" or "));
    assert_eq!(error.message, "the regular expressions up to this one need 54006 states together");
    assert_eq!((error.column, error.expected.as_deref()), (89, Some("at most 40000 in one expression: several rules")));
    let (lists, cache) = (Lists::default(), Cache::default());
    let context = Context { phase: Phase::RequestFirewallCustom, used_as: Use::Filter, lists: &lists, cache: &cache };
    assert!(rules::compile(&each(2).collect::<Vec<_>>().join(" or "), &context).is_ok());
}

#[test]
fn the_second_line_is_counted_from_its_beginning() {
    let error = refusal("ssl and\n  http.hots eq \"a\"");
    assert_eq!((error.line, error.column, error.span.clone()), (2, 3, 10..19));
    assert_eq!(
        error.to_string(),
        "unknown field \"http.hots\" (line 2, column 3)\n    http.hots eq \"a\"\n    ^~~~~~~~~\n  did you mean http.host?"
    );
}

#[test]
fn a_message_is_one_line_whatever_it_quotes() {
    let error = refusal("ssl and\nlower(\n  http.host\n)");
    assert_eq!(error.message, "lower(   http.host ) is String, which is no condition");
    assert_eq!((error.line, error.column), (2, 1));
    let error = refusal("any(http.request.headers.names[*] matches \"a\nb\") contains \"c\"");
    assert_eq!(error.message.lines().count(), 1, "{error}");
    let error = refusal("\"\u{6}&\r\n\" and ssl");
    assert!(!error.message.contains(char::is_control), "{error:?}");
}

#[test]
fn depth_and_length_are_bounded() {
    let nested = |depth: usize| format!("{}ssl{}", "(".repeat(depth), ")".repeat(depth));
    assert!(rules::parse(&nested(rules::parse::MAX_DEPTH)).is_ok());
    for deep in [nested(65), nested(2000), format!("{}ssl", "not ".repeat(65)), format!("{}ssl", "!".repeat(4000))] {
        let error = rules::parse(&deep).unwrap_err();
        assert_eq!(error.message, "the expression is nested deeper than 64 levels");
        assert_eq!(error.expected.as_deref(), Some("fewer parentheses, or several rules"));
    }
    let calls = format!("{}http.host{} eq \"a\"", "lower(".repeat(65), ")".repeat(65));
    assert_eq!(refusal(&calls).message, "the expression is nested deeper than 64 levels");

    let indexed = format!("http.host{} eq \"a\"", "[0]".repeat(1000));
    assert_eq!(refusal(&indexed).message, "more than 8 indexes on one value");

    let of_length = |length: usize| format!("http.host eq \"{}\"", "é".repeat(length - 15));
    assert!(rules::parse(&of_length(4096)).is_ok(), "the limit counts characters, not bytes");
    let error = rules::parse(&of_length(4097)).unwrap_err();
    assert_eq!(error.message, "the expression has 4097 characters");
    assert_eq!(error.column, 4097);
}

#[test]
fn a_value_expression_is_a_string() {
    let (lists, cache) = (Lists::default(), Cache::default());
    let context = Context { phase: Phase::RequestDynamicRedirect, used_as: Use::Filter, lists: &lists, cache: &cache };
    let refused = |expression| rules::compile_value(expression, &context).unwrap_err();
    let error = refused("tcp.srcport");
    assert_eq!(
        (error.message.as_str(), error.suggestion.as_deref()),
        ("the value is Integer", Some("to_string(tcp.srcport)"))
    );
    assert_eq!(refused("ssl and ssl").message, "the value is a condition");
    assert_eq!(refused("http.request.headers.names").message, "the value is Array<String>");
    assert_eq!(
        refused("http.request.headers.names[*]").message,
        "[*] gives a condition for each element, not one for the request"
    );
}

#[test]
fn functions_are_allowed_where_their_reference_says() {
    check(&[
        (
            "to_string(ip.src) eq \"a\"",
            "to_string is not allowed in a filter in http_request_firewall_custom",
            1,
            Some("a new path or query, a value of a header or a target of a redirect"),
            None,
        ),
        (
            "any(split(http.host, \".\", 2)[*] eq \"a\")",
            "split is not allowed in a filter in http_request_firewall_custom",
            5,
            Some("an expression in http_response_headers_transform or an expression in http_custom_errors"),
            None,
        ),
        (
            "is_jwt_valid(\"a\")",
            "is_jwt_valid is not here: it belongs to API Shield, which is not built yet",
            1,
            None,
            None,
        ),
        (
            "bit_slice(ip.src, 1, 2) eq 1",
            "bit_slice is not here: it reads packets, and this edge sees requests",
            1,
            None,
            None,
        ),
    ]);
    let (lists, cache) = (Lists::default(), Cache::default());
    let refused = |expression, phase, used_as| {
        let context = Context { phase, used_as, lists: &lists, cache: &cache };
        rules::compile_value(expression, &context).unwrap_err()
    };
    let header = |expression| refused(expression, Phase::ResponseHeadersTransform, Use::HeaderValue);
    for (expression, message, expected) in [
        ("split(http.host, \"\", 2)[0]", "separator of split is empty", "at least one byte"),
        ("split(http.host, \".\", 0)[0]", "limit of split is 0", "a number from 1 to 128"),
        ("split(http.host, \".\", 129)[0]", "limit of split is 129", "a number from 1 to 128"),
        ("encode_base64(http.host, \"x\")", "encode_base64 has no option 'x'", "u, p or both"),
        (
            "remove_query_args(http.request.uri, \"a\")",
            "query of remove_query_args is http.request.uri",
            "http.request.uri.query or raw.http.request.uri.query",
        ),
        (
            "remove_query_args(lower(http.request.uri.query), \"a\")",
            "query of remove_query_args is lower(http.request.uri.query)",
            "http.request.uri.query or raw.http.request.uri.query",
        ),
        (
            "cidr(ip.src, 8, 8)",
            "cidr is not allowed in a value of a header in http_response_headers_transform",
            "a filter in http_request_firewall_custom or a filter in http_ratelimit",
        ),
    ] {
        let error = header(expression);
        assert_eq!((error.message.as_str(), error.expected.as_deref()), (message, Some(expected)), "{expression}");
    }
    let error = refused("lower(ip.src)", Phase::RequestDynamicRedirect, Use::RedirectTarget);
    assert_eq!(error.suggestion.as_deref(), Some("to_string(ip.src)"));
}

#[test]
fn arguments_agree_with_each_other() {
    check(&[
        ("has_value(http.request.headers.names, 123)", "value of has_value is given Integer", 39, Some("String"), None),
        (
            "has_value(http.request.headers, \"a\")",
            "values of has_value is given Map<Array<String>>",
            11,
            Some("Array<T>"),
            Some("http.request.headers[\"…\"]"),
        ),
        ("has_key(http.host, \"a\")", "map of has_key is given String", 9, Some("Map"), None),
        (
            "concat(http.host, http.request.headers.names) eq \"a\"",
            "concat is given String and Array<String>",
            19,
            Some("String in every place"),
            None,
        ),
        ("cidr(ip.src, 33, 128) eq 10.0.0.0", "ipv4_bits of cidr is 33", 14, Some("a number from 1 to 32"), None),
    ]);
}

#[test]
fn documented_fields_that_are_not_here_are_refused_with_the_reason() {
    check(&[
        (
            "cf.waf.score lt 20",
            "cf.waf.score is not here: it belongs to the WAF, which is not built yet",
            1,
            None,
            None,
        ),
        (
            "ssl and any(cf.bot_management.detection_ids[*] eq 33554817)",
            "cf.bot_management.detection_ids is not here: it belongs to bot detection, which is not built yet",
            13,
            None,
            None,
        ),
        ("ip.ttl gt 3", "ip.ttl is not here: it is of packets, and this edge sees requests", 1, None, None),
    ]);
}

#[test]
fn replacements_are_checked_and_stand_once_in_an_expression() {
    let (lists, cache) = (Lists::default(), Cache::default());
    let context =
        Context { phase: Phase::RequestDynamicRedirect, used_as: Use::RedirectTarget, lists: &lists, cache: &cache };
    for (expression, message, column) in [
        ("regex_replace(http.host, \"(a\", \"b\")", "the regular expression is wrong: unclosed group", 27),
        ("regex_replace(http.host, \"a\", \"$1\")", "the replacement has a dollar sign on its own", 31),
        ("regex_replace(http.host, \"\\xFF\", \"b\")", "the regular expression is no UTF-8", 26),
        ("regex_replace(http.host, http.host, \"b\")", "expression of regex_replace must be written out", 26),
        ("wildcard_replace(http.host, \"**\", \"b\")", "the wildcard pattern has two asterisks in a row", 29),
        (
            "wildcard_replace(http.host, \"*.a\", \"${2}\")",
            "the replacement has ${2} for an asterisk that the pattern does not have",
            36,
        ),
        ("wildcard_replace(http.host, \"*\", \"b\", \"x\")", "wildcard_replace has no option 'x'", 39),
        (
            "concat(regex_replace(http.host, \"a\", \"b\"), regex_replace(http.host, \"c\", \"d\"))",
            "regex_replace is allowed once in an expression",
            44,
        ),
        (
            "regex_replace(lower(wildcard_replace(http.host, \"*\", \"b\")), \"c\", \"d\")",
            "wildcard_replace is not allowed within regex_replace",
            21,
        ),
    ] {
        let error = rules::compile_value(expression, &context).unwrap_err();
        assert_eq!((error.message.as_str(), error.column), (message, column), "{expression}");
    }
    let both = "concat(regex_replace(http.host, \"a\", \"b\"), wildcard_replace(http.host, \"*\", \"c\"))";
    assert!(rules::compile_value(both, &context).is_ok(), "one beside the other is within neither");
}
