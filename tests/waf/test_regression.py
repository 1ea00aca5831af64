"""Regression tests in the format of go-ftw are read as go-ftw reads them, and judged in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.waf.test_ruleset import rule_file

from bartizan.cli import app
from bartizan.failure import Failure
from bartizan.waf import RuleSet, ftw, regression

RULES = """\
SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain
SecRule ARGS "@rx attack" "id:100,phase:2,deny,capture,msg:'Found',\\
    logdata:'Matched Data: %{TX.0} within %{MATCHED_VAR_NAME}'"
SecRule RESPONSE_BODY "@contains leak" "id:101,phase:4,deny,msg:'Leak'"
SecRule TX:blocking_paranoia_level "@eq 4" "id:102,phase:1,pass,msg:'Level'"
SecAction "id:103,phase:2,pass,nolog"
"""

TESTS = """\
rule_id: 100
tests:
  - test_id: 1
    stages:
      - input:
          method: POST
          headers: {Host: localhost}
          data: "a=attack with space"
        output:
          log:
            expect_ids: [100, 102]
            no_expect_ids: [101, 103]
            match_regex: 'data "Matched Data: attack within ARGS:a"'
  - test_id: 2
    stages:
      - input:
          method: POST
          uri: /reflect
          headers: {Host: localhost, Content-Type: application/json}
          data: '{"status": 418, "body": "a leak"}'
        output: {status: 418, log: {expect_ids: [101]}}
  - test_id: 3
    stages:
      - input: {version: HTTP/0.9, headers: {Host: localhost}}
        output: {status: 400}
  - test_id: 4
    stages:
      - input: {headers: {Host: localhost}}
        output: {log: {no_expect_ids: [100]}}
      - input: {uri: "/?x=attack", headers: {Host: localhost}}
        output: {status: 404, log: {expect_ids: [101], no_expect_ids: [100], no_match_regex: Found}}
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return rule_file(tmp_path, RULES, "rules/main.conf")


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    rule_file(tmp_path, TESTS, "tests/100.yaml")
    return tmp_path / "tests"


def test_each_test_passes_or_says_what_is_not_as_expected(rules: Path, tests: Path) -> None:
    outcomes = list(regression.run(regression.rule_set(rules), list(ftw.read(tests))))
    assert [(outcome.title, outcome.result) for outcome in outcomes] == [
        ("100-1", "pass"),
        ("100-2", "pass"),
        ("100-3", "pass"),
        ("100-4", "fail"),
    ]
    assert outcomes[2].reason is not None
    assert outcomes[2].reason.startswith("refused with 505: ")
    assert outcomes[3].reason == (
        "stage 2: not logged: 101; logged, and should not be: 100; status 200, expected 404; the log has Found"
    )


def test_a_test_that_is_exempted_is_skipped_with_the_reason(
    rules: Path, tests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regression, "exemptions", lambda: {"100-4": "for this test", "100-1": "it passes all the same"})
    outcomes = list(regression.run(regression.rule_set(rules), list(ftw.read(tests))))
    assert [outcome.result for outcome in outcomes] == ["pass", "pass", "pass", "skip"]
    assert outcomes[3].reason == "for this test"


def test_the_command_reports_each_test(rules: Path, tests: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["replay", "--ftw", str(tests), "--crs", str(rules), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["passed"], report["failed"], report["skipped"]) == (3, 1, 0)
    assert report["tests"][0] == {"title": "100-1", "result": "pass", "reason": None}
    assert app.run(["replay", "--ftw", str(tests), "--crs", str(rules)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[:2] for line in lines[:-1]] == [["pass", "100-3"], ["fail", "100-4"]]
    assert lines[-1] == "4 tests: 3 passed, 1 failed, 0 exempted"


def test_requests_are_built_as_go_ftw_builds_them(tests: Path) -> None:
    first = next(iter(ftw.read(tests)))
    assert first.stages[0].request == (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Connection: close\r\nContent-Length: 19\r\n\r\na=attack+with+space"
    )


@pytest.mark.parametrize(
    ("request_line", "answer"),
    [
        (b"GET /reflect", b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n"),
        (
            b'POST /reflect {"status": 201, "headers": {"content-type": "text/html"}, "encodedBody": "aGk="}',
            b"HTTP/1.1 201 Reflected\r\ncontent-type: text/html\r\n\r\nhi",
        ),
        (b"POST /reflect {}", b"HTTP/1.1 200 Reflected\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"),
        (
            b"POST /reflect [",
            b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\nthis is no JSON that says what to answer",
        ),
    ],
)
def test_the_origin_answers_as_it_is_told(request_line: bytes, answer: bytes) -> None:
    method, path, *body = request_line.split(b" ", 2)
    request = method + b" " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"".join(body)
    assert regression.answer(request) == answer


def test_a_line_of_the_log_is_one_line_whatever_is_in_it(tmp_path: Path) -> None:
    text = "SecRule ARGS \"@rx x\" \"id:1,phase:1,pass,msg:'m',logdata:'%{MATCHED_VAR}',severity:ERROR,tag:t,ver:v\""
    path = rule_file(tmp_path, text)
    match = RuleSet.load(path).inspect(b"GET /?a=x%0A%22] HTTP/1.1\r\n\r\n").matches[0]
    assert regression.log_line(match) == (
        f'ModSecurity: Warning. [file "{path}"] [line "1"] [id "1"] [msg "m"] [data "x\\x0a\\"]"] [severity "3"] '
        '[ver "v"] [tag "t"]'
    )


def test_what_is_no_test_is_said_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="there are no YAML files"):
        list(ftw.read(tmp_path))
    broken = rule_file(tmp_path, "tests: [{test_id: 1, stages: [{input: {}, output: {unknown: 1}}]}]", "a.yaml")
    with pytest.raises(Failure, match="this is no test of go-ftw"):
        list(ftw.read(broken))
