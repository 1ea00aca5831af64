"""Rule sets in the ModSecurity rule language, run by the edge: what clients and the origin get, what the event says."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e import spooled
from tests.e2e.applications import GrpcApplication
from tests.e2e.authority import Authority, listen
from tests.e2e.conftest import Document, RunningEdge, StartEdge, rule, zone
from tests.e2e.origin import Origin, Script, Visit, echo

REQUEST = "http_request_firewall_managed"
RESPONSE = "http_response_firewall_managed"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
BODIES = (
    "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\n"
    "SecResponseBodyMimeType text/plain text/event-stream\n"
)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ALWAYS_A_BODY = 'SecAction "id:1,phase:1,pass,nolog,ctl:forceRequestBodyVariable=On"\n'
"""REQUEST_BODY is there whatever the body calls itself."""


def executes(ruleset: str = "own", expression: str = "true", **parameters: Any) -> Document:
    return rule(expression, "execute", action_parameters={"id": ruleset, **parameters})


def seclang(rules: str) -> Document:
    """A ruleset of a policy document."""
    text = {"paranoia_level": 1, "before": "", "after": BODIES + rules, "files": {}}
    return {"name": "own", "phase": REQUEST, "seclang": text}


def secrule(text: str, number: int, phase: int, *actions: str) -> str:
    return f'SecRule {text} "id:{number},phase:{phase},{",".join(actions)}"\n'


class Site:
    """An edge with one rule set in front of one origin."""

    def __init__(self, start_edge: StartEdge, spool: Path, script: Script, rules: str, **more: Any) -> None:
        """Starts both. `more`: `phases` beside those with the rules, `settings` of the zone, parts of the document."""
        self.origin = Origin(script)
        self._spool = spool
        phases = {
            REQUEST: [executes()],
            RESPONSE: [executes(expression="http.response.code gt 0")],
            **more.pop("phases", {}),
        }
        served = zone(self.origin.url, phases=phases, **more.pop("settings", {}))
        self.edge: RunningEdge = start_edge(served, rulesets={"own": seclang(rules)}, **more)

    def ask(
        self, target: str = "/", method: str = "GET", body: bytes | Iterator[bytes] | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """Status and content of an answer; a body that comes in pieces is sent in chunks."""
        connection = http.client.HTTPConnection("127.0.0.1", self.edge.port, timeout=60)
        named = {"Host": "shop.test", **{name.replace("_", "-"): value for name, value in headers.items()}}
        try:
            connection.request(method, target, body, named, encode_chunked=not isinstance(body, bytes | None))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def form(self, body: bytes, **headers: str) -> int:
        """The status of the answer to a form."""
        return self.ask("/", "POST", body, Content_Type=FORM["Content-Type"], **headers)[0]

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows of a table, once the edge has stopped."""
        self.edge.stop(5.0)
        return spooled.rows(self._spool, table)

    def acted(self) -> list[tuple[str, str]]:
        """Action of each rule that left an event, and the rule of the rule set that decided."""
        return [(str(row["Action"]), json.loads(row["Metadata"])["rule"]) for row in self.rows("firewall_events")]


MakeSite = Callable[..., Site]


@pytest.fixture
def site(start_edge: StartEdge, tmp_path: Path) -> Iterator[MakeSite]:
    """Makes a site: `site(rules, script of the origin)`."""
    made: list[Site] = []

    def make(rules: str, script: Script | None = None, **more: Any) -> Site:
        made.append(Site(start_edge, tmp_path / "spool", script or echo([], OK), rules, **more))
        return made[-1]

    yield make
    for each in made:
        each.origin.close()


def test_the_head_is_judged_before_the_body_has_come(site: MakeSite) -> None:
    there = site(secrule('REQUEST_HEADERS:X-Bad "@streq 1"', 1, 1, "deny", "status:418", "msg:'No'"))
    with socket.create_connection(("127.0.0.1", there.edge.port), timeout=60) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: shop.test\r\nX-Bad: 1\r\nContent-Length: 100000\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 418 ")
    assert there.origin.visits == []
    assert there.acted() == [("block", "1")]


