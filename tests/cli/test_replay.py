"""Recorded requests of every kind go through a policy, and what two policies say differently is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.waf.replayed_site import REQUESTS, SITE, request, site_file

from bartizan._native import SpoolWriter
from bartizan.cli import app
from bartizan.layout import StateDirectory
from bartizan.policy.apply import apply

MANAGED = 'rule "managed" (http_request_firewall_managed, ruleset "own")'
FTW = """\
rule_id: 11
tests:
  - test_id: 1
    stages:
      - input:
          uri: "/?q=attack"
          headers: {Host: shop.example}
        output: {log: {expect_ids: [11]}}
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("BARTIZAN_STORE_URL", raising=False)
    monkeypatch.setenv("BARTIZAN_STATE", str(tmp_path / "state"))


def files(folder: Path, **messages: bytes) -> Path:
    folder.mkdir()
    for name, message in messages.items():
        (folder / f"{name}.http").write_bytes(message)
    return folder


def entry(url: str, **more: Any) -> dict[str, Any]:
    asked = {"method": "GET", "url": url, "headers": [], **more}
    content = {"size": 6, "text": "a leak"}
    response = {"status": 200, "headers": [{"name": "Content-Type", "value": "text/plain"}], "content": content}
    return {"request": asked, "response": response, "startedDateTime": "2026-11-21T16:15:00.000Z"}


