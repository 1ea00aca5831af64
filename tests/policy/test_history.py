"""Versions are asked for where the store is, and asking makes neither a store nor a state directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import URL
from tests.databases import postgresql, url
from tests.policy.conftest import SITE

from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.policy.apply import apply
from bartizan.policy.diff import diff
from bartizan.policy.history import history
from bartizan.policy.replay import of_version

__all__ = ["postgresql", "url"]


def test_a_second_node_asks_a_shared_store_before_it_has_a_state_directory(
    url: URL, site: Path, state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BARTIZAN_STORE_URL", url.render_as_string(hide_password=False))
    apply(site, state, author="ana")
    site.write_text(SITE.replace("8001", "8002"))
    apply(site, state, author="bo")
    second = StateDirectory(site.parent / "second")
    assert [(each.id, each.status, each.author) for each in history(second)] == [
        (2, "applied", "bo"),
        (1, "superseded", "ana"),
    ]
    assert [(each.what, each.field) for each in diff(second, 1, 2).changes] == [('zone "shop"', "origin.servers")]
    assert of_version(1, second).title == "version 1"
    assert not second.path.exists()


@pytest.mark.parametrize("has_state", [False, True])
def test_where_nothing_was_applied_nothing_is_made_by_asking(
    site: Path, state: StateDirectory, *, has_state: bool
) -> None:
    if has_state:
        state.create()
    before = sorted(site.parent.rglob("*"))
    assert history(state) == []
    with pytest.raises(Failure, match="no version has been applied yet"):
        diff(state, 1, 2)
    with pytest.raises(Failure, match=r"nothing was applied in .* no version 1"):
        of_version(1, state)
    assert sorted(site.parent.rglob("*")) == before
