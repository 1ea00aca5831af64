"""`bartizan lists` as a person types it: what is printed, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bartizan.cli.app import run

SITE = """\
[zones.shop]
hosts = ["shop.example"]
origins = ["http://127.0.0.1:8001"]

[[zones.shop.rules]]
expression = 'ip.src in $office'
action = "block"
"""

LISTS = """
[lists.office]
kind = "ip"
items = ["192.0.2.0/24", { item = "198.51.100.7", expires = 2020-01-01T00:00:00Z }]

[lists.moved]
kind = "redirect"
items = [{ source_url = "shop.example/a", target_url = "/b" }]
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BARTIZAN_STATE", raising=False)
    Path("bartizan.toml").write_text(SITE + LISTS)


def test_lists_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lists", "show"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["list", "kind", "items", "expiring", "used", "by"],
        ["moved", "redirect", "1", "0", "no", "rule"],
        ["office", "ip", "2", "1", "(1", "expired)", "zone", '"shop"', "rule", "1"],
    ]
    assert run(["lists", "show", "--json"]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == ["moved", "office"]


def test_a_site_without_lists_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bartizan.toml").write_text(SITE.replace("ip.src in $office", "true"))
    assert run(["lists", "show"]) == 0
    assert capsys.readouterr().out == "bartizan.toml has no lists; a table such as [lists.office] makes the first\n"


@pytest.mark.parametrize(
    ("name", "value", "code", "said"),
    [
        ("office", "192.0.2.7", 0, "192.0.2.7 is in $office\n"),
        ("office", "198.51.100.7", 1, "198.51.100.7 is not in $office\n"),
        ("moved", "https://shop.example/a", 0, "301 /b\n"),
        ("moved", "https://shop.example/b", 1, "https://shop.example/b is not in $moved\n"),
    ],
)
def test_a_value_is_looked_for(name: str, value: str, code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lists", "test", name, value]) == code
    assert capsys.readouterr().out == said
    assert run(["lists", "test", name, value, "--json"]) == code
    assert json.loads(capsys.readouterr().out)["matches"] == (code == 0)


def test_a_value_of_another_kind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lists", "test", "moved", "shop.example/a"]) != 0
    assert '"shop.example/a" is no URL such as https://www.example.com/path' in capsys.readouterr().err