def brotli(text: bytes) -> bytes:
    """A stream of Brotli that holds a text as it is (RFC 7932 §9.2): an uncompressed meta-block, an empty last one."""
    return (len(text) - 1 << 4 | 1 << 20).to_bytes(3, "little") + text + b"\x03"


@pytest.mark.parametrize("coding", ["identity", "gzip", "deflate", "br"])
def test_a_body_is_judged_as_what_it_says_whatever_its_coding(site: MakeSite, coding: str) -> None:
    there = site(secrule('ARGS:q "@contains attack"', 1, 2, "deny", "msg:'No'"))
    codes: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli}
    code = codes.get(coding, bytes)
    assert there.form(code(b"a=1&q=an+attack"), Content_Encoding=coding) == 403
    assert there.form(code(b"a=1&q=a+stack"), Content_Encoding=coding) == 200
    assert len(there.origin.visits) == 1
    assert there.acted() == [("block", "1")]


def test_a_body_in_chunks_is_judged_whole(site: MakeSite) -> None:
    there = site(secrule('ARGS:q "@contains attack"', 1, 2, "deny"))
    assert there.ask("/", "POST", iter([b"a=1&q=at", b"ta", b"ck"]), **FORM)[0] == 403
    assert there.ask("/", "POST", iter([b"a=1&q=at", b"ta", b"ch"]), **FORM)[0] == 200


@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc+proto", "application/grpc-web+json"])
def test_a_body_that_calls_itself_grpc_is_judged_where_there_is_none(site: MakeSite, kind: str) -> None:
    there = site(ALWAYS_A_BODY + secrule('REQUEST_BODY "@contains attack"', 2, 2, "deny"))
    assert there.ask("/", "POST", b'{"q": "an attack"}', Content_Type=kind)[0] == 403
    assert there.ask("/", "POST", b'{"q": "a stack"}', Content_Type=kind)[0] == 200


@pytest.mark.parametrize(("http_version", "status"), [("1.1", 403), ("2", 200)])
def test_a_body_that_calls_itself_grpc_by_http_2_is_judged_unless_the_origin_speaks_it_too(
    start_edge: StartEdge, http_version: str, status: int
) -> None:
    rules = ALWAYS_A_BODY + secrule('REQUEST_BODY "@contains attack"', 2, 2, "deny")
    headers = {"Host": "shop.test", "Content-Type": "application/grpc", "TE": "trailers"}
    with GrpcApplication() as application, httpx.Client(http1=False, http2=True, timeout=60) as client:
        origin = {"http_version": http_version}
        served = zone(application.url, phases={REQUEST: [executes()]}, origin=origin)
        edge = start_edge(served, rulesets={"own": seclang(rules)})
        url = f"http://127.0.0.1:{edge.port}/shop.Echo/Unary"
        answer = client.post(url, content=b"\0\0\0\0\x09an attack", headers=headers)
    assert answer.status_code == status
    assert (answer.content == b"\0\0\0\0\x09an attack") == (status == 200)


@pytest.mark.parametrize("other", ["application/octet-stream", "application/json", ""])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_body_that_calls_itself_grpc_and_something_else_is_judged(
    start_edge: StartEdge, other: str, *, is_first: bool
) -> None:
    rules = ALWAYS_A_BODY + secrule('REQUEST_BODY "@contains attack"', 2, 2, "deny")
    types = [("Content-Type", "application/grpc"), ("Content-Type", other)]
    headers = [("Host", "shop.test"), ("TE", "trailers"), *(types if is_first else types[::-1])]
    with GrpcApplication() as application, httpx.Client(http1=False, http2=True, timeout=60) as client:
        served = zone(application.url, phases={REQUEST: [executes()]}, origin={"http_version": "2"})
        edge = start_edge(served, rulesets={"own": seclang(rules)})
        url = f"http://127.0.0.1:{edge.port}/shop.Echo/Unary"
        assert client.post(url, content=b"\0\0\0\0\x09an attack", headers=headers).status_code == 403


