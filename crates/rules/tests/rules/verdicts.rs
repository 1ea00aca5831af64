//! What expressions say about requests, case by case.

use std::sync::Arc;

use crate::support::{Sample, bare, browser, holds, login};
use fields::Normalization;
use rules::{Cache, List, ListKind, Lists};

fn lists() -> Lists {
    let mut lists = Lists::default();
    let mut add = |name: &str, kind, items: &[&str]| {
        lists.insert(name, Arc::new(List::new(kind, items.iter().copied()).unwrap()));
    };
    add("office", ListKind::Ip, &["192.0.2.0/28", "2001:db8::/64"]);
    add("elsewhere", ListKind::Ip, &["198.51.100.0/24"]);
    add("our_hosts", ListKind::Hostname, &["shop.example", "*.shop.example"]);
    add("agents", ListKind::String, &["curl/8.0"]);
    add("ports", ListKind::Asn, &["8443", "64496"]);
    lists
}

fn check(sample: &Sample, cases: &[(&str, bool)]) {
    let (lists, cache) = (lists(), Cache::default());
    for (expression, expected) in cases {
        assert_eq!(holds(sample, expression, &lists, &cache), *expected, "{expression}");
    }
}

#[test]
fn strings_are_compared_byte_by_byte() {
    check(
        &browser(),
        &[
            ("http.request.method eq \"GET\"", true),
            ("http.request.method == \"GET\"", true),
            ("http.request.method eq \"get\"", false),
            ("http.request.method ne \"POST\"", true),
            ("http.request.method != \"GET\"", false),
            ("http.request.method lt \"HEAD\"", true),
            ("http.request.method < \"GET\"", false),
            ("http.request.method le \"GET\"", true),
            ("http.request.method <= \"GES\"", false),
            ("http.request.method gt \"GE\"", true),
            ("http.request.method > \"GET\"", false),
            ("http.request.method ge \"GET\"", true),
            ("http.request.method >= \"GEU\"", false),
            ("http.request.uri.path contains \"Index\"", true),
            ("http.request.uri.path contains \"index\"", false),
            ("http.request.uri.path contains \"\"", true),
            ("http.request.method in {\"GET\" \"HEAD\"}", true),
            ("http.request.method in {\"HEAD\" \"POST\" \"PUT\"}", false),
            ("http.request.method in {\"POST\" \"GET\" \"GET\"}", true),
            ("http.user_agent contains \"Fire\\x66ox\"", true),
            ("http.request.method eq r\"GET\"", true),
            ("http.request.method eq r##\"GET\"##", true),
        ],
    );
}

#[test]
fn patterns_are_searched_and_wildcards_match_the_whole() {
    check(
        &browser(),
        &[
            ("http.request.uri.path matches \"^/articles/\"", true),
            ("http.request.uri.path ~ \"rticle\"", true),
            ("http.request.uri.path matches \"^rticle\"", false),
            ("http.request.uri.path matches \"(?i)index\\.html$\"", true),
            ("http.request.uri.path matches r\"\\.HTML$\"", true),
            ("http.request.uri.path matches \"index\"", false),
            ("http.user_agent matches \"Firefox/1[0-9]{2}\\.\"", true),
            ("http.user_agent matches r#\"\\(X11; [^\"]*\\)\"#", true),
            ("http.request.uri matches \"a\\\"b\"", false),
            ("http.request.uri.path wildcard \"/ARTICLES/*\"", true),
            ("http.request.uri.path strict wildcard \"/ARTICLES/*\"", false),
            ("http.request.uri.path strict wildcard \"/articles/*.HTML\"", true),
            ("http.request.uri.path wildcard \"/articles/\"", false),
            ("http.request.uri.path wildcard \"*INDEX*\"", true),
            ("http.request.full_uri wildcard \"http://shop.example:8443/*\"", true),
            ("http.request.full_uri wildcard r\"*\\**\"", false),
        ],
    );
}

