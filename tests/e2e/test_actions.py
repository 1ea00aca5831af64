"""What each action does, seen by curl, by the origin and in the events that it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import spooled
from tests.e2e.conftest import Document, RunningEdge, StartEdge, rule, zone
from tests.e2e.origin import Origin, echo
from tests.e2e.programs import run
from tests.ports import reserved_port

from bartizan.rules.reference import actions

CUSTOM = "http_request_firewall_custom"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Powered-By: it\r\nContent-Length: 5\r\n\r\nhello"
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone"


class Answer:
    """What curl got."""

    def __init__(self, head: str, body: bytes) -> None:
        """Reads a head as curl dumps it."""
        status, *lines = head.strip().splitlines()
        self.status = int(status.split(" ")[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        self.body = body


class Site:
    """An edge with rules in front of one origin."""

    def __init__(
        self,
        start_edge: StartEdge,
        spool: Path,
        answer: bytes,
        phases: Document,
        settings: Document | None = None,
        scheme: str = "http",
        port: int = 0,
        **document: Any,
    ) -> None:
        """Starts both; `settings` are more of the zone's, `scheme` is what it takes the origin to speak."""
        self.seen: list[bytes] = []
        self.origin = Origin(echo(self.seen, answer), port=port)
        url = self.origin.url.replace("http", scheme, 1)
        self.edge: RunningEdge = start_edge(zone(url, phases=phases, **settings or {}), **document)
        self._spool = spool

    def get(self, path: str, *options: str) -> Answer:
        """Asks for a path with curl."""
        address = f"shop.test:80:127.0.0.1:{self.edge.port}"
        command = ("curl", "--silent", "--show-error", "--max-time", "30", "--path-as-is", "--include")
        done = run(*command, "--connect-to", address, *options, f"http://shop.test{path}")
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        return Answer(head.decode("latin-1"), body)

    def asked(self) -> str:
        """The target that the origin was asked for last."""
        return self.seen[-1].split(b" ")[1].decode()

    def sent(self, name: str) -> list[str]:
        """The values of a header that the origin got last."""
        lines = (line.partition(": ") for line in self.seen[-1].decode("latin-1").split("\r\n")[1:])
        return [value for known, _, value in lines if known.lower() == name.lower()]

    def events(self, table: str) -> list[dict[str, Any]]:
        """The rows of a table, once the edge has stopped."""
        self.edge.stop(5.0)
        return spooled.rows(self._spool, table)

    def actions(self) -> list[tuple[str, str]]:
        """Action and path of each rule that left an event."""
        return [(str(row["Action"]), str(row["ClientRequestPath"])) for row in self.events("firewall_events")]


MakeSite = Callable[..., Site]


@pytest.fixture
def site(start_edge: StartEdge, tmp_path: Path) -> Iterator[MakeSite]:
    """Makes a site: `site(answer of the origin, phases)`."""
    made: list[Site] = []

    def make(answer: bytes, phases: Document, **document: Any) -> Site:
        made.append(Site(start_edge, tmp_path / "spool", answer, phases, **document))
        return made[-1]

    yield make
    for each in made:
        each.origin.close()


def test_every_action_has_a_test_of_its_own() -> None:
    tests = [name for name in globals() if name.startswith("test_")]
    untested = [
        action.name for action in actions() if not any(name.startswith(f"test_{action.name}_") for name in tests)
    ]
    assert untested == []


def test_block_answers_and_leaves_an_event(site: MakeSite) -> None:
    response = {"status_code": 418, "content": "{}", "content_type": "application/json"}
    there = site(OK, {CUSTOM: [rule('http.request.uri.path eq "/a"', action_parameters={"response": response})]})
    answer = there.get("/a")
    assert (answer.status, answer.headers["content-type"], answer.body) == (418, "application/json", b"{}")
    assert there.get("/b").status == 200
    assert len(there.seen) == 1
    assert there.actions() == [("block", "/a")]


def test_log_leaves_an_event_and_nothing_else(site: MakeSite) -> None:
    there = site(OK, {CUSTOM: [rule('http.request.uri.path eq "/a"', "log")]})
    assert there.get("/a").body == b"hello"
    assert there.actions() == [("log", "/a")]


def test_skip_spares_a_request_later_rules(site: MakeSite) -> None:
    skip = rule('http.request.uri.path eq "/a"', "skip", action_parameters={"ruleset": "current"})
    there = site(OK, {CUSTOM: [skip, rule("true")]})
    assert (there.get("/a").status, there.get("/b").status) == (200, 403)
    assert there.actions() == [("skip", "/a"), ("block", "/b")]


def test_skip_of_the_account_spares_a_request_the_managed_rules_of_the_zone(site: MakeSite) -> None:
    managed = "http_request_firewall_managed"
    skip = rule('http.request.uri.path eq "/a"', "skip", action_parameters={"phases": [managed]})
    quiet = rule('http.request.uri.path eq "/b"', "skip", action_parameters={"phases": [managed]})
    account = {"phases": {CUSTOM: [skip, {**quiet, "logging": {"enabled": False}}]}}
    there = site(OK, {managed: [rule("true")]}, account=account)
    assert [there.get(path).status for path in ("/a", "/b", "/c")] == [200, 200, 403]
    assert there.actions() == [("skip", "/a"), ("block", "/c")]