@pytest.mark.parametrize("body", [b'{"q": "an attack"}', b"q=an+attack", b"\0\0\0\0\x01a{}"])
def test_what_calls_itself_grpc_and_is_none_reaches_no_origin(start_edge: StartEdge, body: bytes) -> None:
    rules = secrule('REQUEST_BODY "@contains attack"', 2, 2, "deny")
    headers = {"Host": "shop.test", "Content-Type": "application/grpc", "TE": "trailers"}
    with GrpcApplication() as application, httpx.Client(http1=False, http2=True, timeout=60) as client:
        served = zone(application.url, phases={REQUEST: [executes()]}, origin={"http_version": "2"})
        edge = start_edge(served, rulesets={"own": seclang(rules)})
        answer = client.post(f"http://127.0.0.1:{edge.port}/shop.Echo/Unary", content=body, headers=headers)
    assert answer.status_code == 400
    assert b"attack" not in answer.content


def test_a_body_that_comes_late_is_refused_where_the_zone_says_so(site: MakeSite) -> None:
    there = site(
        secrule('ARGS:q "@contains attack"', 1, 2, "deny"), settings={"body": {"wait_ms": 1, "past_limit": "reject"}}
    )
    with socket.create_connection(("127.0.0.1", there.edge.port), timeout=60) as connection:
        head = b"POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        connection.sendall(head + b"Content-Length: 8\r\n\r\nq=")
        assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")
    assert there.origin.visits == []


@pytest.mark.parametrize(("past_limit", "status"), [("inspect_prefix", 200), ("reject", 413)])
def test_a_body_past_the_limit_is_as_the_zone_says(site: MakeSite, past_limit: str, status: int) -> None:
    settings = {"body": {"inspection_limit": 1000, "past_limit": past_limit}}
    there = site(
        "SecRequestBodyLimit 10\nSecRequestBodyLimitAction Reject\n"
        + secrule('ARGS:q "@contains attack"', 1, 2, "deny"),
        settings=settings,
    )
    padding = b"a=" + b"b" * 2000
    assert there.form(padding + b"&q=attack") == status
    assert there.form(b"q=attack&" + padding) == (403 if status == 200 else 413)
    assert there.form(b"q=attack&a=" + b"b" * 500) == 403


@pytest.mark.parametrize(("past_limit", "status"), [("inspect_prefix", 200), ("reject", 413)])
def test_a_bomb_is_unpacked_no_further_than_the_limit(site: MakeSite, past_limit: str, status: int) -> None:
    there = site(
        secrule('REQUEST_BODY_LENGTH "@gt 200000"', 1, 2, "deny"), settings={"body": {"past_limit": past_limit}}
    )
    assert there.form(gzip.compress(b"a=" + b"b" * (64 << 20)), Content_Encoding="gzip") == status


def test_one_request_leaves_one_row_with_what_decided(site: MakeSite) -> None:
    scores = "pass,msg:'Union',severity:CRITICAL,tag:'attack-sqli',setvar:tx.sql_injection_score=5"
    there = site(
        secrule('ARGS "@rx union.select"', 1, 2, "t:lowercase", scores, "setvar:tx.inbound_anomaly_score=5")
        + secrule('TX:inbound_anomaly_score "@ge 5"', 2, 2, "deny", "msg:'Score %{TX.inbound_anomaly_score}'")
        + "SecAction \"id:3,phase:5,pass,log,msg:'Over'\"\n"
    )
    assert there.ask("/?q=a+UNION+SELECT")[0] == 403
    assert there.ask("/?q=harmless")[0] == 200
    blocked, clean = there.rows("http_requests")
    assert (blocked["BartizanWAFScore"], blocked["BartizanWAFRuleIDs"]) == (5, ["1", "2", "3"])
    assert (clean["BartizanWAFScore"], clean["BartizanWAFRuleIDs"]) == (0, ["3"])
    assert (blocked["SecurityAction"], blocked["SecurityRuleDescription"]) == ("block", "Score 5")
    matches = json.loads(blocked["BartizanWAFMatches"])
    assert matches["1"]["values"] == [{"variable": "ARGS:q", "length": 14, "match": [2, 14]}]
    assert "union select" not in json.dumps(matches).lower()
    [row] = there.rows("firewall_events")
    assert (row["Action"], row["Source"], row["Description"]) == ("block", "firewallmanaged", "Score 5")
    told = json.loads(row["Metadata"])
    assert (told["rule"], told["score"], told["scores"], told["matched_rules"]) == (
        "2",
        5,
        {"sqli": 5},
        ["1", "2", "3"],
    )


