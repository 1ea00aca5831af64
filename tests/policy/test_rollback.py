"""An old version, put into effect again as a new one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.policy.conftest import SITE, running_edge

from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.policy.apply import Applied, apply
from bartizan.policy.effect import open_versions
from bartizan.policy.history import history
from bartizan.policy.rollback import rollback

LIST = '[lists.office]\nkind = "ip"\nfile = "office.txt"\n'


def test_the_content_of_an_old_version_becomes_a_new_one(site: Path, state: StateDirectory) -> None:
    office = site.parent / "office.txt"
    office.write_text("192.0.2.1\n")
    site.write_text(SITE + LIST)
    apply(site, state, author="ana")
    first = json.loads(state.current_policy.read_bytes())
    office.write_text("192.0.2.2\n")
    site.write_text(SITE.replace("8001", "8002") + LIST)
    apply(site, state, author="ana")
    with running_edge(state) as edge:
        assert rollback(1, state, author="bo") == Applied("applied", 3, True, 1, 3.1, [])  # noqa: FBT003
    now = json.loads(state.current_policy.read_bytes())
    assert now == {**first, "version": 3}
    assert edge.asked[0][1] == now
    assert [(each.id, each.status, each.author, each.message) for each in history(state)] == [
        (3, "applied", "bo", "rollback to version 1"),
        (2, "superseded", "ana", ""),
        (1, "superseded", "ana", ""),
    ]


def test_the_rules_of_then_come_back_whatever_became_of_their_files(site: Path, state: StateDirectory) -> None:
    rules = site.parent / "rules.conf"
    rules.write_text('SecRule ARGS "@pmFromFile words.data" "id:1,phase:2,deny"\n')
    (site.parent / "words.data").write_text("then\n")
    site.write_text(SITE + '[rulesets.own]\nseclang = "rules.conf"\n')
    apply(site, state, author="ana")
    [first] = json.loads(state.current_policy.read_bytes())["rulesets"].values()
    rules.unlink()
    (site.parent / "words.data").unlink()
    site.write_text(SITE)
    apply(site, state, author="ana")
    assert rollback(1, state, author="bo").outcome == "applied"
    assert list(json.loads(state.current_policy.read_bytes())["rulesets"].values()) == [first]
    assert first["seclang"]["files"][str(site.parent / "words.data")] == "then\n"


def test_the_audit_log_has_it_first(site: Path, state: StateDirectory) -> None:
    apply(site, state, author="ana")
    with running_edge(state, lambda _: b""), pytest.raises(Failure, match="gives no answer"):
        rollback(1, state, author="bo")
    with open_versions(state) as versions, versions._engine.connect() as connection:
        rows = connection.execute(text("SELECT actor, action, target, details FROM audit_log")).all()
    assert [tuple(row) for row in rows] == [("bo", "rollback", "version 1", '{"from":1}')]


def test_a_version_that_the_edge_refuses_now_leaves_the_policy(site: Path, state: StateDirectory) -> None:
    apply(site, state, author="ana")
    before = state.current_policy.read_bytes()
    said = {"path": ["zones", 0, "origin", "servers", 0, "url"], "message": "gone", "severity": "error"}
    with running_edge(state, lambda _: json.dumps({"ok": False, "diagnostics": [said]}).encode() + b"\n"):
        rolled = rollback(1, state, author="bo")
    assert (rolled.outcome, rolled.version) == ("refused", 2)
    assert [str(problem) for problem in rolled.problems] == ['version 1:3:12: zone "shop" origin 1: gone']
    assert state.current_policy.read_bytes() == before


def test_a_version_that_was_never_made_is_named(site: Path, state: StateDirectory) -> None:
    apply(site, state, author="ana")
    with pytest.raises(Failure, match="there is no version 9; `bartizan versions` lists those that there are"):
        rollback(9, state, author="bo")


def test_certificates_of_the_old_version_are_made_again(site: Path, state: StateDirectory) -> None:
    site.write_text('[edge]\nlisten_tls = ["127.0.0.1:8443"]\n' + SITE)
    apply(site, state, author="ana")
    leaf = state.ca / "leaves" / "shop.pem"
    leaf.unlink()
    rollback(1, state, author="bo")
    assert leaf.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