#[test]
fn numbers_are_compared_by_size() {
    check(
        &browser(),
        &[
            ("cf.edge.server_port eq 8443", true),
            ("cf.edge.server_port ne 8443", false),
            ("cf.edge.server_port gt 8442", true),
            ("cf.edge.server_port > 8443", false),
            ("cf.edge.server_port ge 8443", true),
            ("cf.edge.server_port lt 8444", true),
            ("cf.edge.server_port <= 8442", false),
            ("cf.edge.server_port in {80 443 8443}", true),
            ("cf.edge.server_port in {8000..8009 8440..8450}", true),
            ("cf.edge.server_port in {8000..8009 8444..8450}", false),
            ("cf.edge.server_port in {8440..8450 8445..9000 1}", true),
            ("cf.edge.server_port in {-5..-1 0}", false),
            ("cf.threat_score lt 10", true),
            ("cf.threat_score gt -1", true),
            ("cf.threat_score lt -9223372036854775808", false),
            ("cf.threat_score gt 9223372036854775807", false),
            ("tcp.srcport eq 49152 and tcp.dstport eq 8443", true),
            ("http.request.timestamp.sec eq 1484063137", true),
            ("http.request.timestamp.msec eq 857", true),
            ("cf.edge.server_port in $ports", true),
            ("tcp.srcport in $ports", false),
        ],
    );
}

#[test]
fn addresses_are_compared_as_addresses() {
    check(
        &browser(),
        &[
            ("ip.src eq 192.0.2.7", true),
            ("ip.src == 192.0.2.8", false),
            ("ip.src ne 192.0.2.8", true),
            ("ip.src ne 192.0.2.7", false),
            ("ip.src eq ::ffff:192.0.2.7", true),
            ("ip.src in {192.0.2.7}", true),
            ("ip.src in {192.0.2.0/24}", true),
            ("ip.src in {192.0.2.8/29 198.51.100.0/24}", false),
            ("ip.src in {192.0.2.1..192.0.2.7}", true),
            ("ip.src in {192.0.2.8..192.0.2.9 2001:db8::/32}", false),
            ("ip.src in {0.0.0.0/0}", true),
            ("ip.src in {::/0}", false),
            ("not ip.src in {10.0.0.0/8}", true),
            ("ip.src in $office", true),
            ("ip.src in $elsewhere", false),
            ("not ip.src in $elsewhere", true),
        ],
    );
    check(
        &browser().from("2001:db8::7"),
        &[
            ("ip.src eq 2001:db8::7", true),
            ("ip.src eq 2001:0DB8:0:0:0:0:0:7", true),
            ("ip.src in {2001:db8::/32}", true),
            ("ip.src in {2001:db8::1..2001:db8::6}", false),
            ("ip.src in {fe80::/10 fc00::/7}", false),
            ("ip.src in $office", true),
        ],
    );
    check(
        &browser().from("::ffff:10.1.2.3"),
        &[("ip.src eq 10.1.2.3", true), ("ip.src in {10.0.0.0/8}", true), ("ip.src in {::ffff:10.0.0.0/104}", true)],
    );
}

#[test]
fn booleans_stand_on_their_own() {
    check(
        &browser(),
        &[
            ("ssl", false),
            ("not ssl", true),
            ("!ssl", true),
            ("not not ssl", false),
            ("ssl eq false", true),
            ("ssl ne false", false),
            ("ssl == true", false),
            ("true", true),
            ("false", false),
            ("not true", false),
            ("cf.edge.client_tcp", true),
            ("http.request.headers.truncated", false),
            ("true and cf.edge.client_tcp", true),
        ],
    );
}

