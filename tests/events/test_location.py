from __future__ import annotations

from pathlib import Path

import pytest

from bartizan.events.location import retention, spool_directory
from bartizan.events.retention import Retention
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


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (None, Retention()),
        ('{"edge":{}}', Retention()),
        (
            '{"edge":{"events":{"client_ip":"full","retention_days":7,"retention":{"ClientIP":2}}}}',
            Retention(7, {"ClientIP": 2}),
        ),
    ],
)
def test_events_are_kept_as_long_as_the_policy_says(
    state: StateDirectory, policy: str | None, expected: Retention
) -> None:
    if policy is not None:
        state.current_policy.write_text(policy)
    assert retention(state) == expected
