"""The SQL of an expression asks for the requests that the expression matches: the same rows, judged by both."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.events.support import ask, count, eventually, needs_chdb, request, running, write

from bartizan._native import SpoolReader
from bartizan.layout import StateDirectory
from bartizan.rules import Request, Response, Tls, Untranslatable, compile  # noqa: A004
from bartizan.rules.reference import functions
from bartizan.rules.stored import StoredRule

ROWS: Final = 600
LAST: Final = "http_log_custom_fields"
"""The phase that sees all there is."""

CUSTOM: Final = (
    # Every operator on strings.
    'http.host eq "shop.example"',
    'http.host ne "shop.example"',
    'http.request.method lt "POST"',
    'http.request.method le "POST"',
    'http.user_agent gt "curl"',
    'http.user_agent ge "curl/8"',
    'http.user_agent contains "bot"',
    'http.user_agent contains ""',
    r'http.user_agent contains "\x00"',
    r'http.user_agent contains "it\'s"'.replace(r"\'", "'"),
    r'http.referer eq "\xFF\xFE\\"',
    'http.referer contains "é"',
    'http.request.method in {"GET" "HEAD" "get"}',
    'http.host wildcard "*.EXAMPLE"',
    'http.host wildcard "shop*"',
    'http.host wildcard "*"',
    'http.host wildcard "SHOP.example"',
    'http.user_agent wildcard "*Mozilla*Firefox*"',
    'http.user_agent wildcard "m*a*"',
    'http.user_agent strict wildcard "M*a*a*"',
    'http.user_agent strict wildcard "curl/*"',
    r'http.user_agent wildcard r"*\**"',
    'http.referer wildcard "a*a"',
    # Regular expressions: ASCII in both dialects, then bytes, characters and what is neither.
    r'http.request.uri.path matches r"^/wp-(admin|login)\.php$"',
    r'http.request.uri.path matches r"\.(bak|old|~)$"',
    r'http.user_agent matches r"(?i)MOZILLA/\d+\.\d{1,2}\b"',
    r'http.user_agent matches r"\Bbot"',
    r'http.user_agent matches r"^[a-z]+/[0-9.]+$"',
    r'http.user_agent matches r"[^ -~]"',
    r'http.user_agent matches r"^.{3,20}$"',
    r'http.user_agent matches r"(?s)^.{3,20}$"',
    r'http.user_agent matches r"^.*bot.*$"',
    r'http.user_agent matches r"(?m)^bot$"',
    r'http.referer matches r"\xFF"',
    r'http.referer matches r"^[\x80-\xFF]+$"',
    r'http.referer matches r"(?u)^\p{Greek}+$"',
    r'http.referer matches r"(?u)[é-ü]"',
    r'http.referer matches r"(?u)(?i)É"',
    r'http.referer matches r"a|é||b{2}"',
    r'http.referer matches "é"',
    r'http.referer matches ""',
    r'http.referer matches r"[a&&b]"',
    r'http.referer matches r"^(a{1,3}.){2,}$"',
    # Addresses and numbers.
    "ip.src eq 192.0.2.1",
    "ip.src eq ::ffff:192.0.2.1",
    "ip.src ne 2001:db8::1",
    "ip.src in {192.0.2.0/24 2001:db8::/33}",
    "ip.src in {0.0.0.0/0}",
    "ip.src in {::/0}",
    "ip.src in {::ffff:192.0.2.0/120 198.51.100.3..198.51.100.9}",
    "cidr(ip.src, 24, 32) eq 192.0.2.0",
    "cidr(ip.src, 8, 32) eq 2001:db8::",
    "cidr6(ip.src, 64) in {2001:db8:0:1::/64 192.0.2.1}",
    "tcp.srcport lt 1024",
    "tcp.srcport le 1024",
    "tcp.srcport gt -1",
    "tcp.srcport ge 65535",
    "tcp.srcport eq 1024",
    "tcp.srcport ne 1024",
    "tcp.dstport in {80 443 8000..8009}",
    "cf.edge.server_port eq 9223372036854775807",
    "tcp.srcport gt -9223372036854775808",
    # Logic and conditions.
    "ssl",
    "ssl eq true",
    "ssl ne true",
    "not ssl",
    "ssl eq false xor cf.edge.client_tcp xor http.request.headers.truncated",
    'not (ssl and http.host eq "shop.example") or cf.threat_score gt 0',
    "true",
    "ssl and false",
    # The other fields.
    'http.request.version in {"HTTP/1.0" "HTTP/2"}',
    'http.request.uri.path.extension in {"php" "bz2"}',
    'http.request.uri.path.extension eq ""',
    'raw.http.request.uri contains "//"',
    'raw.http.request.uri.path eq "/a"',
    'raw.http.request.uri.path.extension eq "PHP"',
    'raw.http.request.uri.query contains "?"',
    'raw.http.request.uri.query eq ""',
    'cf.tls_version eq ""',
    'cf.tls_version eq "TLSv1.2"',
    'cf.tls_cipher contains "AES128"',
    'cf.bot_management.ja3_hash eq "cd08e31494f9531f560d64c695473da9"',
    'cf.bot_management.ja4 ne ""',
    'bartizan.http2.fingerprint contains "m,a,s,p"',
    'cf.ray_id lt "0000000000000020"',
    'cf.zone.name in {"shop" "blog"}',
    # Functions.
    'lower(http.user_agent) contains "mozilla"',
    'upper(http.referer) eq "É"',
    'upper(http.user_agent) contains "BOT"',
    "len(http.referer) gt 2",
    "len(http.referer) gt -1",
    'starts_with(http.request.uri.path, "/wp-")',
    'ends_with(http.request.uri.path, ".php") eq false',
    "starts_with(http.user_agent, http.request.method)",
    'concat(http.request.method, " ", http.host) eq "GET shop.example"',
    'concat(http.request.method) eq "GET"',
    'substring(http.request.uri.path, 1, 3) eq "wp"',
    'substring(http.request.uri.path, 1) contains "p"',
    'substring(http.request.uri.path, -4) eq ".php"',
    'substring(http.request.uri.path, 2, -2) contains "-"',
    'substring(http.request.uri.path, 900, 2) eq ""',
    'remove_bytes(http.request.uri.path, "/.\'\\\\") eq "wp-loginphp"',
    'remove_bytes(http.referer, "\\xFF\\xFE") eq ""',
    'sha256(http.request.method) eq "\\xD7\\xA5\\x1E"',
    "len(sha256(http.request.method)) eq 32",
)

RESPONSE: Final = (
    "http.response.code eq 200",
    "not http.response.code in {200..299 404}",
    'http.response.content_type.media_type eq "text/html"',
    'http.response.content_type.media_type ne "text/html" and http.host contains "o"',
)

AGENTS: Final = (
    b"", b"curl/8.5.0", b"Mozilla/5.0 (X11) Firefox/115.0", b"mozilla/5.0 firefox", b"GoogleBot/2.1", b"robot", b"bot",
    b"a*b", b"it's \\", b"caf\xc3\xa9 bot", b"\xff\xfebot\xff", b"Ma", b"Maya", b"GET", b"x" * 21, b"\xe2\x82\xac",
    b"a\tb",
)  # fmt: skip
REFERERS: Final = (
    b"", b"a", b"aa", b"aba", b"\xff\xfe\\", b"\xc3\xa9", b"\xc3\x89", b"\xce\xb1\xce\xb2", b"\xce\xb1b", b"\xc3",
    b"\xa9\xc3\xa9\xc3", b"bb", b"aaab", b"a\xc3\xa9a\xc3", b"https://shop.example/?q=\xfc", b"\xfe\xfe\xff",
)  # fmt: skip
TARGETS: Final = (
    "/", "/a", "/a?", "/a?b=c?d", "//a//b", "/wp-login.php", "/wp-login.PHP?x=%00", "/wp-admin.php", "/a/../b.tar.bz2",
    "/.htaccess", "/index.php/x", "/a.b/c", "/file.", "/..", "/it's.php", "/backup.old", "/%7e?%7E", "/a\\b.bak",
)  # fmt: skip
ADDRESSES: Final = (
    "192.0.2.1", "192.0.2.255", "192.0.3.0", "::ffff:192.0.2.1", "198.51.100.9", "2001:db8::1", "2001:db8:0:1::2",
    "2001:db8:8000::1", "::1", "255.255.255.255", "0.0.0.0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
)  # fmt: skip


def generated(choose: random.Random, number: int) -> Request:
    over_tls = choose.random() < 0.5
    tls = Tls(
        version=choose.choice(("TLSv1.2", "TLSv1.3")),
        cipher=choose.choice(("AEAD-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384")),
        ja3=choose.choice((None, "cd08e31494f9531f560d64c695473da9")),
        ja4=choose.choice((None, "t13d1516h2_8daaf6152771_b186095e22b6")),
    )
    headers = [("User-Agent", choose.choice(AGENTS)), ("Referer", choose.choice(REFERERS))]
    content_type = choose.choice(
        ((), (("Content-Type", b"Text/HTML ; charset=utf-8"),), (("Content-Type", b"text/css"),))
    )
    return Request(
        method=choose.choice(("GET", "POST", "HEAD", "get", "OPTIONS")),
        url=f"http{'s' * over_tls}://{choose.choice(('shop.example', 'Shop.Example.', 'www.shop.example', 'x:8080'))}"
        + choose.choice(TARGETS).replace("\\", "%5C"),
        headers=tuple(header for header in headers if header[1] or choose.random() < 0.5),
        version=choose.choice(("HTTP/1.1", "HTTP/2")),
        client_ip=choose.choice(ADDRESSES),
        client_port=choose.choice((0, 1, 1023, 1024, 65_535)),
        server_port=choose.choice((80, 443, 8005, 8443)),
        tls=tls if over_tls else None,
        http2_fingerprint=choose.choice((None, "1:65536|0|0|m,a,s,p")),
        zone=choose.choice(("shop", "blog", "other")),
        ray_id=f"{number:016x}",
        response=Response(status=choose.choice((200, 204, 404, 503)), headers=content_type),
    )


def row(made: Request, host: str, path: str) -> dict[str, object]:
    """What the edge would write of the request (crates/edge/src/events.rs)."""
    headers = dict(made.headers)
    assert made.response is not None
    values: dict[str, object] = {
        "RayID": made.ray_id,
        "ZoneName": made.zone,
        "ClientIP": made.client_ip,
        "ClientSrcPort": made.client_port,
        "ClientRequestMethod": made.method,
        "ClientRequestHost": host,
        "ClientRequestPath": path,
        "ClientRequestURI": made.url[made.url.index("/", 8) :],
        "ClientRequestScheme": made.url.partition(":")[0],
        "ClientRequestProtocol": made.version,
        "ClientRequestUserAgent": headers.get("User-Agent", b""),
        "ClientRequestReferer": headers.get("Referer", b""),
        "BartizanEdgeServerPort": made.server_port,
        "EdgeResponseStatus": made.response.status,
        "EdgeResponseContentType": dict(made.response.headers).get("Content-Type", b""),
        "BartizanHTTP2Fingerprint": made.http2_fingerprint or "",
    }
    if made.tls is not None:
        values |= {
            "ClientSSLProtocol": made.tls.version,
            "ClientSSLCipher": made.tls.cipher,
            "JA3Hash": made.tls.ja3 or "",
            "JA4": made.tls.ja4 or "",
        }
    return values


def value_of(field: str, made: Request, candidates: set[str]) -> str:
    """What a field holds for a request, found by asking for each that it might."""
    (found,) = (text for text in candidates if compile(f'{field} eq r"{text}"').matches(made))
    return found


PATHS: Final = {
    "/", "/a", "/a/b", "/wp-login.php", "/wp-login.PHP", "/wp-admin.php", "/b.tar.bz2", "/.htaccess", "/index.php/x",
    "/a.b/c", "/file.", "/it's.php", "/backup.old", "/~", "/a/b.bak", "/a\\b.bak", "/a%5Cb.bak",
}  # fmt: skip
HOSTS: Final = {"shop.example", "www.shop.example", "x"}


@pytest.fixture
def state() -> Iterator[StateDirectory]:
    with tempfile.TemporaryDirectory(prefix="bz") as directory:
        made = StateDirectory(Path(directory))
        made.create()
        yield made


@needs_chdb
def test_the_same_rows_match(state: StateDirectory) -> None:
    choose = random.Random(20_251_121)
    requests = [generated(choose, number) for number in range(ROWS)]
    rows = [
        row(made, value_of("http.host", made, HOSTS), value_of("http.request.uri.path", made, PATHS))
        for made in requests
    ]
    write(state.spool, *(("http_requests", request(number, **values)) for number, values in enumerate(rows)))
    rules = [compile(text) for text in CUSTOM] + [compile(text, phase=LAST) for text in RESPONSE]
    expected = {
        str(rule): {made.ray_id for made, matches in zip(requests, rule.matches_all(requests), strict=True) if matches}
        for rule in rules
    }
    with running(state):
        eventually(lambda: count(state) == ROWS, "the rows are stored")
        found = {
            str(rule): {
                str(answer["RayID"])
                for answer in ask(state, f"SELECT RayID FROM http_requests WHERE {rule.sql()}")  # noqa: S608  our own
            }
            for rule in rules
        }
    assert {text: len(matched ^ expected[text]) for text, matched in found.items() if matched != expected[text]} == {}
    some = [text for text, matched in expected.items() if 0 < len(matched) < ROWS]
    assert len(some) > 0.8 * len(expected), "most of them tell the rows apart"


def test_rows_of_the_spool_are_judged_as_their_requests_were(state: StateDirectory) -> None:
    choose = random.Random(20_261_121)
    made = [generated(choose, number) for number in range(ROWS)]
    # A row is shown as text, in which what is no UTF-8 has no form of its own.
    requests = [each for each in made if all(is_text(value) for value in dict(each.headers).values())]
    rows = [
        row(each, value_of("http.host", each, HOSTS), value_of("http.request.uri.path", each, PATHS))
        for each in requests
    ]
    write(state.spool, *(("http_requests", request(number, **values)) for number, values in enumerate(rows)))
    stored = []
    reader = SpoolReader(state.spool)
    while (batch := reader.next_batch()) is not None:
        stored += [found for _, found in batch.rows("http_requests")]
    assert len(stored) == len(requests) > ROWS / 4
    phases = dict.fromkeys(CUSTOM, "http_request_firewall_custom") | dict.fromkeys(RESPONSE, LAST)
    wrong = {
        text: sum(a != b for a, b in zip(judged, expected, strict=True))
        for text, phase in phases.items()
        if (judged := StoredRule(text).matches_all(stored))
        != (expected := compile(text, phase=phase).matches_all(requests))
    }
    assert wrong == {}


def is_text(value: str | bytes) -> bool:
    try:
        value.decode() if isinstance(value, bytes) else value.encode()
    except UnicodeError:
        return False
    return True


def test_every_function_is_translated_or_refused_by_name() -> None:
    tried = " ".join((*CUSTOM, *RESPONSE))
    translated = {function.name for function in functions() if f"{function.name}(" in tried}
    assert translated == {
        "cidr", "cidr6", "concat", "ends_with", "len", "lower", "remove_bytes", "sha256", "starts_with", "substring",
        "upper",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "reason", "column"),
    [
        ('http.host eq "a" and http.request.uri contains "b"', "from before URL normalisation", 22),
        ('any(http.request.headers["accept"][*] eq "a")', "http.request.headers has no column in http_requests", 5),
        ('url_decode(http.request.uri.path) eq "a"', "url_decode() has no function in ClickHouse", 1),
        ("http.request.body.size gt 10", "http.request.body.size has no column in http_requests", 1),
        ("ip.src in $office", "the event store does not hold the items of $office", 1),
        ("len(http.request.uri.args.names) gt 3", "http.request.uri.args.names has no column in http_requests", 5),
    ],
)
def test_what_is_not_exact_is_refused_where_it_stands(expression: str, reason: str, column: int) -> None:
    with pytest.raises(Untranslatable) as refused:
        compile(expression, lists={"office": ["192.0.2.1"]}).sql()
    assert reason in refused.value.message
    assert refused.value.column == column