#[test]
fn operators_bind_as_documented() {
    check(
        &browser(),
        &[
            // not > and > xor > or
            ("true or true and false", true),
            ("(true or true) and false", false),
            ("false and true or true", true),
            ("true xor true and false", true),
            ("(true xor true) and false", false),
            ("true or true xor true", true),
            ("(true or true) xor true", false),
            ("not false and false", false),
            ("not (false and false)", true),
            ("not true or true", true),
            ("true xor true xor true", true),
            ("true ^^ false", true),
            ("true && !false || false", true),
            ("false || false || true && true", true),
            ("not ip.src eq 192.0.2.7", false),
            ("! ip.src eq 192.0.2.8 and true", true),
            ("true and not false xor false", true),
        ],
    );
}

#[test]
fn the_url_is_seen_in_normal_form_and_raw() {
    check(
        &browser(),
        &[
            ("http.host eq \"shop.example\"", true),
            ("http.host in $our_hosts", true),
            ("http.user_agent in $agents", false),
            ("http.request.uri.path eq \"/articles/Index.HTML\"", true),
            ("http.request.uri.path.extension eq \"html\"", true),
            ("raw.http.request.uri.path.extension eq \"HTML\"", true),
            ("starts_with(http.request.uri.query, \"section=539061&\")", true),
            ("starts_with(http.request.uri, \"/articles/Index.HTML?section=\")", true),
            ("starts_with(http.request.full_uri, \"http://shop.example:8443/articles\")", true),
            ("starts_with(raw.http.request.full_uri, \"http://Shop.Example:8443/articles\")", true),
            ("http.request.version eq \"HTTP/1.1\"", true),
        ],
    );
    let crooked = || Sample::new("GET //static/.././%61dmin/%7Euser/%2fx?q=%41%2f HTTP/1.1\nHost: shop.example.:80");
    check(
        &crooked(),
        &[
            ("http.request.uri.path eq \"/admin/~user/%2Fx\"", true),
            ("http.request.uri.query eq \"q=A%2F\"", true),
            ("raw.http.request.uri.path eq \"//static/.././%61dmin/%7Euser/%2fx\"", true),
            ("raw.http.request.uri.query eq \"q=%41%2f\"", true),
            ("http.request.full_uri eq \"http://shop.example/admin/~user/%2Fx?q=A%2F\"", true),
            ("any(http.request.uri.args[\"q\"][*] eq \"A%2F\")", true),
            ("any(raw.http.request.uri.args[\"q\"][*] eq \"%41%2f\")", true),
        ],
    );
    check(&crooked().normalized(Normalization::Rfc3986), &[("http.request.uri.path eq \"//admin/~user/%2Fx\"", true)]);
    check(
        &crooked().normalized(Normalization::None),
        &[("http.request.uri.path eq \"//static/.././%61dmin/%7Euser/%2fx\"", true)],
    );
}

#[test]
fn headers_are_known_by_their_lower_case_names() {
    check(
        &browser(),
        &[
            ("any(http.request.headers[\"accept\"][*] == \"application/json\")", true),
            ("any(http.request.headers[\"Accept\"][*] == \"application/json\")", false),
            ("any(http.request.headers[\"accept\"][*] == \"text/plain\")", false),
            ("http.request.headers[\"x-twice\"][0] eq \"one\"", true),
            ("http.request.headers[\"x-twice\"][1] eq \"Two\"", true),
            ("http.request.headers[\"x-twice\"][2] eq \"Two\"", false),
            ("any(http.request.headers[\"x-twice\"][*] eq \"Two\")", true),
            ("all(http.request.headers[\"x-twice\"][*] eq \"Two\")", false),
            ("all(http.request.headers[\"x-twice\"][*] in {\"one\" \"Two\"})", true),
            ("len(http.request.headers[\"x-twice\"]) eq 2", true),
            ("any(http.request.headers.names[*] == \"User-Agent\")", true),
            ("any(http.request.headers.names[*] == \"user-agent\")", false),
            ("any(lower(http.request.headers.names[*])[*] == \"user-agent\")", true),
            ("http.request.headers.names[0] == \"Host\"", true),
            ("any(http.request.headers.values[*] contains \"Firefox\")", true),
            ("any(len(http.request.headers.values[*])[*] gt 60)", false),
            ("len(http.request.headers.names) eq 10", true),
            ("http.x_forwarded_for eq \"203.0.113.195, 70.41.3.18\"", true),
            ("http.referer eq \"https://developer.example.org/docs\"", true),
            ("http.request.accepted_languages[0] eq \"fr-CH\"", true),
            ("http.request.accepted_languages[1] eq \"en\"", true),
            ("len(http.request.accepted_languages) eq 4", true),
        ],
    );
}

