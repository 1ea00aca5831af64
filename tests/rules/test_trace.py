"""Which part of an expression decided."""

from __future__ import annotations

from bartizan.rules import Request
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
