"""The commands of key transparency, where there is nothing yet: they say so, and make nothing by asking."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bartizan.cli.app import run


@pytest.fixture(autouse=True)
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty directory to work in."""
    monkeypatch.chdir(tmp_path)
    for name in ("BARTIZAN_STATE", "BARTIZAN_STORE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["auditor", "status"], 0, "auditor  not running"),
        (["auditor", "namespace", "list"], 0, "no log is audited"),
        (["auditor", "namespace", "show", "log.example"], 1, 'there is no namespace "log.example"'),
        (["auditor", "namespace", "disable", "log.example"], 1, 'there is no namespace "log.example"'),
        (["auditor", "namespace", "enable", "log.example"], 1, 'there is no namespace "log.example"'),
        (["auditor", "backfill", "log.example"], 1, 'there is no namespace "log.example"'),
        (["auditor", "verify", "log.example", "1"], 1, 'there is no namespace "log.example"'),
        (["auditor", "key", "list"], 0, "no key yet"),
        (["monitor", "findings"], 0, "nothing was found"),
        (["directory", "lookup", "alice"], 1, "nothing was published here yet"),
        (["directory", "history", "alice"], 1, "nothing was published here yet"),
        (["directory", "root"], 1, "nothing was published here yet"),
    ],
)
def test_nothing_is_made_by_asking(words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["transparency", *words]) == code
    printed = capsys.readouterr()
    assert said in printed.out + printed.err
    assert list(Path().iterdir()) == []


def test_what_was_made_is_asked_and_changed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["transparency", "auditor", "namespace", "add", "log.example"]) == 0
    assert run(["transparency", "auditor", "namespace", "disable", "log.example"]) == 0
    capsys.readouterr()
    assert run(["transparency", "auditor", "namespace", "list", "--json"]) == 0
    assert [(each["name"], each["status"]) for each in json.loads(capsys.readouterr().out)] == [
        ("log.example", "Disabled")
    ]