#[test]
fn arguments_and_cookies_are_maps() {
    check(
        &browser(),
        &[
            ("any(http.request.uri.args[\"filter\"][*] eq \"botm\")", true),
            ("http.request.uri.args[\"filter\"][2] eq \"cdn\"", true),
            ("len(http.request.uri.args[\"filter\"][1]) eq 4", true),
            ("len(http.request.uri.args[\"filter\"]) eq 3", true),
            ("all(len(http.request.uri.args[\"filter\"][*])[*] in {3 4})", true),
            ("all(not len(http.request.uri.args[\"filter\"][*])[*] in {3 4})", false),
            ("len(http.request.uri.args[\"filter\"]) >= 0", true),
            ("not len(http.request.uri.args[\"order\"]) >= 0", true),
            ("http.request.uri.args[\"empty\"][0] eq \"\"", true),
            ("http.request.uri.args[\"flag\"][0] eq \"\"", true),
            ("http.request.uri.args[\"q\"][0] eq \"red+apples%21\"", true),
            ("url_decode(http.request.uri.args[\"q\"][0]) eq \"red apples!\"", true),
            ("any(http.request.uri.args.names[*] eq \"q\")", true),
            ("any(http.request.uri.args.values[*] eq \"539061\")", true),
            ("len(http.request.uri.args.names) eq 7", true),
            ("http.request.cookies[\"session\"][0] eq \"8521F670\"", true),
            ("any(http.request.cookies[\"theme\"][*] eq \"dark\")", true),
            ("http.request.cookies[\"a b\"][0] eq \"c\"", true),
            ("http.cookie contains \"theme=light;\"", true),
        ],
    );
}

#[test]
fn a_missing_value_fails_every_comparison() {
    check(
        &bare(),
        &[
            ("http.request.headers[\"x-none\"][0] eq \"\"", false),
            ("http.request.headers[\"x-none\"][0] ne \"a\"", false),
            ("not http.request.headers[\"x-none\"][0] ne \"a\"", true),
            ("http.request.headers[\"x-none\"][0] in {\"\" \"a\"}", false),
            ("http.request.headers[\"x-none\"][0] lt \"z\"", false),
            ("http.request.headers[\"x-none\"][0] matches \"\"", false),
            ("http.request.headers[\"x-none\"][0] contains \"\"", false),
            ("any(http.request.headers[\"x-none\"][*] ne \"a\")", false),
            ("all(http.request.headers[\"x-none\"][*] eq \"a\")", false),
            ("not any(http.request.headers[\"x-none\"][*] eq \"a\")", true),
            ("len(http.request.headers[\"x-none\"]) eq 0", false),
            ("len(http.request.headers[\"x-none\"][0]) ne 5", false),
            ("lower(http.request.headers[\"x-none\"][0]) ne \"a\"", false),
            ("upper(http.request.headers[\"x-none\"][0]) eq \"\"", false),
            ("starts_with(http.request.headers[\"x-none\"][0], \"\")", false),
            ("ends_with(http.request.headers[\"x-none\"][0], \"\") eq false", false),
            ("substring(http.request.headers[\"x-none\"][0], 0) ne \"a\"", false),
            ("url_decode(http.request.headers[\"x-none\"][0]) ne \"a\"", false),
            ("concat(http.request.headers[\"x-none\"][0], \"a\") eq \"a\"", true),
            ("concat(\"/\", http.request.accepted_languages[0], http.request.uri.path) eq \"//\"", true),
            ("all(http.request.uri.args.names[*] eq \"a\")", true),
            ("any(http.request.uri.args.names[*] eq \"a\")", false),
        ],
    );
}