def test_execute_overrides_the_rules_of_a_category(site: MakeSite) -> None:
    inner = {**rule('http.request.uri.path contains "attack"'), "categories": ["sqli", "php"]}
    other = {**rule('http.request.uri.path contains "other"'), "categories": ["php"]}
    overrides = {"enabled": False, "categories": [{"category": "sqli", "enabled": True, "action": "log"}]}
    executes = rule("true", "execute", action_parameters={"id": "set", "overrides": overrides})
    rulesets = {"set": {"name": "set", "phase": CUSTOM, "rules": [inner, other]}}
    there = site(OK, {CUSTOM: [executes]}, rulesets=rulesets)
    assert (there.get("/attack").status, there.get("/other").status) == (200, 200)
    assert there.actions() == [("log", "/attack")]


def test_execute_runs_a_ruleset_with_overrides(site: MakeSite) -> None:
    inner = rule("true")
    overrides = {"rules": [{"id": inner["id"], "action": "log"}]}
    executes = rule('http.request.uri.path eq "/a"', "execute", action_parameters={"id": "set", "overrides": overrides})
    rulesets = {"set": {"name": "set", "phase": CUSTOM, "rules": [inner]}}
    there = site(OK, {CUSTOM: [executes]}, rulesets=rulesets)
    assert (there.get("/a").status, there.get("/b").status) == (200, 200)
    assert there.actions() == [("log", "/a")]


def test_redirect_sends_the_client_elsewhere(site: MakeSite) -> None:
    target = {"target_url": {"expression": 'concat("https://new.test", http.request.uri.path)'}}
    redirect = rule("true", "redirect", action_parameters={"from_value": {**target, "preserve_query_string": True}})
    there = site(OK, {"http_request_dynamic_redirect": [redirect]})
    answer = there.get("/a?b=c")
    assert (answer.status, answer.headers["location"]) == (301, "https://new.test/a?b=c")
    assert there.seen == []
    assert there.actions() == [("redirect", "/a")]


def test_rewrite_changes_the_url_that_the_origin_and_later_rules_see(site: MakeSite) -> None:
    uri = {"path": {"expression": 'regex_replace(http.request.uri.path, "^/old/", "/new/")'}, "query": {"value": "x=1"}}
    rewrite = rule('starts_with(http.request.uri.path, "/old/")', "rewrite", action_parameters={"uri": uri})
    seen = rule('http.request.uri.path eq "/new/a" and raw.http.request.uri.path eq "/old/a"', "log")
    there = site(OK, {"http_request_transform": [rewrite], CUSTOM: [seen]})
    assert there.get("/old/a?y=2").status == 200
    assert there.asked() == "/new/a?x=1"
    there.get("/other?y=2")
    assert there.asked() == "/other?y=2"
    assert there.actions() == [("log", "/old/a")]


def test_rewrite_changes_the_headers_of_a_request(site: MakeSite) -> None:
    headers = {
        "X-Set": {"operation": "set", "expression": "http.request.uri.path"},
        "X-Added": {"operation": "add", "value": "ours"},
        "X-Removed": {"operation": "remove"},
    }
    there = site(OK, {"http_request_late_transform": [rule("true", "rewrite", action_parameters={"headers": headers})]})
    there.get("/a", "-H", "X-Set: theirs", "-H", "X-Added: theirs", "-H", "X-Removed: theirs")
    assert [there.sent(name) for name in headers] == [["/a"], ["theirs", "ours"], []]
    assert there.actions() == []


def test_rewrite_changes_the_headers_of_a_response(site: MakeSite) -> None:
    headers = {
        "X-Powered-By": {"operation": "remove"},
        "X-Code": {"operation": "set", "expression": "to_string(http.response.code)"},
    }
    rewrite = rule("true", "rewrite", action_parameters={"headers": headers})
    there = site(OK, {"http_response_headers_transform": [rewrite]})
    answer = there.get("/")
    assert ("x-powered-by" in answer.headers, answer.headers["x-code"]) == (False, "200")
    assert there.actions() == []


def test_set_config_says_how_a_body_is_held(site: MakeSite) -> None:
    def config(path: str, **parameters: Any) -> Document:
        return rule(f'http.request.uri.path eq "{path}"', "set_config", action_parameters=parameters)

    there = site(
        OK,
        {
            "http_config_settings": [
                config("/short", bartizan_body_inspection_limit=4),
                config("/refused", bartizan_body_inspection_limit=4, bartizan_body_past_limit="reject"),
                config("/unseen", request_body_buffering="none"),
                config("/whole", request_body_buffering="full"),
            ],
            CUSTOM: [rule('http.request.body.raw contains "attack"')],
        },
    )
    statuses = {
        path: there.get(path, "--data-binary", "an attack").status
        for path in ("/", "/short", "/refused", "/unseen", "/whole")
    }
    assert statuses == {"/": 403, "/short": 200, "/refused": 413, "/unseen": 200, "/whole": 403}
    assert there.actions() == [("block", "/"), ("block", "/whole")]


