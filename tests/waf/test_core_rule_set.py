"""The Core Rule Set's own regression suite, all of it, in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e import core_rules

from bartizan.waf import RuleSet, ftw, regression

TESTS = 4_674


@pytest.fixture(scope="module")
def module() -> Path:
    """The folder of the module; skips the tests where there is no Go to fetch it."""
    return core_rules.module()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_test_passes_but_the_one_that_is_exempted(module: Path) -> None:
    outcomes = list(regression.run(regression.rule_set(module), list(ftw.read(module / "tests"))))
    assert [outcome for outcome in outcomes if outcome.result == "fail"] == []
    assert [outcome.title for outcome in outcomes if outcome.result == "skip"] == ["920620-1"]
    assert len(outcomes) == TESTS


def test_an_attack_is_blocked_by_its_score_and_a_search_is_not(module: Path) -> None:
    rules = RuleSet.load(module)
    head = b" HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\r\n"
    attack = rules.inspect(b"GET /?id=1%27+UNION+SELECT+password+FROM+users--" + head)
    assert (attack.status, attack.rule) == (403, 949110)
    assert attack.scores["inbound"] >= attack.scores["sql_injection"] >= 5
    assert 942100 in [match.id for match in attack.matches]
    clean = rules.inspect(b"GET /search?q=red+shoes&page=2" + head)
    assert (clean.blocked, clean.scores["inbound"]) == (False, 0)