#[test]
fn what_was_not_sent_is_an_empty_string() {
    check(
        &bare(),
        &[
            ("http.user_agent eq \"\"", true),
            ("http.referer eq \"\" and http.cookie eq \"\" and http.x_forwarded_for eq \"\"", true),
            ("http.request.uri.query eq \"\"", true),
            ("http.request.uri.path.extension eq \"\"", true),
            ("http.request.uri eq \"/\"", true),
            ("cf.tls_version eq \"\" and cf.tls_cipher eq \"\"", true),
            ("cf.bot_management.ja3_hash eq \"\" and cf.bot_management.ja4 eq \"\"", true),
            ("bartizan.tls.sni eq \"\" and bartizan.http2.fingerprint eq \"\"", true),
            ("http.request.body.raw eq \"\" and http.request.body.size eq 0 and not http.request.body.truncated", true),
            ("http.request.body.mime eq \"\"", true),
        ],
    );
}

#[test]
fn functions_do_what_their_reference_says() {
    check(
        &browser(),
        &[
            ("lower(http.request.uri.path) eq \"/articles/index.html\"", true),
            ("upper(http.host) eq \"SHOP.EXAMPLE\"", true),
            ("lower(upper(http.host)) eq \"shop.example\"", true),
            ("starts_with(http.request.uri.path, \"/articles\")", true),
            ("starts_with(http.request.uri.path, \"/Articles\")", false),
            ("ends_with(http.request.uri.path, \".HTML\")", true),
            ("ends_with(http.request.uri.path, \".html\")", false),
            ("ends_with(lower(http.request.uri.path), \".html\")", true),
            ("starts_with(http.request.uri, http.request.uri.path)", true),
            ("not starts_with(http.request.uri.path, \"/x\") and true", true),
            ("starts_with(http.request.uri.path, \"/x\") eq false", true),
            ("len(http.host) eq 12", true),
            ("len(http.host) in {1..5 12}", true),
            ("len(\"four\") eq 4", true),
            ("concat(http.host, \":\", http.request.uri.path) eq \"shop.example:/articles/Index.HTML\"", true),
            ("concat(\"a\") eq \"a\"", true),
            ("substring(http.host, 0, 4) eq \"shop\"", true),
            ("substring(http.host, 5) eq \"example\"", true),
            ("substring(http.host, -7) eq \"example\"", true),
            ("substring(http.host, 0, -8) eq \"shop\"", true),
            ("substring(http.host, 5, 2) eq \"\"", true),
            ("substring(http.host, 100, 200) eq \"\"", true),
            ("substring(http.host, -100, 4) eq \"shop\"", true),
            ("substring(lower(http.request.uri.path), 1, 9) eq \"articles\"", true),
            ("remove_bytes(http.host, \".\\x6f\") eq \"shpexample\"", true),
            ("remove_bytes(upper(http.host), \".E\") eq \"SHOPXAMPL\"", true),
            ("remove_bytes(http.host, \"z\") eq \"shop.example\"", true),
            ("any(starts_with(http.request.headers.names[*], \"X-Tw\"))", true),
            ("any(starts_with(http.request.headers.names[*], \"X-Tw\")[*])", true),
            ("all(starts_with(http.request.headers.names[*], \"X-\"))", false),
            ("any(ends_with(lower(http.request.headers.names[*])[*], \"agent\"))", true),
            ("lower(http.request.headers.names[*])[0] eq \"host\"", true),
            ("lower(http.request.headers.names[*])[99] ne \"host\"", false),
            ("len(lower(http.request.headers.names[*])) eq 10", true),
            ("any(concat(http.request.headers[\"x-twice\"][*], \"!\")[*] eq \"Two!\")", true),
            ("any(not http.request.headers[\"x-twice\"][*] eq \"one\")", true),
            (
                "any(http.request.headers[\"x-twice\"][*] eq \"one\" and http.request.headers[\"x-twice\"][*] eq \"Two\")",
                false,
            ),
            (
                "all(http.request.headers[\"x-twice\"][*] eq \"one\" or http.request.headers[\"x-twice\"][*] eq \"Two\")",
                true,
            ),
            (
                "any(http.request.headers[\"x-twice\"][*] eq \"one\") and any(http.request.headers[\"x-twice\"][*] eq \"Two\")",
                true,
            ),
        ],
    );
    check(
        &Sample::new("GET /?a=%2520&b=John%20Doe&c=John+Doe&d=%u2601&e=%253Cscript%253E HTTP/1.1\nHost: a"),
        &[
            ("url_decode(http.request.uri.args[\"a\"][0]) eq \"%20\"", true),
            ("url_decode(http.request.uri.args[\"a\"][0], \"r\") eq \" \"", true),
            ("url_decode(http.request.uri.args[\"b\"][0]) eq \"John Doe\"", true),
            ("url_decode(http.request.uri.args[\"c\"][0]) eq \"John Doe\"", true),
            ("url_decode(raw.http.request.uri.args[\"d\"][0], \"u\") eq \"\\xe2\\x98\\x81\"", true),
            ("any(url_decode(http.request.uri.args.values[*], \"ur\")[*] contains \"<script>\")", true),
            ("any(lower(url_decode(http.request.uri.args.values[*])[*])[*] contains \"%3cscript\")", true),
        ],
    );
}

