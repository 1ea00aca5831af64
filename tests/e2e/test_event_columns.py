"""What the events of real requests hold, column by column, and how they have the addresses of clients."""

from __future__ import annotations

import ipaddress
import time
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import spooled
from tests.e2e.client import connect, read_to_end
from tests.e2e.conftest import RunningEdge, StartEdge, rule, zone
from tests.e2e.origin import Origin, Visit
from tests.e2e.programs import run

CUSTOM = "http_request_firewall_custom"
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
    b"Expires: 0\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"
)


def answer(visit: Visit) -> None:
    """Says hello."""
    while visit.request() is not None:
        visit.send(HEAD + b"hello")


def get(edge: RunningEdge, path: str, *options: str) -> None:
    """Asks for a path with curl."""
    run("curl", "--silent", "-H", "Host: shop.test", *options, f"http://127.0.0.1:{edge.port}{path}")


def events(edge: RunningEdge, spool: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a table, once the edge has stopped."""
    edge.stop(5.0)
    return spooled.rows(spool, table)


def test_a_request_that_went_to_the_origin_and_one_that_did_not(start_edge: StartEdge, tmp_path: Path) -> None:
    with Origin(answer) as origin:
        blocked = rule('http.request.uri.path eq "/blocked"', ref="one")
        edge = start_edge(zone(origin.url, phases={CUSTOM: [blocked]}))
        traced = "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        get(edge, "/a?x=1", "-H", "X-Requested-With: XMLHttpRequest", "-H", traced)
        get(edge, "/blocked")
        passed, stopped = events(edge, tmp_path / "spool", "http_requests")
    expected = {
        "ClientIP": "127.0.0.1",
        "ClientRequestSource": "eyeball",
        "ClientSSLProtocol": "none",
        "ClientSSLCipher": "NONE",
        "ClientXRequestedWith": "XMLHttpRequest",
        "EdgePathingOp": "wl",
        "EdgePathingSrc": "macro",
        "EdgePathingStatus": "nr",
        "EdgeRequestHost": "shop.test",
        "EdgeServerIP": "127.0.0.1",
        "OriginIP": "127.0.0.1",
        "OriginSSLProtocol": "none",
        "OriginResponseBytes": len(HEAD) + 5,
        "BartizanTraceID": "4bf92f3577b34da6a3ce929d0e0e4736",
        "BartizanParentSpanID": "00f067aa0ba902b7",
        "OriginResponseHTTPLastModified": "Sun, 06 Nov 1994 08:49:37 GMT",
    }
    assert {name: passed.get(name) for name in expected} == expected
    assert "OriginResponseHTTPExpires" not in passed
    assert passed["OriginResponseTime"] // 1_000_000 == passed["OriginResponseDurationMs"]
    assert passed["ClientTCPRTTMs"] < 1000
    assert (stopped["EdgePathingOp"], stopped["EdgePathingSrc"]) == ("ban", "filterBasedFirewall")
    of_origins = {name for name in stopped if name.startswith("Origin") and stopped[name]}
    assert of_origins | {"EdgeRequestHost", "EdgeServerIP"} & set(stopped) == set()


@pytest.mark.parametrize("how", ["full", "truncated", "hashed"])
def test_every_table_has_addresses_as_the_site_says(start_edge: StartEdge, tmp_path: Path, how: str) -> None:
    key = tmp_path / "address.key"
    kept = {
        "request_fields": [{"name": "x-forwarded-for"}],
    }
    phases = {
        CUSTOM: [rule("true", "log", ref="all")],
        "http_log_custom_fields": [rule("true", "log_custom_field", action_parameters=kept)],
    }
    spool = tmp_path / "spool"
    with Origin(answer) as origin:
        settings = {"events": {"client_ip": how}, "trusted_proxies": ["127.0.0.1"]}
        # Addresses are hashed under a key of the day: all of this is to be of one.
        while how == "hashed" and time.time() % 86_400 > 86_400 - 60:
            time.sleep(1)
        edge = start_edge(zone(origin.url, phases=phases), edge=settings, options={"address_key": str(key)})
        for _ in range(2):
            get(edge, "/", "-H", "X-Forwarded-For: 203.0.113.77")
        with connect(edge.port) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            read_to_end(connection)
        requests = events(edge, spool, "http_requests")
    assert key.stat().st_mode & 0o777 == 0o600
    addresses = {row["ClientIP"] for row in [*requests, *events(edge, spool, "firewall_events")]}
    (address,) = addresses
    (refusal,) = events(edge, spool, "bartizan_refusals")
    headers = {row["RequestHeaders"] for row in requests}
    segments = b"".join(file.read_bytes() for file in spool.iterdir())
    if how == "full":
        assert (address, refusal["ClientIP"], refusal["ClientIPPrefix"]) == ("203.0.113.77", "127.0.0.1", "127.0.0.1")
        assert headers == {'{"x-forwarded-for":"203.0.113.77"}'}
        return
    assert headers == {'{"x-forwarded-for":"REDACTED"}'}
    assert b"203.0.113.77" not in segments
    assert ipaddress.ip_address("203.0.113.77").packed not in segments
    if how == "truncated":
        assert (address, refusal["ClientIP"], refusal["ClientIPPrefix"]) == ("203.0.113.0", "127.0.0.0", "127.0.0.0")
    else:
        hidden = ipaddress.ip_network("100::/64")
        assert all(ipaddress.ip_address(each) in hidden for each in (address, refusal["ClientIP"]))
        assert refusal["ClientIPPrefix"] == refusal["ClientIP"] != address
