"""`bartizan rules`: what its commands print, and the codes with which they end."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from bartizan.cli import app
from bartizan.cli.commands import CUSTOM_RULES
from bartizan.rules.rule import CUSTOM_RULES as PHASE

BLOCK = 'http.host eq "shop.example" and not ip.src in $office'
OFFICE = ("--list", "office=192.0.2.0/24,2001:db8::/32")

Captured = pytest.CaptureFixture[str]


def test_the_phase_of_custom_rules_is_one() -> None:
    assert CUSTOM_RULES == PHASE


def test_a_request_of_options_is_judged_part_by_part(capsys: Captured) -> None:
    options = ["--url", "http://shop.example/", "--client-ip", "192.0.2.7", *OFFICE]
    assert app.run(["rules", "test", BLOCK, *options]) == 1
    assert capsys.readouterr().out == (
        "does not match\n"
        f"  false  {BLOCK}\n"
        '  true     http.host eq "shop.example"\n'
        "  false    not ip.src in $office\n"
        "  true       ip.src in $office\n"
    )
    assert app.run(["rules", "test", BLOCK, *options[:2], *OFFICE, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["matches"] is True
    assert said["conditions"][0] == {"depth": 0, "source": BLOCK, "matches": True}


def test_every_option_of_a_request_is_used(capsys: Captured) -> None:
    expression = 'http.request.method eq "PUT" and http.request.headers["a"][0] eq "b" and http.request.body.raw eq "c"'
    options = ["--method", "PUT", "--header", "A: b", "--body", "c"]
    assert app.run(["rules", "test", expression, *options]) == 0
    assert app.run(["rules", "test", "true"]) == 0
    assert app.run(["rules", "test", "not true"]) == 1
    assert app.run(["rules", "test", "http.response.code eq 200", "--phase", "http_log_custom_fields"]) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "text", ["GET /a HTTP/1.1\nHost: b\n", "GET /a HTTP/1.1\nHost: b\n\n", "GET /a HTTP/1.1\r\nHost: b\r\n\r\n"]
)
def test_a_request_is_read_from_a_file_as_an_editor_leaves_it(text: str, tmp_path: Path) -> None:
    file = tmp_path / "request.http"
    file.write_bytes(text.encode())
    expression = 'http.request.uri.path eq "/a" and http.host eq "b" and ip.src eq ::1'
    assert app.run(["rules", "test", expression, "--request", str(file), "--client-ip", "::1"]) == 0


def test_a_request_is_given_one_way(capsys: Captured) -> None:
    assert app.run(["rules", "test", "ssl", "--request", "x", "--url", "http://a/"]) == 1
    assert "--request is the whole request" in capsys.readouterr().err
    assert app.run(["rules", "test", "ssl", "--request", "/missing"]) == 1
    assert capsys.readouterr().err == "bartizan rules test: /missing cannot be read: No such file or directory\n"


@pytest.mark.parametrize("command", ["test", "explain"])
def test_a_wrong_expression_is_shown_with_a_caret(command: str, capsys: Captured) -> None:
    assert app.run(["rules", command, 'http.hots eq "a"']) == 1
    assert capsys.readouterr().err == (
        f'bartizan rules {command}: unknown field "http.hots" (line 1, column 1)\n'
        '  http.hots eq "a"\n'
        "  ^~~~~~~~~\n"
        "  did you mean http.host?\n"
    )
    assert app.run(["rules", command, 'http.hots eq "a"', "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error == {
        "message": 'unknown field "http.hots"',
        "line": 1,
        "column": 1,
        "length": 9,
        "expected": None,
        "suggestion": "http.host",
    }


def test_an_explanation_ends_with_the_sql(capsys: Captured) -> None:
    assert app.run(["rules", "explain", 'http.host eq "a"']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'http.host eq "a"'
    assert lines[-4:-2] == [
        "reads    http.host (known with the request head)",
        "phases   every phase",
    ]
    assert lines[-2].startswith("cost     about ")
    assert lines[-2].split("; ")[1].startswith("most for reading http.host, ")
    assert lines[-1:] == [
        "sql      ClientRequestHost = 'a'",
    ]
    assert app.run(["rules", "explain", "http.request.body.size gt 1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["sql"], said["sql_refused"], said["holds_body"]) == (
        None,
        "http.request.body.size has no column in http_requests",
        True,
    )
    assert said["cost_ns"] > 0
    assert said["costliest"] == "reading http.request.body.size"


def test_an_expression_is_formatted_from_a_file_or_standard_input(
    capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rule.txt"
    file.write_text('(any.name == "a"\n && !ssl)\n')
    assert app.run(["rules", "fmt", str(file)]) == 0
    assert capsys.readouterr().out == 'any.name eq "a" and not ssl\n'
    assert app.run(["rules", "fmt", str(file), "--check"]) == 1
    assert capsys.readouterr().err == (
        'bartizan rules fmt: not in canonical form, which is any.name eq "a" and not ssl\n'
    )
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"not ssl\n")))
    assert app.run(["rules", "fmt", "--check"]) == 0
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"!ssl")))
    assert app.run(["rules", "fmt", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"expression": "not ssl", "changed": True}
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"ssl and")))
    assert app.run(["rules", "fmt"]) == 1
    assert "(line 1, column 8)" in capsys.readouterr().err


def test_fields_and_functions_are_listed_and_explained(capsys: Captured) -> None:
    assert app.run(["rules", "fields"]) == 0
    assert any(line.startswith("ip.src  ") for line in capsys.readouterr().out.splitlines())
    assert app.run(["rules", "fields", "http.host"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("http.host: String\n")
    assert 'example  http.host eq "www.example.org"\n' in shown
    assert app.run(["rules", "fields", "ip.geoip.country", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "ip.src.country"
    assert app.run(["rules", "functions"]) == 0
    assert any(line.startswith("lower  ") for line in capsys.readouterr().out.splitlines())
    assert app.run(["rules", "functions", "len"]) == 0
    assert "example     len(http.host)  gives  11\n" in capsys.readouterr().out
    assert app.run(["rules", "functions", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) > 20


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fields", "http.hosts"], "there is no field 'http.hosts'; did you mean http.host?; `bartizan rules fields` "),
        (["fields", "cf.waf.score"], "cf.waf.score is documented by Cloudflare, and not here: "),
        (["functions", "lowr"], "there is no function 'lowr'; did you mean lower?; `bartizan rules functions` "),
        (["functions", "bit_slice"], "bit_slice() is documented by Cloudflare, and not here: "),
    ],
)
def test_a_name_that_is_not_there_is_answered(words: list[str], said: str, capsys: Captured) -> None:
    assert app.run(["rules", *words]) == 1
    assert capsys.readouterr().err.startswith(f"bartizan rules {words[0]}: {said}")