#[test]
fn arrays_may_be_built() {
    check(
        &browser(),
        &[
            ("any(concat(http.request.uri.args[\"filter\"], http.request.headers[\"x-twice\"])[*] eq \"Two\")", true),
            ("concat(http.request.uri.args[\"filter\"], http.request.headers[\"x-twice\"])[3] eq \"one\"", true),
            (
                "lower(concat(http.request.uri.args[\"filter\"], http.request.headers[\"x-twice\"])[*])[4] eq \"two\"",
                true,
            ),
            ("len(concat(http.request.uri.args[\"filter\"], http.request.headers[\"x-none\"])) eq 3", true),
            ("len(lower(concat(http.request.uri.args[\"filter\"])[*])) eq 3", true),
            ("all(concat(http.request.headers[\"x-none\"])[*] eq \"\")", true),
            ("join(http.request.headers[\"x-twice\"], \"+\") eq \"one+Two\"", true),
            ("join(lower(http.request.headers[\"x-twice\"][*]), \"\") eq \"onetwo\"", true),
            ("join(http.request.headers[\"x-none\"], \"\") eq \"\"", false),
            ("len(join(http.request.uri.args[\"filter\"], http.request.headers[\"x-none\"][0])) ge 0", false),
        ],
    );
}

#[test]
fn a_map_is_asked_for_a_key_and_an_array_for_a_value() {
    check(
        &browser(),
        &[
            ("has_key(http.request.headers, \"x-twice\")", true),
            ("has_key(http.request.headers, \"X-Twice\")", false),
            ("has_key(http.request.headers, lower(http.request.headers.names[0]))", true),
            ("has_key(http.request.headers, http.request.headers.names[0])", false),
            ("has_key(http.request.cookies, \"a b\")", true),
            ("has_key(http.request.uri.args, http.request.headers[\"x-none\"][0])", false),
            ("not has_key(http.request.uri.args, http.request.headers[\"x-none\"][0])", true),
            ("has_key(http.request.uri.args, http.request.headers[\"x-none\"][0]) eq false", false),
            ("has_value(http.request.uri.args.names, \"filter\")", true),
            ("has_value(http.request.uri.args.names, \"Filter\")", false),
            ("has_value(len(http.request.uri.args[\"filter\"][*]), 4)", true),
            ("has_value(len(http.request.uri.args[\"filter\"][*]), 5)", false),
            ("has_value(starts_with(http.request.headers.names[*], \"X-\"), true)", true),
            ("has_value(http.request.uri.args[\"none\"], \"a\") eq false", false),
        ],
    );
}

