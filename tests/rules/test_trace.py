"""Which part of an expression decided."""

from __future__ import annotations

from bartizan.rules import Request, compile  # noqa: A004  its name in re too
from bartizan.rules.trace import Condition, trace


def test_every_condition_has_its_verdict() -> None:
    expression = '(ssl or http.host eq "é") and not starts_with(http.request.uri.path, "/b") and ip.src in $office'
    request = Request(url="http://a/b", client_ip="192.0.2.1")
    assert trace(expression, request, lists={"office": ["192.0.2.1"]}) == [
        Condition(0, expression, matches=False),
        Condition(1, '(ssl or http.host eq "é")', matches=False),
        Condition(2, "ssl", matches=False),
        Condition(2, 'http.host eq "é"', matches=False),
        Condition(1, 'not starts_with(http.request.uri.path, "/b")', matches=False),
        Condition(2, 'starts_with(http.request.uri.path, "/b")', matches=True),
        Condition(1, "ip.src in $office", matches=True),
    ]


def test_what_is_asked_of_each_element_is_part_of_the_whole() -> None:
    expression = 'any(http.request.headers["a"][*] eq "b")'
    assert trace(expression, b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n") == [Condition(0, expression, matches=True)]


def test_a_key_is_not_shown_and_still_used() -> None:
    expression = 'is_timed_hmac_valid_v0("mysecretkey", http.request.uri, 10800, 1484073936, 8)'
    token = "1484063137-GJY9aB56NaBxIjmYsdDN%2BhuFedS39UIn5oHNxViBTJQ%3D"
    request = Request(url=f"http://a/images/cat.jpg?verify={token}")
    assert trace(expression, request) == [Condition(0, expression.replace("mysecretkey", "***"), matches=True)]
    rule = compile(expression)
    assert "mysecretkey" not in repr(rule) + rule.explain() + str(rule.explanation())
    assert "mysecretkey" in str(rule), "it is stored whole"
