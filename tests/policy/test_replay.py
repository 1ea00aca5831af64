"""A policy judges recorded requests as the edge would, and names the rules that a recording does not say enough for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.waf.replayed_site import SITE, request, site_file

from bartizan.config.problem import SiteError
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.policy.apply import apply
from bartizan.policy.replay import OfflinePolicy, Recording, Unreadable, Verdict, of_site, of_version


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateDirectory:
    monkeypatch.delenv("BARTIZAN_STORE_URL", raising=False)
    return StateDirectory(tmp_path / "state")


def recording(message: bytes, **more: Any) -> Recording:
    return Recording(message=message, server_port=80, https=False, received=1_709_210_096.0, **more)


def verdict(policy: OfflinePolicy, message: bytes, **more: Any) -> Verdict:
    (judged,) = policy.judge([recording(message, **more)])
    assert isinstance(judged, Verdict)
    return judged


def test_a_verdict_names_the_rule_with_its_phase_and_ruleset(tmp_path: Path, state: StateDirectory) -> None:
    policy = of_site(site_file(tmp_path), state)
    blocked = verdict(policy, request("/", "User-Agent: none"))
    assert (blocked.outcome, blocked.status, blocked.zone) == ("blocked", 403, "shop")
    assert blocked.by is not None
    named = (blocked.by.reference, blocked.by.action, blocked.by.phase, blocked.by.ruleset)
    assert named == ("empty-agent", "block", "http_request_firewall_custom", "checks")
    attack = verdict(policy, request("/?q=attack"))
    assert attack.by is not None
    assert (attack.by.reference, attack.by.ruleset, attack.by.description) == ("managed", "own", "an attack")
    assert (attack.waf_rule_ids, attack.waf_score) == (["11"], 5)
    moved = verdict(policy, request("/old"))
    assert (moved.outcome, moved.status, moved.location) == ("redirected", 301, "https://shop.example/new")
    assert verdict(policy, request("/alias?a=1")).changes == {"uri": "/real?a=1"}


def test_what_a_recording_does_not_hold_is_said_and_not_guessed(tmp_path: Path, state: StateDirectory) -> None:
    policy = of_site(site_file(tmp_path), state)

    def undecided(message: bytes, **more: Any) -> list[tuple[str, str, list[str]]]:
        found = verdict(policy, message, **more).undecided
        return [(rule.reference, rule.ruleset, rule.fields) for rule in found]

    assert undecided(request("/")) == []
    assert undecided(request("/"), unknown=["ip.src"]) == [("office", "", ["ip.src"])]
    # The rule that answers too: with another value it might not have.
    assert undecided(request("/", "User-Agent: none"), unknown=["http.user_agent"]) == [
        ("empty-agent", "checks", ["http.user_agent"])
    ]
    # A phase that was not reached, and a rule behind the one that answered, had nothing to decide.
    assert undecided(request("/old"), unknown=["ip.src", "http.user_agent"]) == []
    assert undecided(request("/", "User-Agent: none"), unknown=["http.request.method"]) == []
    unsaid = ["http.request.body.raw", "http.request.headers"]
    assert undecided(request("/"), unknown=unsaid) == [
        ("managed", "", ["http.request.headers", "http.request.body.raw"])
    ]
    assert undecided(request("/health"), unknown=unsaid) == [], "the phase is skipped"
    assert undecided(request("/health"), unknown=["http.user_agent"]) == [], "so is the rest of this one"
    assert verdict(policy, request("/")).lacks_response
    answered = verdict(policy, request("/"), response=b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\na leak")
    assert (answered.has_response, answered.lacks_response, answered.outcome) == (True, False, "blocked")


def test_what_the_edge_refuses_or_nobody_can_read_has_its_reason(tmp_path: Path, state: StateDirectory) -> None:
    policy = of_site(site_file(tmp_path), state)
    refused = verdict(policy, b"GET / HTTP/1.1\r\nHost: shop.example\r\nHost: b\r\n\r\n")
    assert (refused.outcome, refused.status, refused.zone) == ("refused", 400, None)
    assert refused.reason
    cut = request("/", method="POST", body="12345")[:-2]
    judged = policy.judge([recording(b"GET / HT"), recording(cut), recording(request("/"), response=b"HTTP/1.1 2")])
    assert [each.reason for each in judged if isinstance(each, Unreadable)] == [
        "it has no end: an empty line follows the headers of a request",
        "it ends before its body does",
        "its response has no end: an empty line follows its headers",
    ]


def test_what_rule_sets_remember_of_a_request_is_there_for_the_next(tmp_path: Path, state: StateDirectory) -> None:
    site = site_file(tmp_path, SITE.replace(', overrides = { rules = [{ id = "13", action = "log" }] }', ""))
    (tmp_path / "own.conf").write_text(
        "SecRuleEngine On\n"
        'SecAction "id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR},setvar:ip.seen=+1"\n'
        'SecRule IP:seen "@gt 1" "id:2,phase:1,deny,msg:\'again\'"\n'
    )
    policy = of_site(site, state)
    outcomes = [each.outcome for each in policy.judge([recording(request("/"))] * 2) if isinstance(each, Verdict)]
    assert outcomes == ["ok", "blocked"]
    undecided = verdict(of_site(site, state), request("/"), unknown=["ip.src"]).undecided
    assert [rule.reference for rule in undecided] == ["office", "managed"]


def test_a_stored_version_judges_with_all_that_it_read_then(tmp_path: Path, state: StateDirectory) -> None:
    site = site_file(tmp_path)
    assert apply(site, state, author="ana").version == 1
    (tmp_path / "own.conf").unlink()
    site.unlink()
    assert verdict(of_version(1, state), request("/?q=attack")).waf_rule_ids == ["11"]
    with pytest.raises(Failure, match="version 7"):
        of_version(7, state)
    missing = StateDirectory(tmp_path / "missing")
    with pytest.raises(
        Failure, match=r"nothing was applied in .*missing, so there is no version 1; name it with --state"
    ):
        of_version(1, missing)
    assert not missing.path.exists()


def test_a_site_file_with_mistakes_judges_nothing(tmp_path: Path, state: StateDirectory) -> None:
    with pytest.raises(SiteError, match=r"http\.hots"):
        of_site(site_file(tmp_path, SITE.replace("http.user_agent", "http.hots")), state)
