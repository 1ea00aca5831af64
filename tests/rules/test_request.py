"""Requests as the native module reads them."""

from __future__ import annotations

from bartizan.rules.request import Request, Response, Tls, sample


def test_a_request_becomes_the_message_that_a_client_sends() -> None:
    made = sample(Request(method="POST", url="https://a:8443/b?c#d", headers={"X": "y"}, body=b"z", received=1.0), {})
    assert made.message == b"POST /b?c HTTP/1.1\r\nHost: a:8443\r\nX: y\r\nContent-Length: 1\r\n\r\nz"
    assert (made.https, made.server_port, made.tls, made.received) == (True, 8443, None, 1.0)


def test_what_the_headers_say_is_not_said_again() -> None:
    made = sample(Request(headers={"Host": "b", "Transfer-Encoding": "chunked"}, body=b"0\r\n\r\n"), {})
    assert made.message == b"GET / HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"


def test_an_address_without_a_port_has_that_of_its_scheme() -> None:
    urls = ("http://a/", "https://a", "http://[::1]:81/", "http://[::1]/")
    assert [sample(Request(url=url), {}).server_port for url in urls] == [80, 443, 81, 80]


def test_a_response_is_a_head_of_its_own() -> None:
    made = sample(Request(response=Response(status=404, headers=(("A", b"\xff"),), error_type="x")), {})
    assert (made.response, made.error_type) == (b"HTTP/1.1 404 \r\nA: \xff\r\n\r\n", "x")


def test_bytes_with_tls_are_https() -> None:
    made = sample(b"GET / HTTP/1.1\r\n\r\n", {"tls": Tls(), "client_ip": "::1", "response": Response()})
    assert (made.https, made.server_port, made.client_ip) == (True, 443, "::1")
    assert made.response == b"HTTP/1.1 200 \r\n\r\n"
