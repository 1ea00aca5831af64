"""Recorded requests reach a policy in lots of bounded size, and what one leaves behind is there for the next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from tests.waf.replayed_site import SITE, request, site_file

from bartizan.layout import StateDirectory
from bartizan.policy.replay import OfflinePolicy, Recording, Unreadable, Verdict, of_site
from bartizan.waf.policies import Assumed, Replayed, replay
from bartizan.waf.recorded import Broken, Recorded


class Watched(OfflinePolicy):
    """A policy that notes how many requests it was given at once."""

    def __init__(self, policy: OfflinePolicy) -> None:
        self.lots: list[int] = []
        self._policy = policy

    def judge(self, requests: Iterable[Recording]) -> Iterator[Verdict | Unreadable]:
        lot = list(requests)
        self.lots.append(len(lot))
        return self._policy.judge(lot)


def test_large_requests_go_in_smaller_lots_and_in_order(tmp_path: Path) -> None:
    policy = Watched(of_site(site_file(tmp_path), StateDirectory(tmp_path / "state")))
    large = request("/", method="POST", body="a" * (6 << 20))
    messages = [request("/")] * 65 + [large] * 3 + [request("/admin")]
    recorded: list[Recorded | Broken] = [Recorded(title=str(at), request=each) for at, each in enumerate(messages)]
    recorded.insert(1, Broken("a place: cannot be read"))
    done = list(replay(recorded, policy, Assumed()))
    titles = [each.title if isinstance(each, Replayed) else each.reason for each in done]
    assert titles == ["0", "a place: cannot be read", *map(str, range(1, 69))]
    assert isinstance(done[-1], Replayed)
    assert done[-1].verdict.outcome == "blocked"
    assert policy.lots == [63, 4, 2]


@pytest.mark.parametrize("count", [2, 70])
def test_what_rule_sets_remember_goes_from_one_lot_to_the_next(tmp_path: Path, count: int) -> None:
    site = site_file(tmp_path, SITE.replace(', overrides = { rules = [{ id = "13", action = "log" }] }', ""))
    (tmp_path / "own.conf").write_text(
        "SecRuleEngine On\n"
        'SecAction "id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR},setvar:ip.seen=+1"\n'
        f'SecRule IP:seen "@ge {count}" "id:2,phase:1,deny,msg:\'again\'"\n'
    )
    policy = of_site(site, StateDirectory(tmp_path / "state"))
    recorded = [Recorded(title=str(at), request=request("/")) for at in range(count)]
    outcomes = [each.verdict.outcome for each in replay(recorded, policy, Assumed()) if isinstance(each, Replayed)]
    assert outcomes == ["ok"] * (count - 1) + ["blocked"]
