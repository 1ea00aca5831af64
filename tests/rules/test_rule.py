"""Expressions as objects."""

from __future__ import annotations

import re
import threading

import pytest

import bartizan
from bartizan.failure import Failure
from bartizan.rules import ExpressionError, Request, Response, Tls, canonical, compile  # noqa: A004
from bartizan.rules.reference import fields, functions
from bartizan.rules.rule import Explanation

LOGIN = 'http.request.uri.path matches "^/wp-" && !(ip.src in $office)'


def test_a_rule_judges_requests_and_prints_itself() -> None:
    rule = compile(LOGIN, lists={"office": ["192.0.2.0/24"]})
    assert str(rule) == 'http.request.uri.path matches "^/wp-" and not ip.src in $office' == canonical(LOGIN)
    assert rule.fields == ("http.request.uri.path", "ip.src")
    assert rule.matches(Request(url="https://shop.example/wp-login.php", client_ip="198.51.100.1"))
    assert not rule.matches(Request(url="https://shop.example/wp-login.php", client_ip="192.0.2.7"))
    assert bartizan.Request is Request


def test_bytes_are_a_request_beside_what_they_cannot_say() -> None:
    message = (
        b"POST /a HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    rule = compile('http.request.body.raw eq "abcde" and ip.src eq 2001:db8::1 and ssl and cf.tls_version eq "TLSv1.2"')
    assert rule.matches(message, client_ip="2001:db8::1", tls=Tls(version="TLSv1.2"))
    assert not rule.matches(message, client_ip="2001:db8::1")
    assert compile("ssl").matches(message, https=True)


@pytest.mark.parametrize(
    ("expression", "request_"),
    [
        ('http.request.version eq "HTTP/2" and http.request.headers["x-a"][0] eq "b"', {"headers": {"X-A": "b"}}),
        ('http.host eq "shop.example" and tcp.dstport eq 8443', {"url": "https://Shop.example:8443/"}),
        ('http.request.uri eq "/?a=b"', {"url": "http://shop.example?a=b#c"}),
        ('http.host eq "other"', {"headers": {"host": "other"}}),
        ("http.request.body.size eq 3", {"body": b"abc", "method": "POST"}),
        ("http.request.body.truncated", {"body_truncated": True}),
        ('http.request.uri.path eq "//a"', {"url": "http://a//a", "normalization": "rfc3986"}),
        ("http.request.timestamp.sec eq 12", {"received": 12.5}),
        ('cf.zone.name eq "shop" and cf.ray_id eq "a"', {"zone": "shop", "ray_id": "a"}),
        ('cf.bot_management.ja4 eq "t13"', {"tls": Tls(ja4="t13")}),
        (r'http.request.headers["x"][0] eq "\xFF"', {"headers": (("X", b"\xff"),)}),
    ],
)
def test_every_fact_reaches_its_field(expression: str, request_: dict[str, object]) -> None:
    version = "HTTP/2" if "version" in expression else "HTTP/1.1"
    assert compile(expression).matches(Request(version=version, **request_))  # type: ignore[arg-type]


def test_a_rule_of_a_response_sees_it() -> None:
    rule = compile('http.response.code eq 403 and cf.response.error_type eq "waf"', phase="http_custom_errors")
    assert rule.matches(Request(response=Response(status=403, error_type="waf")))
    assert not rule.matches(Request())


def test_many_requests_are_judged_at_once_and_by_many_threads() -> None:
    rule = compile('http.request.uri.path eq "/3"')
    requests = [Request(url=f"http://a/{number}") for number in range(5)]
    assert rule.matches_all(requests) == [False, False, False, True, False]
    assert rule.matches_all([b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n", requests[0]], client_ip="::1") == [True, False]
    assert rule.matches_all([]) == []
    answers: list[list[bool]] = []
    threads = [threading.Thread(target=lambda: answers.append(rule.matches_all(requests * 100))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [[False, False, False, True, False] * 100] * 4


def test_a_wrong_expression_says_where_and_what_was_meant() -> None:
    with pytest.raises(ExpressionError) as wrong:
        compile('ssl and\n http.hots eq "a"')
    error = wrong.value
    assert (error.line, error.column, error.length, error.suggestion) == (2, 2, 9, "http.host")
    assert str(error) == (
        'unknown field "http.hots" (line 2, column 2)\n   http.hots eq "a"\n   ^~~~~~~~~\n  did you mean http.host?'
    )
    with pytest.raises(ExpressionError) as cut:
        canonical("ssl and")
    assert cut.value.column == 8
    assert cut.value.expected is not None


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"url": "shop.example"}, "the address 'shop.example' does not begin with http:// or https://"),
        ({"url": "http:///a"}, "the address 'http:///a' names no host"),
        ({"headers": {"A": "b\r\nC: d"}}, r"a line of a request's head cannot hold a line break: b'A: b\r\nC: d'"),
        ({"headers": {"A B": "c"}}, "the edge refuses this request: "),
        ({"client_ip": "nowhere"}, 'client_ip is no IP address: "nowhere"'),
        ({"client_port": 70_000}, "client_port is 70000; a port is a number from 0 to 65535"),
        ({"version": "HTTP/3"}, "version is 'HTTP/3'; it is HTTP/1.1 or HTTP/2 (give bytes for another)"),
        ({"tls": Tls(version="SSLv3")}, 'this edge knows no TLS version "SSLv3"; it knows TLSv1.2, TLSv1.3'),
        ({"normalization": "x"}, 'there is no URL normalisation "x"; it is cloudflare, rfc3986 or none'),
        ({"received": -1.0}, "received is no time: -1 seconds since 1970"),
        ({"response": Response(headers={"A B": "c"})}, "the edge refuses this response: "),
    ],
)
def test_a_request_that_the_edge_would_not_see_is_refused(request_: dict[str, object], said: str) -> None:
    with pytest.raises(Failure) as refused:
        compile("ssl").matches(Request(**request_))  # type: ignore[arg-type]
    assert str(refused.value).startswith(said)


def test_the_one_request_of_many_that_is_wrong_is_named() -> None:
    with pytest.raises(Failure, match=r"^request 2: the request has no end"):
        compile("ssl").matches_all([Request(), b"GET / HTTP/1.1\r\n"])


def test_a_request_has_its_facts_in_itself() -> None:
    with pytest.raises(TypeError, match="set client_ip in it"):
        compile("ssl").matches(Request(), client_ip="::1")


def test_a_phase_or_a_list_that_is_wrong_is_named() -> None:
    with pytest.raises(Failure, match=r'^there is no phase "x"; there are http_request_sanitize, '):
        compile("ssl", phase="x")
    with pytest.raises(Failure, match=r"^list a, item 2: b is not an IP address"):
        compile("ssl", lists={"a": ["::1", "b"]})
    with pytest.raises(Failure, match=r'^list a: there is no kind "x"; there are ip, hostname, asn, string'):
        compile("ssl", lists={"a": ("x", ["::1"])})
    with pytest.raises(Failure, match=r'^"A" is no name of a list'):
        compile("ssl", lists={"A": []})
    assert compile("http.host in $names", lists={"names": ("hostname", ["*.example"])}).matches(
        Request(url="http://a.example/")
    )


def test_an_explanation_shows_the_tree_and_what_follows() -> None:
    rule = compile('http.request.body.raw contains "a" and not ssl')
    lines = rule.explain().splitlines()
    assert lines[0] == str(rule)
    assert [line.split("  ")[0] for line in map(str.strip, lines[2:8])] == [
        "and", "contains", "http.request.body.raw", '"a"', "not", "ssl",
    ]  # fmt: skip
    assert lines[-3:-1] == [
        "reads    ssl (known with the request head); http.request.body.raw (the edge holds request bodies for it)",
        "phases   every phase",
    ]
    assert re.fullmatch(
        r"cost     about [0-9.]+ us with every part evaluated; most for contains over http\.request\.body\.raw, "
        r"[0-9.]+ us \(a body of 128 KiB\)",
        lines[-1],
    )
    explained = rule.explanation()
    assert isinstance(explained, Explanation)
    assert explained.holds_body
    assert [(part.depth, part.text, part.type) for part in explained.tree][:2] == [
        (0, "and", "Boolean"),
        (1, "contains", "Boolean"),
    ]
    assert "http_request_firewall_custom" in explained.phases


def test_an_explanation_says_what_an_expression_costs() -> None:
    cheap = compile('http.host eq "a"').explanation()
    dear = compile('http.host eq "a" and http.request.body.raw matches "[0-9]{6}[a-f]"').explanation()
    assert 0 < cheap.cost_ns < 1_000 < 100_000 < dear.cost_ns
    assert (cheap.costliest, dear.costliest) == ("reading http.host", "matches over http.request.body.raw")
    nothing = compile("true").explanation()
    assert (nothing.cost_ns, nothing.costliest) == (0, None)


def test_an_explanation_says_where_an_expression_may_stand() -> None:
    early = compile("cidr(ip.src, 24, 24) eq 192.0.2.0").explanation()
    assert early.phases == ["http_request_firewall_custom", "http_ratelimit"]
    late = compile("http.response.code eq 200", phase="http_log_custom_fields").explanation()
    assert late.phases[0] == "http_custom_errors"
    assert len(late.phases) == 5


def test_the_example_of_every_field_is_explained() -> None:
    for field in fields():
        rule = compile(field.example, phase="http_log_custom_fields")
        assert field.name in rule.fields
        assert field.summary in rule.explain()
    assert len(functions()) > 20
