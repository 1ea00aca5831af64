"""Recorded requests go through rule sets, and what two of them say differently is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.waf.test_ruleset import rule_file

from bartizan._native import SpoolWriter
from bartizan.cli import app
from bartizan.failure import Failure
from bartizan.waf import recorded

RULES = """\
SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/html
SecRule ARGS "@contains attack" "id:1,phase:2,deny,msg:'attack',setvar:tx.anomaly_score=+5"
SecRule RESPONSE_BODY "@contains leak" "id:2,phase:4,pass,msg:'leak'"
SecRule REQUEST_HEADERS:User-Agent "@streq scanner" "id:3,phase:1,deny,status:406,msg:'scanner'"
"""

HAR = {
    "log": {
        "entries": [
            {
                "request": {
                    "method": "POST",
                    "url": "https://shop.example/cart?x=1",
                    "headers": [
                        {"name": ":authority", "value": "shop.example"},
                        {"name": "Content-Type", "value": "application/x-www-form-urlencoded"},
                        {"name": "Content-Length", "value": "999"},
                    ],
                    "postData": {"mimeType": "application/x-www-form-urlencoded", "text": "q=an+attack"},
                },
                "response": {"status": 200, "headers": [], "content": {"text": ""}},
            },
            {
                "request": {"method": "GET", "url": "https://shop.example/", "headers": []},
                "response": {
                    "status": 200,
                    "headers": [{"name": "Content-Type", "value": "text/html"}],
                    "content": {"text": "YSBsZWFr", "encoding": "base64"},
                },
            },
        ]
    }
}


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return rule_file(tmp_path, RULES, "rules.conf")


def replayed(source: str, path: Path, rules: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, list[int]]:
    """The rules that matched, request by request."""
    assert app.run(["replay", source, str(path), "--crs", str(rules), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["requests"] == len(report["verdicts"])
    return {each["title"]: each["verdict"]["ids"] for each in report["verdicts"]}


def test_files_of_http_are_replayed(tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rule_file(tmp_path, "GET /?a=attack HTTP/1.1\nHost: a.example\n", "requests/edited.http")
    rule_file(tmp_path, "GET / HTTP/1.1\r\nUser-Agent: scanner\r\n\r\n", "requests/more/raw.http")
    found = replayed("--http", tmp_path / "requests", rules, capsys)
    assert found == {"edited.http": [1], "more/raw.http": [3]}
    assert replayed("--http", tmp_path / "requests" / "edited.http", rules, capsys) == {"edited.http": [1]}


def test_a_head_that_an_editor_wrote_gets_its_line_ends_whatever_its_body_has(tmp_path: Path) -> None:
    body = b"--B\r\nContent-Disposition: form-data; name=a\r\n\r\n1\n\n\r\n--B--\r\n"
    head = b"POST / HTTP/1.1\nHost: a.example\nContent-Type: multipart/form-data; boundary=B"
    whole = head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + body
    for number, written in enumerate([head + b"\n\n" + body, whole]):
        (tmp_path / f"{number}.http").write_bytes(written)
    found = [each for each in recorded.of_files(tmp_path) if isinstance(each, recorded.Recorded)]
    assert [each.request for each in found] == [whole, whole]


def test_what_a_browser_recorded_is_replayed_with_its_responses(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    har = rule_file(tmp_path, json.dumps(HAR), "shop.har")
    assert replayed("--har", har, rules, capsys) == {
        "1 POST https://shop.example/cart?x=1": [1],
        "2 GET https://shop.example/": [2],
    }
    first = next(recorded.of_har(har))
    assert isinstance(first, recorded.Recorded)
    assert first.request == (
        b"POST /cart?x=1 HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 11\r\n\r\nq=an+attack"
    )
    with pytest.raises(Failure, match="this is no HAR file"):
        list(recorded.of_har(rule_file(tmp_path, '{"log": 1}', "broken.har")))


def test_a_header_of_several_lines_is_taken_apart(tmp_path: Path) -> None:
    answer = {"status": 200, "headers": [{"name": "Set-Cookie", "value": "a=1\nb=2"}]}
    entry = {"request": {"method": "GET", "url": "http://shop.example/"}, "response": answer}
    (first,) = recorded.of_har(rule_file(tmp_path, json.dumps({"log": {"entries": [entry]}}), "lines.har"))
    assert isinstance(first, recorded.Recorded)
    assert first.response == b"HTTP/1.1 200 Recorded\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"


def test_what_a_browser_asked_no_server_for_is_left_out(tmp_path: Path) -> None:
    urls = ("data:image/png;base64,AA==", "wss://shop.example:8443/live", "/cart", "https://ana:x@shop.example/")
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    har = rule_file(tmp_path, json.dumps({"log": {"entries": entries}}), "schemes.har")
    live, broken, named = recorded.of_har(har)
    assert isinstance(live, recorded.Recorded)
    assert (live.https, live.server_port) == (True, 8443)
    assert live.request == b"GET /live HTTP/1.1\r\nHost: shop.example:8443\r\n\r\n"
    said = "its url '/cart' has no scheme and host, as https://shop.example/"
    assert broken == recorded.Broken(f"{har}:1: entry 3: {said}")
    assert isinstance(named, recorded.Recorded)
    assert named.request == b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"


@pytest.mark.parametrize("status", [0, 100, 103])
def test_a_request_that_a_browser_had_no_answer_to_has_no_response(tmp_path: Path, status: int) -> None:
    entry = {"request": {"method": "GET", "url": "http://shop.example/"}, "response": {"status": status}}
    (first,) = recorded.of_har(rule_file(tmp_path, json.dumps({"log": {"entries": [entry]}}), "aborted.har"))
    assert isinstance(first, recorded.Recorded)
    assert first.response is None


@pytest.mark.parametrize("end", ["", "\\"])
def test_a_har_file_that_ends_in_a_string_is_read_to_there(tmp_path: Path, end: str) -> None:
    entry = json.dumps({"request": {"method": "GET", "url": "http://shop.example/"}})
    text = '{"log": {"entries": [' + entry + ', {"request": {"url": "' + r"\"{]" * 100_000 + end
    first, broken = recorded.of_har(rule_file(tmp_path, text, "cut.har"))
    assert isinstance(first, recorded.Recorded)
    said = "entry 2 does not end: the file is cut off, or its brackets do not match"
    assert broken == recorded.Broken(f"{tmp_path / 'cut.har'}:1: {said}")


def test_what_events_hold_is_replayed(tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values: dict[str, object] = {
        "RayID": "9a1b",
        "ClientIP": "192.0.2.7",
        "ClientRequestMethod": "GET",
        "ClientRequestURI": "/?q=attack",
        "ClientRequestHost": "shop.example",
        "ClientRequestUserAgent": "scanner",
    }
    directory = tmp_path / "spool"
    writer = SpoolWriter(directory)
    assert writer.push("http_requests", values)
    writer.close()
    assert replayed("--spool", directory, rules, capsys) == {"9a1b GET shop.example/?q=attack": [3]}


def test_two_rule_sets_are_compared(tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rule_file(tmp_path, "GET /?a=attack HTTP/1.1\nHost: a.example\n", "requests/attack.http")
    rule_file(tmp_path, "GET / HTTP/1.1\nHost: a.example\n", "requests/clean.http")
    other = rule_file(tmp_path, RULES.replace("phase:2,deny", "phase:2,pass"), "other.conf")
    words = ["replay", "--http", str(tmp_path / "requests"), "--crs", str(rules), "--against"]
    assert app.run([*words, str(other)]) == 1
    assert capsys.readouterr().out == (
        "attack.http\n  first   blocked 403 by 1  score 5+0  1\n  second  passes  score 5+0  1\n2 requests: 1 differ\n"
    )
    assert app.run([*words, str(rules), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "requests": 2,
        "differing": 0,
        "broken": [],
        "differences": [],
    }


def test_levels_of_one_rule_set_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = 'SecRule TX:blocking_paranoia_level "@ge 3" "id:1,phase:1,pass,msg:\'high\'"'
    rules = rule_file(tmp_path, text, "levels.conf")
    request = rule_file(tmp_path, "GET / HTTP/1.1\nHost: a.example\n", "request.http")
    words = ["replay", "--http", str(request), "--crs", str(rules), "--paranoia-level", "2", "--against-level", "3"]
    assert app.run(words) == 1
    assert capsys.readouterr().out.splitlines()[1:3] == [
        "  first   passes  score 0+0  no rule",
        "  second  passes  score 0+0  1",
    ]


def test_what_is_broken_is_named_and_the_rest_goes_through_a_rule_set(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = json.dumps(HAR["log"]["entries"][0])
    har = rule_file(tmp_path, f'{{"log": {{"entries": [{entry}, {{"request": 1}}, {entry}]}}}}', "shop.har")
    assert app.run(["replay", "--har", str(har), "--crs", str(rules)]) == 1
    said = capsys.readouterr()
    assert said.err.startswith(f"{har}:1: entry 2 cannot be read: ")
    assert said.out.splitlines()[-1] == "2 requests: 2 blocked, 1 could not be read"
    with pytest.raises(Failure, match="it is empty"):
        list(recorded.of_har(rule_file(tmp_path, "", "empty.har")))


def test_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["replay", "--crs", str(tmp_path)]) == 1
    assert "give one of --ftw, --http, --har, --spool" in capsys.readouterr().err
    assert app.run(["replay", "--http", str(tmp_path)]) == 1
    assert "or --crs for a rule file" in capsys.readouterr().err
    assert app.run(["replay", "--ftw", str(tmp_path), "--crs", str(tmp_path), "--paranoia-level", "2"]) == 1
    assert "give --ftw without --paranoia-level" in capsys.readouterr().err
    with pytest.raises(Failure, match="there is no such spool directory"):
        list(recorded.of_spool(tmp_path / "missing"))
    with pytest.raises(Failure, match="this is no spool directory"):
        list(recorded.of_spool(tmp_path))
    with pytest.raises(Failure, match="there are no files"):
        list(recorded.of_files(tmp_path))


@pytest.mark.parametrize(("options", "has_secret"), [([], False), (["--audit-whole"], True)])
def test_entries_of_an_audit_log_are_added_to_a_file_without_secrets_unless_all_is_asked_for(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str], options: list[str], has_secret: bool
) -> None:
    har, log = tmp_path / "shop.har", tmp_path / "audit.json"
    har.write_text(json.dumps(HAR))
    words = ["replay", "--har", str(har), "--crs", str(rules), "--audit-log", str(log), *options]
    assert app.run(words) == app.run(words) == 0
    capsys.readouterr()
    entries = [json.loads(line)["transaction"] for line in log.read_text().splitlines()]
    assert [entry["request"]["uri"] for entry in entries] == ["/cart?x=1", "/"] * 2
    first, second = entries[:2]
    assert [message["details"]["ruleId"] for message in first["messages"]] == ["1"]
    assert (first["response"]["http_code"], second["response"]["http_code"]) == (403, 200)
    assert ("an attack" in first["messages"][0]["details"]["match"]) is has_secret


def test_an_audit_log_of_two_rule_sets_is_refused(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["replay", "--har", "x", "--crs", str(rules), "--against-level", "2", "--audit-log", str(tmp_path / "log")]
    assert app.run(words) == 1
    assert "give it without --ftw and --against" in capsys.readouterr().err