def test_values_are_kept_where_nothing_is_taken_out_of_events(site: MakeSite) -> None:
    there = site(
        secrule('ARGS "@contains attack"', 1, 2, "pass", "msg:'Seen'", "logdata:'%{MATCHED_VAR}'"),
        edge={"events": {"redact": False}},
    )
    assert there.ask("/?q=an+attack")[0] == 200
    [row] = there.rows("http_requests")
    match = json.loads(row["BartizanWAFMatches"])["1"]
    assert (match["data"], match["values"][0]["value"]) == ("an attack", "an attack")


def test_what_only_detects_lets_pass_and_says_so(site: MakeSite) -> None:
    there = site(
        'SecAction "id:9,phase:1,pass,nolog,ctl:ruleEngine=DetectionOnly"\n'
        + secrule('ARGS "@contains attack"', 1, 1, "deny")
    )
    assert there.ask("/?q=attack") == (200, b"hello")
    assert there.acted() == [("log", "1")]


def test_drop_closes_and_redirect_sends_elsewhere(site: MakeSite) -> None:
    there = site(
        secrule('ARGS "@streq drop"', 1, 1, "drop")
        + secrule('ARGS "@streq away"', 2, 1, "redirect:https://elsewhere.test/x")
    )
    with pytest.raises(http.client.RemoteDisconnected):
        there.ask("/?q=drop")
    assert there.ask("/?q=away")[0] == 302
    assert there.acted() == [("block", "1"), ("redirect", "2")]


def test_later_rules_read_the_score_and_the_rules_that_matched(site: MakeSite) -> None:
    late = rule(
        'bartizan.waf.score ge 3 and bartizan.waf.score.xss eq 3 and any(bartizan.waf.matched_rules[*] == "1")',
        "rewrite",
        action_parameters={"headers": {"X-Suspicious": {"operation": "set", "value": "yes"}}},
    )
    seen: list[bytes] = []
    there = site(
        secrule('ARGS "@contains odd"', 1, 2, "pass", "setvar:tx.anomaly_score=3", "setvar:tx.xss_score=3"),
        echo(seen, OK),
        phases={"http_request_late_transform": [late]},
    )
    assert (there.ask("/?q=odd")[0], there.ask("/?q=even")[0]) == (200, 200)
    assert [b"x-suspicious: yes" in request.lower() for request in seen] == [True, False]


def test_rules_before_a_rule_set_run_once(site: MakeSite) -> None:
    first = rule("true", "log", description="before")
    there = site(secrule('ARGS:q "@streq 1"', 1, 2, "deny"), phases={REQUEST: [first, executes()]})
    assert there.form(b"q=2") == 200
    assert [row["Description"] for row in there.rows("firewall_events")] == ["before"]


def test_a_response_is_judged_by_its_head_and_its_body(site: MakeSite) -> None:
    def script(visit: Visit) -> None:
        while (request := visit.request()) is not None:
            if b"/secret" in request:
                body = b"the password is xyzzy"
                visit.send(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
                )
            elif b"/packed" in request:
                body = gzip.compress(b"the password is xyzzy")
                head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\n"
                visit.send(head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
            elif b"/leaky" in request:
                visit.send(b"HTTP/1.1 200 OK\r\nX-Debug: 1\r\nContent-Length: 0\r\n\r\n")
            else:
                visit.send(OK)

    there = site(
        secrule('RESPONSE_HEADERS:X-Debug "@streq 1"', 1, 3, "deny", "status:502")
        + secrule('RESPONSE_BODY "@contains xyzzy"', 2, 4, "deny"),
        script,
    )
    assert [there.ask(path)[0] for path in ("/leaky", "/secret", "/packed", "/")] == [502, 403, 403, 200]
    assert b"xyzzy" not in there.ask("/secret")[1]
    rows = there.rows("http_requests")
    assert [row["OriginResponseStatus"] for row in rows] == [200] * 5
    assert there.acted() == [("block", "1"), ("block", "2"), ("block", "2"), ("block", "2")]


def test_two_rules_have_a_rule_set_judge_a_response_once(site: MakeSite) -> None:
    there = site(
        secrule('RESPONSE_STATUS "@streq 200"', 1, 3, "pass", "setvar:tx.times=+1")
        + secrule('TX:times "@gt 1"', 2, 4, "deny"),
        phases={
            RESPONSE: [executes(expression="http.response.code gt 0"), executes(expression="http.response.code lt 600")]
        },
    )
    assert there.ask("/")[0] == 200


@pytest.mark.parametrize("size", [0, 1, 5_000, 400_000])
def test_a_response_of_any_length_arrives_as_it_came(site: MakeSite, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    lengths = {"/length": b"Content-Length: %d\r\n\r\n%s" % (size, body)}
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:700], body[700:]) if part)
    lengths["/chunks"] = b"Transfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n" % chunks
    lengths["/close"] = b"Connection: close\r\n\r\n" + body

    def script(visit: Visit) -> None:
        while (request := visit.request()) is not None:
            target = request.split(b" ")[1].decode()
            visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" + lengths[target])
            if target == "/close":
                return

    there = site(secrule('RESPONSE_BODY "@contains xyzzy"', 2, 4, "deny"), script)
    for target in lengths:
        assert there.ask(target) == (200, body)
        coded = there.ask(target, Accept_Encoding="gzip")[1]
        assert (gzip.decompress(coded) if coded[:2] == b"\x1f\x8b" else coded) == body


