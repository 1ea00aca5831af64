from __future__ import annotations

from pathlib import Path

import pytest

from bartizan.events.location import spool_directory
from bartizan.layout import StateDirectory


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (None, "spool"),
        ('{"edge":{"spool":{"dir":"/srv/spool"}}}', "/srv/spool"),
        ('{"edge":{"spool":{"dir":null}}}', "spool"),
        ('{"edge":{}}', "spool"),
        ("not json", "spool"),
    ],
)
def test_the_spool_is_where_the_policy_says(state: StateDirectory, policy: str | None, expected: str) -> None:
    if policy is not None:
        state.current_policy.write_text(policy)
    assert spool_directory(state) == state.path / Path(expected)