def test_set_config_says_how_the_origin_is_spoken_to(site: MakeSite) -> None:
    plain = rule("true", "set_config", action_parameters={"ssl": "flexible"})
    there = site(OK, {"http_config_settings": [plain]}, scheme="https")
    assert there.get("/").body == b"hello"
    assert [row["OriginResponseStatus"] for row in there.events("http_requests")] == [200]


def test_route_sends_a_request_to_another_origin(site: MakeSite) -> None:
    with Origin(echo([], b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother")) as other:
        there = site(
            OK,
            {
                "http_request_origin": [
                    rule(
                        'http.request.uri.path eq "/other"',
                        "route",
                        action_parameters={"origin": {"host": "127.0.0.1", "port": other.port}},
                    ),
                    rule('http.request.uri.path eq "/name"', "route", action_parameters={"host_header": "in.test"}),
                ]
            },
        )
        assert (there.get("/other").body, there.get("/").body) == (b"other", b"hello")
        there.get("/name")
        assert there.sent("Host") == ["in.test"]
        rows = there.events("http_requests")
    assert [row["ClientRequestHost"] for row in rows] == ["shop.test"] * 3


def test_serve_error_gives_the_zone_its_own_error_page(site: MakeSite) -> None:
    page = {"content": "<p>no ::RAY_ID::", "content_type": "text/html", "status_code": 410}
    serve = rule("http.response.code eq 404", "serve_error", action_parameters=page)
    there = site(MISSING, {"http_custom_errors": [serve]})
    answer = there.get("/")
    ray = answer.headers["cf-ray"].partition("-")[0]
    assert (answer.status, answer.body.decode()) == (410, f"<p>no {ray}")
    row = there.events("http_requests")[0]
    assert (row["EdgeResponseStatus"], row["OriginResponseStatus"]) == (410, 404)


def test_serve_error_goes_before_the_pages_of_the_zone_and_these_before_the_edges_own(site: MakeSite) -> None:
    def page(text: str) -> str:
        return f"<html><head></head><body>{text}</body></html>"

    serve = rule(
        'http.request.uri.path eq "/rule"',
        "serve_error",
        action_parameters={"content": "{}", "content_type": "application/json"},
    )
    there = site(
        OK,
        {
            CUSTOM: [rule('http.request.uri.path eq "/block"')],
            "http_custom_errors": [serve],
        },
        settings={"error_pages": {"500_errors": page("::CLOUDFLARE_ERROR_500S_BOX::")}},
        account={
            "error_pages": {"500_errors": page("not this: ::CLOUDFLARE_ERROR_500S_BOX::"), "waf_block": page("no")}
        },
        port=reserved_port(),
    )
    there.origin.close()
    assert there.get("/rule").body == b"{}"
    failed = there.get("/")
    assert (failed.status, failed.headers["content-type"]) == (502, "text/html; charset=utf-8")
    assert failed.body.startswith(b"<html><head></head><body>502 Bad gateway: ")
    blocked = there.get("/block")
    assert (blocked.status, blocked.body.decode()) == (403, page("no"))
    assert there.actions() == [("block", "/block")]


def test_compress_response_chooses_the_coding(site: MakeSite) -> None:
    long = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-own\r\nContent-Length: 4096\r\n\r\n" + b"x" * 4096
    chosen = {"algorithms": [{"name": "gzip"}]}
    there = site(long, {"http_response_compression": [rule("true", "compress_response", action_parameters=chosen)]})
    answer = there.get("/", "--compressed")
    assert (answer.headers["content-encoding"], answer.body) == ("gzip", b"x" * 4096)
    assert "content-encoding" not in there.get("/", "-H", "Accept-Encoding: br").headers
    assert there.events("http_requests")[0]["EdgeResponseCompressionRatio"] > 10


def test_log_custom_field_keeps_what_it_names_in_the_event(site: MakeSite) -> None:
    fields = {
        "request_fields": [{"name": "x-asked"}],
        "response_fields": [{"name": "x-powered-by"}],
        "cookie_fields": [{"name": "id"}],
    }
    there = site(OK, {"http_log_custom_fields": [rule("true", "log_custom_field", action_parameters=fields)]})
    there.get("/", "-H", "X-Asked: a", "-H", "Cookie: id=1; other=2")
    row = there.events("http_requests")[0]
    kept = [json.loads(row[column]) for column in ("RequestHeaders", "ResponseHeaders", "Cookies")]
    assert kept == [{"x-asked": "a"}, {"x-powered-by": "it"}, {"id": "1"}]
    assert there.actions() == []
