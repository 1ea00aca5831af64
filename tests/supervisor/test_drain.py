"""An edge may drain for as long as its policy says."""

from __future__ import annotations

from pathlib import Path

import pytest

from bartizan.layout import StateDirectory
from bartizan.supervisor.drain import edge_grace_s


@pytest.mark.parametrize(
    ("policy", "seconds"),
    [
        ('{"edge": {"limits": {"drain_timeout_ms": 120000}}, "zones": []}', 130.0),
        ('{"edge": {"limits": {}}}', 40.0),
        ("not JSON", 40.0),
    ],
)
def test_the_policy_in_effect_says_how_long(policy: str, seconds: float, tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    assert edge_grace_s(state) == 40.0
    state.create()
    state.current_policy.write_text(policy)
    assert edge_grace_s(state) == seconds