def test_a_stream_of_events_and_a_slow_response_are_not_kept_waiting(site: MakeSite) -> None:
    go_on = threading.Event()

    def script(visit: Visit) -> None:
        request = visit.request() or b""
        kind = b"text/event-stream" if b"/events" in request else b"text/plain"
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nConnection: close\r\n\r\nfirst\n" % kind)
        assert go_on.wait(60)
        visit.send(b"attack\n")

    there = site(secrule('RESPONSE_BODY "@contains attack"', 1, 4, "deny"), script, settings={"body": {"wait_ms": 50}})
    for target in ("/events", "/slow"):
        go_on.clear()
        with socket.create_connection(("127.0.0.1", there.edge.port), timeout=60) as connection:
            connection.sendall(b"GET %s HTTP/1.1\r\nHost: shop.test\r\n\r\n" % target.encode())
            received = b""
            while b"first\n" not in received:
                received += connection.recv(65536)
            go_on.set()
            while b"attack\n" not in received:
                received += connection.recv(65536)
            assert received.startswith(b"HTTP/1.1 200 ")


def test_a_client_that_leaves_while_its_response_is_held_leaves_an_event(site: MakeSite) -> None:
    sent = threading.Event()

    def script(visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nsome")
        sent.set()
        assert not visit.more(), "the edge hangs up"

    there = site(secrule('RESPONSE_BODY "@contains attack"', 1, 4, "deny"), script, settings={"body": {"wait_ms": 0}})
    with socket.create_connection(("127.0.0.1", there.edge.port), timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        assert sent.wait(60)
    assert [row["EdgeResponseStatus"] for row in there.rows("http_requests")] == [499]


def test_an_origin_that_fails_while_its_response_is_held_is_said_to_have(site: MakeSite) -> None:
    def script(visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nsome")

    there = site(secrule('RESPONSE_BODY "@contains attack"', 1, 4, "deny"), script, settings={"body": {"wait_ms": 0}})
    assert there.ask("/")[0] == 502
    [row] = there.rows("http_requests")
    assert (row["BartizanOutcome"], row["OriginResponseStatus"]) == ("origin_unreachable", 200)


def test_http2_is_judged_as_its_own_protocol_with_its_host(start_edge: StartEdge, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    rules = (
        secrule('REQUEST_PROTOCOL "@streq HTTP/2.0"', 1, 1, "chain", "deny")
        + 'SecRule REQUEST_HEADERS:Host "@beginsWith 127.0.0.1"\n'
    )
    with Origin(echo([], OK)) as origin:
        served = zone(
            origin.url, hosts=["localhost"], tls=authority.tls("shop", "localhost"), phases={REQUEST: [executes()]}
        )
        edge = start_edge(served, rulesets={"own": seclang(rules)}, edge=listen())
        for http2, status in ((True, 403), (False, 200)):
            address = f"https://127.0.0.1:{edge.tls_port}"
            with httpx.Client(http1=not http2, http2=http2, verify=authority.trust(), timeout=60) as client:
                assert client.get(address).status_code == status


AUDITED = (
    "SecAuditEngine RelevantOnly\nSecAuditLogFormat JSON\nSecAuditLogParts ABCEFHZ\nSecAuditLog /var/log/shop.json\n"
    + secrule('ARGS:q "@contains attack"', 1, 2, "deny", "msg:'No'", "logdata:'%{MATCHED_VAR}'")
    + secrule('ARGS:q "@contains odd"', 2, 2, "pass", "msg:'Odd'")
)


def audited(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line)["transaction"] for line in log.read_text().splitlines()]


def entries_written(there: Site, count: int) -> None:
    """Waits until so many entries are in their files."""
    while there.edge.metric("bartizan_audit_entries_total", result="written") < count:
        threading.Event().wait(0.01)


def test_requests_that_a_rule_told_of_have_an_entry_in_the_audit_log_and_no_secret_in_it(
    site: MakeSite, tmp_path: Path
) -> None:
    there = site(AUDITED, options={"audit_logs": str(tmp_path / "audit")})
    assert there.ask("/?q=an+attack&token=t0p", Cookie="session=c00kie")[0] == 403
    assert there.ask("/?q=odd")[0] == 200
    assert there.ask("/?q=even")[0] == 200
    assert there.form(b"q=an+attack&password=hunter2") == 403
    assert there.ask("/?q=odd")[0] == 200
    entries_written(there, 4)
    rows = there.rows("http_requests")
    log = tmp_path / "audit" / "shop.json"
    # Each thread of the edge hands over its entries when it is done with the request.
    began = {str(row["RayID"]): at for at, row in enumerate(rows)}
    refused, odd, posted, _ = entries = sorted(audited(log), key=lambda entry: began[str(entry["unique_id"])])
    assert [entry["response"]["http_code"] for entry in entries] == [403, 200, 403, 200]
    assert refused["request"]["uri"] == "/?q=an+attack&token=REDACTED"
    assert refused["messages"][0]["details"]["data"] == "an attack"
    assert odd["response"]["headers"]["Content-Type"] == "text/plain"
    assert posted["request"]["body"] == "REDACTED (28 bytes)"
    assert not [secret for secret in ("t0p", "c00kie", "hunter2") if secret in log.read_text()]
    assert (log.stat().st_mode & 0o777, log.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_an_audit_log_has_what_events_have_of_clients_and_is_made_anew_after_it_was_moved_away(
    site: MakeSite, tmp_path: Path
) -> None:
    log = tmp_path / "audit" / "shop.json"
    there = site(
        AUDITED,
        options={"audit_logs": str(tmp_path / "audit")},
        edge={"events": {"client_ip": "truncated", "redact": False}},
    )
    there.ask("/?q=odd&password=kept", X_Forwarded_For="203.0.113.9")
    entries_written(there, 1)
    log.rename(log.with_suffix(".old"))
    there.edge.apply({**there.edge.document, "version": 2})
    there.ask("/?q=odd")
    there.edge.stop(5.0)
    (first,), (second,) = audited(log.with_suffix(".old")), audited(log)
    assert (first["client_ip"], second["client_ip"]) == ("127.0.0.0", "127.0.0.0")
    assert first["request"]["uri"] == "/?q=odd&password=kept"
    assert first["request"]["headers"]["X-Forwarded-For"] == "REDACTED"


def test_collections_are_of_a_zone_and_a_rule_set_unless_an_application_is_named(site: MakeSite) -> None:
    counting = secrule('REMOTE_ADDR "@rx ."', 1, 1, "pass", "nolog", "initcol:ip=%{REMOTE_ADDR}") + secrule(
        'REMOTE_ADDR "@rx ."', 2, 1, "pass", "nolog", "setvar:ip.count=+1"
    )
    there = site(counting + secrule('IP:count "@gt 2"', 3, 1, "deny", "status:429"))
    assert [there.ask()[0] for _ in range(4)] == [200, 200, 429, 429]
    assert there.edge.metric("bartizan_waf_collections") == 1
