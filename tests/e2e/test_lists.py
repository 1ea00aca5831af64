"""Lists as clients meet them: redirects by list, and items that expire while the edge runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import spooled
from tests.e2e.conftest import Document, RunningEdge, StartEdge, rule, zone
from tests.e2e.origin import Origin, echo
from tests.e2e.programs import run

CUSTOM = "http_request_firewall_custom"
BULK = "http_request_redirect"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def by_list(name: str, key: str = "http.request.full_uri", also: str = "") -> Document:
    """A rule that redirects by a list."""
    return rule(f"{also}{key} in ${name}", "redirect", action_parameters={"from_list": {"name": name, "key": key}})


def item(source: str, target: str, **more: Any) -> Document:
    """A redirect."""
    return {"source_url": source, "target_url": target, **more}


def curl(edge: RunningEdge, url: str) -> tuple[int, str | None]:
    """Status and Location of the answer to a GET, as curl gets them."""
    host = url.split("/")[2]
    command = ("curl", "--silent", "--show-error", "--max-time", "30", "--path-as-is", "--include")
    done = run(*command, "--connect-to", f"{host}:80:127.0.0.1:{edge.port}", url)
    lines = done.stdout.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    return int(lines[0].split(" ")[1]), headers.get("location")


@contextmanager
def origin() -> Iterator[tuple[Origin, list[bytes]]]:
    """An origin and the requests that it got."""
    seen: list[bytes] = []
    with Origin(echo(seen, OK)) as made:
        yield made, seen


REDIRECTS = [
    item("shop.test/contacts", "https://new.test/contact-us"),
    item("shop.test/new_feature", "/soon", status_code=302),
    item("shop.test/kept", "/kept", status_code=308, preserve_query_string=True),
    item("shop.test/folder", "/1", subpath_matching=True),
    item("shop.test/folder/subfolder", "/2", subpath_matching=True),
    item("shop.test/foo/", "https://new.test/qux/", subpath_matching=True),
    item("shop.test/bar/", "https://new.test/qux/", subpath_matching=True, preserve_path_suffix=False),
    item("shop.test/", "/root"),
    item("example.test/about", "/below", include_subdomains=True),
    item("a.example.test/about", "/nearer", include_subdomains=True),
    item("b.a.example.test/about", "/itself"),
    item("shop.test/scheme", "/any"),
    item("http://shop.test/scheme", "/http"),
    item("https://shop.test/https", "/https"),
    item("deep.test/a", "/host", subpath_matching=True),
    item("test/a/b", "/path", subpath_matching=True, include_subdomains=True),
    item("shop.test/open", "/", subpath_matching=True),
    item("shop.test/host", "https://new.test", subpath_matching=True),
]


@pytest.fixture
def redirecting(start_edge: StartEdge) -> Iterator[tuple[RunningEdge, list[bytes]]]:
    """An edge that redirects by a list, and the requests that its origin got."""
    with origin() as (made, seen):
        lists = {"moved": {"kind": "redirect", "items": REDIRECTS}}
        yield start_edge(zone(made.url, phases={BULK: [by_list("moved")]}), lists=lists), seen


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("http://shop.test/contacts", (301, "https://new.test/contact-us"), id="301 is the default"),
        pytest.param("http://shop.test/contacts?a=b", (301, "https://new.test/contact-us"), id="no query by default"),
        pytest.param("http://shop.test/contacts/", (200, None), id="another path"),
        pytest.param("http://www.shop.test/contacts", (200, None), id="another host"),
        pytest.param("http://shop.test/new_feature", (302, "/soon"), id="status"),
        pytest.param("http://shop.test/kept?a=b&c", (308, "/kept?a=b&c"), id="query kept"),
        pytest.param("http://shop.test/folder/item", (301, "/1/item"), id="subpath"),
        pytest.param("http://shop.test/folder/subfolder/item", (301, "/2/item"), id="the longest path wins"),
        pytest.param("http://shop.test/folderitem", (200, None), id="a path ends at a slash"),
        pytest.param("http://shop.test/foo/bar?a", (301, "https://new.test/qux/bar"), id="suffix kept"),
        pytest.param("http://shop.test/bar/foo", (301, "https://new.test/qux/"), id="suffix left out"),
        pytest.param("http://shop.test/", (301, "/root"), id="root"),
        pytest.param("http://x.example.test/about", (301, "/below"), id="subdomain"),
        pytest.param("http://x.a.example.test/about", (301, "/nearer"), id="the longest host wins"),
        pytest.param("http://b.a.example.test/about", (301, "/itself"), id="the host itself wins"),
        pytest.param("http://shop.test/scheme", (301, "/http"), id="a scheme wins over none"),
        pytest.param("http://shop.test/https", (200, None), id="another scheme"),
        pytest.param("http://deep.test/a/b/c", (301, "/path/c"), id="the path is compared before the host"),
        pytest.param("http://shop.test/open//evil.test", (301, "/evil.test"), id="no other host by slashes"),
        pytest.param("http://shop.test/open/\\evil.test", (301, "/evil.test"), id="no other host by backslashes"),
        pytest.param("http://shop.test/host/.evil.test", (301, "https://new.test/.evil.test"), id="no longer host"),
        pytest.param("http://shop.test/open/%0d%0aX:y", (301, "/%0D%0AX:y"), id="no header"),
    ],
)
def test_a_url_is_redirected_as_the_list_says(
    redirecting: tuple[RunningEdge, list[bytes]], url: str, expected: tuple[int, str | None]
) -> None:
    edge, seen = redirecting
    assert curl(edge, url) == expected
    assert len(seen) == (1 if expected[0] == 200 else 0)


def test_a_redirect_leaves_an_event_and_a_url_that_the_list_does_not_have_none(
    start_edge: StartEdge, tmp_path: Path
) -> None:
    items = [item("shop.test/a", "/b")]
    unconditional = rule(
        'http.request.full_uri contains "/"', "redirect", action_parameters={"from_list": {"name": "moved"}}
    )
    with origin() as (made, seen):
        lists = {"moved": {"kind": "redirect", "items": items}}
        edge = start_edge(zone(made.url), account={"phases": {BULK: [unconditional]}}, lists=lists)
        assert curl(edge, "http://shop.test/a") == (301, "/b")
        assert curl(edge, "http://shop.test/other") == (200, None)
        edge.stop(5.0)
    rows = spooled.rows(tmp_path / "spool", "firewall_events")
    assert [(row["Action"], row["ClientRequestPath"], row["RuleID"]) for row in rows] == [
        ("redirect", "/a", unconditional["id"])
    ]
    assert len(seen) == 1


def test_the_raw_url_is_looked_up_where_the_key_says_so(start_edge: StartEdge) -> None:
    raw = by_list("moved", "raw.http.request.full_uri")
    items = [item("shop.test/a%2e", "/raw"), item("shop.test/a.", "/normal")]
    with origin() as (made, _):
        lists = {"moved": {"kind": "redirect", "items": items}}
        edge = start_edge(zone(made.url, phases={BULK: [raw]}), lists=lists)
        assert curl(edge, "http://shop.test/a%2e") == (301, "/raw")
        edge.apply({**edge.document, "version": 2, "zones": [zone(made.url, phases={BULK: [by_list("moved")]})]})
        assert curl(edge, "http://shop.test/a%2e") == (301, "/normal")


@pytest.mark.parametrize(
    ("kind", "value", "expressions"),
    [
        ("ip", "127.0.0.0/8", ["ip.src in $short", "ip.src in $long and ip.src in $short"]),
        ("hostname", "*.test", ["http.host in $short"]),
        ("string", "/a", ["http.request.uri.path in $short"]),
    ],
)
def test_an_item_matches_until_the_moment_at_which_it_expires(
    start_edge: StartEdge, kind: str, value: str, expressions: list[str]
) -> None:
    rules = [rule(expression) for expression in expressions]
    with origin() as (made, _):
        edge = start_edge(zone(made.url, phases={CUSTOM: rules}), lists=_expiring(kind, value, 0.0))
        assert curl(edge, "http://shop.test/a") == (200, None)
        for lead_s in (2.0, 10.0, 40.0):
            moment = round(time.time() + lead_s, 3)
            edge.apply({**edge.document, "lists": _expiring(kind, value, moment)})
            if _blocked_until(edge, moment):
                return
    pytest.fail("no request was answered before the item expired")


def test_a_redirect_expires_too(start_edge: StartEdge) -> None:
    past = {"expires": "2020-01-01T00:00:00Z"}
    items = [item("shop.test/a", "/gone", **past), item("shop.test/", "/root", subpath_matching=True)]
    with origin() as (made, _):
        lists = {"moved": {"kind": "redirect", "items": items}}
        edge = start_edge(zone(made.url, phases={BULK: [by_list("moved")]}), lists=lists)
        assert curl(edge, "http://shop.test/a") == (301, "/root/a")


def _expiring(kind: str, value: str, moment: float) -> Document:
    expires = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return {
        "short": {"kind": kind, "items": [{"item": value, "comment": "for a moment", "expires": expires}]},
        "long": {"kind": kind, "items": [value]},
    }


def _blocked_until(edge: RunningEdge, moment: float) -> bool:
    """Asks until the moment has passed: all that was answered before it was blocked, what was asked after it was not.

    Whether anything was answered before.
    """
    before = False
    while True:
        asked = time.time()
        status, _ = curl(edge, "http://shop.test/a")
        answered = time.time()
        if answered < moment:
            assert status == 403
            before = True
        elif asked >= moment:
            assert status == 200
            return before