def report(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    assert app.run(["replay", *words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def outcomes(found: Any) -> dict[str, tuple[str, int | None, list[str]]]:
    return {
        each["title"]: (
            each["verdict"]["outcome"],
            each["verdict"]["status"],
            [rule["reference"] for rule in each["verdict"]["rules"]],
        )
        for each in found["verdicts"]
    }


def test_files_go_through_a_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = site_file(tmp_path)
    some = {name: REQUESTS[name] for name in ("plain", "moved", "attack", "skipped", "elsewhere")}
    found = report(capsys, "--http", str(files(tmp_path / "requests", **some)), "--site", str(site))
    assert outcomes(found) == {
        "attack.http": ("blocked", 403, ["managed"]),
        "elsewhere.http": ("unknown_host", 404, []),
        "moved.http": ("redirected", 301, ["moved"]),
        "plain.http": ("ok", None, []),
        "skipped.http": ("ok", None, ["health"]),
    }
    counts = {name: found[name] for name in ("policies", "requests", "outcomes", "undecided", "unreadable", "broken")}
    assert counts == {
        "policies": [str(site)],
        "requests": 5,
        "outcomes": {"blocked": 1, "unknown_host": 1, "redirected": 1, "ok": 2},
        "undecided": 3,
        "unreadable": 0,
        "broken": [],
    }
    known = report(
        capsys, "--http", str(tmp_path / "requests"), "--site", str(site), "--client-ip", "192.0.2.7", "--https"
    )
    assert outcomes(known)["plain.http"] == ("ok", None, ["office"])


def test_people_are_told_a_line_for_each_request_and_a_sum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = site_file(tmp_path)
    some = {name: REQUESTS[name] for name in ("plain", "attack")}
    assert app.run(["replay", "--http", str(files(tmp_path / "requests", **some)), "--site", str(site)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"blocked 403 by {MANAGED}  zone shop  score 5+0  11  attack.http",
        '  not decided: rule "office" (http_request_firewall_custom) reads ip.src',
        "passes  zone shop  plain.http",
        '  not decided: rule "office" (http_request_firewall_custom) reads ip.src',
        "  not decided: the rules on the response, which is not recorded",
        "2 requests: 1 blocked, 1 pass, 2 not wholly decided",
    ]


def test_what_a_browser_recorded_goes_through_a_site_with_its_responses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    form = {"mimeType": "application/x-www-form-urlencoded", "text": "q=an+attack"}
    kind = [{"name": "Content-Type", "value": "application/x-www-form-urlencoded"}]
    unwritten = entry("https://shop.example/quiet")
    unwritten["response"]["content"] = {"size": 6}
    entries = [
        entry("https://shop.example/"),
        entry("https://shop.example/", method="POST", headers=kind, postData=form),
        unwritten,
        entry("https://shop.example/", method="POST", bodySize=7),
    ]
    har = tmp_path / "shop.har"
    har.write_text(json.dumps({"log": {"version": "1.2", "entries": entries}}, indent=1))
    found = report(capsys, "--har", str(har), "--site", str(site_file(tmp_path)))
    assert outcomes(found) == {
        "1 GET https://shop.example/": ("blocked", 403, ["answers"]),
        "2 POST https://shop.example/": ("blocked", 403, ["managed"]),
        "3 GET https://shop.example/quiet": ("ok", None, ["managed"]),
        "4 POST https://shop.example/": ("blocked", 403, ["answers"]),
    }
    assert found["verdicts"][2]["verdict"]["lacks_response"]
    lacking = found["verdicts"][3]["verdict"]["undecided"]
    assert {rule["reference"]: rule["fields"] for rule in lacking}["managed"] == ["http.request.body.raw"]


def test_regression_tests_and_events_go_through_a_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = site_file(tmp_path)
    (tmp_path / "11.yaml").write_text(FTW)
    found = report(capsys, "--ftw", str(tmp_path / "11.yaml"), "--site", str(site))
    assert outcomes(found) == {"11-1": ("blocked", 403, ["managed"])}
    writer = SpoolWriter(tmp_path / "spool")
    row: dict[str, object] = {
        "RayID": "9a1b",
        "ClientIP": "192.0.2.7",
        "ClientRequestMethod": "POST",
        "ClientRequestURI": "/",
        "ClientRequestScheme": "https",
        "ClientRequestProtocol": "HTTP/2",
        "ClientRequestHost": "shop.example",
        "ClientSSLProtocol": "TLSv1.3",
        "ClientSSLCipher": "AEAD-AES128-GCM-SHA256",
        "EdgeStartTimestamp": 1_709_210_096_007_000_001,
    }
    assert writer.push("http_requests", row)
    writer.close()
    events = report(capsys, "--spool", str(tmp_path / "spool"), "--site", str(site))
    assert outcomes(events) == {"9a1b POST shop.example/": ("ok", None, ["office"])}
    (verdict,) = (each["verdict"] for each in events["verdicts"])
    assert [(rule["reference"], rule["fields"]) for rule in verdict["undecided"]] == [
        ("managed", ["http.request.headers", "http.request.body.raw"])
    ]


def test_two_policies_are_compared_and_what_differs_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = site_file(tmp_path)
    apply(site, StateDirectory.locate(), author="ana")
    stricter = SITE.replace('action = "log"', 'action = "block"').replace('[{ id = "13", action = "log" }]', "[]")
    later = site_file(tmp_path, stricter, "later.toml")
    some = {name: REQUESTS[name] for name in ("plain", "overridden", "attack")}
    words = ["replay", "--http", str(files(tmp_path / "requests", **some))]
    assert app.run([*words, "--version", "1", "--against-site", str(later), "--client-ip", "198.51.100.1"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "overridden.http",
        f"  first   passes  zone shop  log by {MANAGED}  score 0+0  13",
        f"  second  blocked 403 by {MANAGED}  zone shop  score 0+0  13",
        "  outcome: ok by the first, blocked by the second",
        "  status: none by the first, 403 by the second",
        f"  {MANAGED} acts with log in the first alone",
        f"  {MANAGED} acts with block in the second alone",
        "  not decided: the rules on the response, which is not recorded",
        "3 requests: 1 differ, 2 not wholly decided",
    ]
    apply(later, StateDirectory.locate(), author="ana")
    found = report(capsys, *words[1:], "--version", "1", "--against-version", "2", "--client-ip", "192.0.2.7", code=1)
    assert found["policies"] == ["version 1", "version 2"]
    assert (found["requests"], found["differing"]) == (3, 3)
    same = report(capsys, *words[1:], "--site", str(site), "--against-version", "1")
    assert (same["differences"], same["differing"]) == ([], 0)


def test_what_is_broken_is_named_with_its_place_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = site_file(tmp_path)
    whole = json.dumps(entry("https://shop.example/old"))
    text = f'{{"log": {{"entries": [\n{whole},\n7,\n{{"request": 1}},\n{whole},\n{{"request": {{"url": "'
    har = tmp_path / "cut.har"
    har.write_text(text)
    assert app.run(["replay", "--har", str(har), "--site", str(site), "--json"]) == 1
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert list(outcomes(found)) == ["1 GET https://shop.example/old", "3 GET https://shop.example/old"]
    first, last = found["broken"]
    assert first.startswith(f"{har}:3: entry 2 cannot be read: ")
    assert last == f"{har}:6: entry 4 does not end: the file is cut off, or its brackets do not match"
    assert said.err.splitlines() == [first, last]
    assert found["unreadable"] == 2
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "a.yaml").write_text("tests: [{test_title: 1}]")
    (tmp_path / "tests" / "b.yaml").write_text(FTW)
    found = report(capsys, "--ftw", str(tmp_path / "tests"), "--site", str(site), code=1)
    assert (list(outcomes(found)), found["unreadable"]) == (["11-1"], 1)
    requests = files(tmp_path / "requests", cut=b"GET / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\n\r\n1")
    assert app.run(["replay", "--http", str(requests), "--site", str(site)]) == 1
    said = capsys.readouterr()
    assert said.err == "cut.http: it ends before its body does\n"
    assert said.out == "0 requests: none, 1 could not be read\n"


def test_a_source_that_cannot_be_read_leaves_no_half_of_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    har = tmp_path / "shop.har"
    har.write_text('{"log": {}}')
    assert app.run(["replay", "--har", str(har), "--site", str(site_file(tmp_path)), "--json"]) == 1
    said = capsys.readouterr()
    reason = f'bartizan replay: {har}: this is no HAR file: it has no list "entries" in a "log"\n'
    assert (said.out, said.err) == ("", reason)
    har.write_text('{"log": {"entries": []}}')
    found = report(capsys, "--har", str(har), "--site", str(tmp_path / "site.toml"))
    assert (found["requests"], found["verdicts"]) == (0, [])


def test_a_site_file_with_mistakes_replays_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = site_file(tmp_path, SITE.replace("http.user_agent", "http.hots"))
    requests = files(tmp_path / "requests", plain=request("/"))
    assert app.run(["replay", "--http", str(requests), "--site", str(site)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "1 error; nothing is replayed until they are mended" in said.err
    assert "http.hots" in said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--site", "a.toml", "--version", "1"], "give --site or --version for a policy, or --crs"),
        (["--version", "1", "--against", "crs"], "go with --crs; a policy says such things itself"),
        (["--site", "a.toml", "--against-site", "b.toml", "--against-version", "1"], "not both"),
        (["--site", "a.toml", "--audit-format", "native"], "the audit log go with --crs"),
        (["--crs", "crs", "--https"], "go with --site or --version"),
        (["--crs", "crs", "--state", "elsewhere"], "go with --site or --version"),
        (["--version", "9"], "version 9"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert app.run(["replay", "--http", str(tmp_path), *words]) == 1
    assert said in capsys.readouterr().err