#[test]
fn networks_are_cut_from_addresses() {
    check(
        &browser(),
        &[
            ("cidr(ip.src, 24, 64) eq 192.0.2.0", true),
            ("cidr(ip.src, 32, 64) in {192.0.2.7}", true),
            ("cidr(ip.src, http.request.timestamp.msec, 64) eq 192.0.2.7", false),
            ("cidr6(ip.src, 64) eq 192.0.2.7", true),
        ],
    );
    check(&bare(), &[("cidr(ip.src, 24, 32) eq 2001:db8::", true), ("cidr6(ip.src, 128) eq 2001:db8::7", true)]);
}

#[test]
fn the_body_is_seen_as_far_as_it_is_held() {
    check(
        &login(),
        &[
            ("any(http.request.body.form[\"username\"][*] == \"admin\")", true),
            ("http.request.body.form[\"username\"][1] == \"root\"", true),
            ("http.request.body.form[\"password\"][0] == \"p%40ss+word\"", true),
            ("any(url_decode(http.request.body.form.values[*])[*] == \"p@ss word\")", true),
            ("any(http.request.body.form.names[*] == \"password\")", true),
            ("http.request.body.size eq 49 and len(http.request.body.raw) eq 49", true),
            ("http.request.body.truncated", false),
            ("http.request.body.raw contains \"admin&\"", true),
        ],
    );
    check(
        &Sample::new("POST / HTTP/1.1\nHost: a\nContent-Length: 3000000")
            .with_part_of_body(b"\x89PNG\r\n\x1a\n", 3_000_000),
        &[
            ("http.request.body.truncated and http.request.body.size eq 3000000", true),
            ("http.request.body.mime eq \"image/png\"", true),
            ("len(http.request.body.form.names) eq 0", true),
        ],
    );
}

#[test]
fn the_parts_of_a_body_are_seen() {
    let head = "POST / HTTP/1.1\nHost: a\nContent-Type: multipart/form-data; boundary=b\nContent-Length: 200";
    let body = "--b\r\nContent-Disposition: form-data; name=\"role\"\r\n\r\nadmin\r\n--b\r\nContent-Disposition: \
        form-data; name=\"picture\"; filename=\"token.txt\"\r\nContent-Type: application/octet-stream\r\n\r\n<?php\r\n--b--";
    check(
        &Sample::new(head).with_part_of_body(body.as_bytes(), 200),
        &[
            ("any(http.request.body.multipart[\"role\"][*] == \"admin\")", true),
            ("any(http.request.body.multipart[\"Role\"][*] == \"admin\")", false),
            ("any(http.request.body.multipart.names[*][0] == \"picture\")", true),
            ("any(http.request.body.multipart.values[*] contains \"<?php\")", true),
            ("any(http.request.body.multipart.filenames[*][0] in {\"token.txt\" \"password.txt\"})", true),
            ("http.request.body.multipart.filenames[0][0] eq \"token.txt\"", false),
            ("http.request.body.multipart.filenames[1][0] eq \"token.txt\"", true),
            ("any(http.request.body.multipart.content_types[*][0] == \"application/octet-stream\")", true),
            ("http.request.body.multipart.content_dispositions[0][0] == \"form-data; name=\\\"role\\\"\"", true),
            ("any(http.request.body.multipart.content_transfer_encodings[*][0] == \"binary\")", false),
            ("len(http.request.body.multipart.names) eq 2", true),
        ],
    );
}

