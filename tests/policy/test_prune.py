"""The content of old versions is given up; what happened stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.policy.conftest import SITE

from bartizan.cli import app
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.policy.apply import apply
from bartizan.policy.effect import open_versions
from bartizan.policy.history import history
from bartizan.policy.prune import Pruned, prune
from bartizan.policy.rollback import rollback


def apply_five(site: Path, state: StateDirectory) -> None:
    for port in range(1, 6):
        site.write_text(SITE.replace("8001", f"800{port}"))
        apply(site, state, author="ana")


def test_the_newest_and_the_one_in_effect_stay_whole(site: Path, state: StateDirectory) -> None:
    apply_five(site, state)
    site.write_text(SITE.replace("http.request.uri.path", "http.request.uri.pth"))
    assert apply(site, state, author="ana").outcome == "refused"
    assert prune(state, 1, author="bo") == Pruned([4, 3, 2, 1], 4)
    assert [(each.id, each.author, each.status) for each in history(state)] == [
        (6, "ana", "refused"),
        (5, "ana", "applied"),
        *((version, "ana", "superseded") for version in (4, 3, 2, 1)),
    ]
    with pytest.raises(Failure, match=r"the content of version 3 was given up \(`bartizan prune`\); go to a newer one"):
        rollback(3, state, author="bo")
    assert rollback(5, state, author="bo").outcome == "applied"
    assert prune(state, 1, author="bo").versions == [6, 5]


def test_the_audit_log_has_it_first(site: Path, state: StateDirectory) -> None:
    apply_five(site, state)
    prune(state, 3, author="bo")
    with open_versions(state) as versions, versions._engine.connect() as connection:
        rows = connection.execute(text("SELECT actor, action, target, details FROM audit_log")).all()
    assert [tuple(row) for row in rows] == [("bo", "prune", "all but 3 versions", '{"versions":[2,1]}')]


def test_the_store_becomes_smaller(site: Path, state: StateDirectory) -> None:
    for number in range(3):
        comments = "".join(f"# {hash((number, line)):x}\n" for line in range(20_000))
        site.write_text(SITE.replace("8001", f"800{number + 2}") + comments)
        apply(site, state, author="ana")
        site.write_text(SITE)
        apply(site, state, author="ana")
    before = state.store.stat().st_size
    prune(state, 0, author="bo")
    with open_versions(state) as versions, versions._engine.connect() as connection:
        connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    assert state.store.stat().st_size < before / 2


def test_the_command_says_how_much_it_was(
    site: Path, state: StateDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    apply_five(site, state)
    assert app.run(["prune", "--keep", "2", "--state", str(state.path)]) == 0
    assert app.run(["prune", "--keep", "2", "--state", str(state.path), "--json"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "gave up the content of 3 versions and 3 parts that no other has"
    assert json.loads(second) == {"versions": [], "parts": 0}