#[test]
fn the_connection_is_seen() {
    check(
        &browser().over_tls(),
        &[
            ("ssl", true),
            ("cf.tls_version eq \"TLSv1.3\"", true),
            ("cf.tls_cipher eq \"TLS_AES_128_GCM_SHA256\"", true),
            ("bartizan.tls.sni eq \"shop.example\"", true),
            ("cf.bot_management.ja3_hash eq \"cd08e31494f9531f560d64c695473da9\"", true),
            ("starts_with(cf.bot_management.ja4, \"t13d1516h2_\")", true),
            ("starts_with(bartizan.http2.fingerprint, \"1:65536;\")", true),
            ("starts_with(http.request.full_uri, \"https://shop.example:8443/\")", true),
            ("cf.ray_id eq \"9f1c2d3e4a5b6c7d\" and cf.zone.name eq \"shop\"", true),
        ],
    );
}

#[test]
fn the_response_is_seen_after_it() {
    let sample = browser().answered(
        "HTTP/1.1 403 Forbidden
         Server: nginx
         Content-Type: Text/HTML; charset=utf-8
         Content-Length: 0
         Set-Cookie: a=1
         Set-Cookie: b=2",
        "waf",
    );
    check(
        &sample,
        &[
            ("http.response.code eq 403", true),
            ("http.response.code in {500..599}", false),
            ("any(http.response.headers[\"server\"][*] == \"nginx\")", true),
            ("len(http.response.headers[\"set-cookie\"]) eq 2", true),
            ("any(http.response.headers.names[*] == \"Set-Cookie\")", true),
            ("any(http.response.headers.values[*] == \"b=2\")", true),
            ("any(raw.http.response.headers[\"server\"][*] == \"nginx\")", true),
            ("http.response.content_type.media_type eq \"text/html\"", true),
            ("cf.response.error_type eq \"waf\"", true),
            ("http.request.method eq \"GET\" and http.response.code ge 400", true),
        ],
    );
}

#[test]
fn blanks_and_line_ends_do_not_count() {
    check(
        &browser(),
        &[
            ("  (  http.host  eq\n\t\"shop.example\"\r\n)  ", true),
            ("any( http.request.headers[ \"x-twice\" ][ * ]eq\"one\" )", true),
            ("ip.src in{192.0.2.7}", true),
            ("ip.src in { 192.0.2.7\n192.0.2.8 }", true),
            ("http.host==\"shop.example\"&&!ssl", true),
            ("((((true))))", true),
        ],
    );
}

#[test]
fn a_joined_text_that_would_take_much_memory_is_missing() {
    let joined = |arguments: usize| {
        let (query, body) = (vec!["a"; arguments].join("&"), "b".repeat(64 << 10));
        let head = format!("POST /?{query} HTTP/1.1\nHost: a\nContent-Length: {}", body.len());
        Sample::new(&head).with_body(body.as_bytes())
    };
    let expression = "len(join(http.request.uri.args.names, http.request.body.raw)) gt 0";
    check(&joined(16), &[(expression, true)]);
    check(&joined(17), &[(expression, false)]);
}

#[test]
fn bytes_that_are_no_text_are_compared_as_they_are() {
    let sample = Sample::new("GET /%FF HTTP/1.1\nHost: a\nX-Bytes: caf\u{e9}");
    check(
        &sample,
        &[
            ("url_decode(http.request.uri.path) eq \"/\\xff\"", true),
            ("url_decode(http.request.uri.path) matches r\"^/\\xFF$\"", true),
            ("len(url_decode(http.request.uri.path)) eq 2", true),
            ("len(http.request.headers[\"x-bytes\"][0]) eq 5", true),
            ("upper(http.request.headers[\"x-bytes\"][0]) eq \"CAF\\xc3\\xa9\"", true),
            ("http.request.headers[\"x-bytes\"][0] eq \"caf\u{e9}\"", true),
        ],
    );
}
