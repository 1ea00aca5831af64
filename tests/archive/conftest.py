"""A state directory for each test, on a path short enough for a Unix socket."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bartizan.layout import StateDirectory


@pytest.fixture
def state() -> Iterator[StateDirectory]:
    with tempfile.TemporaryDirectory(prefix="bz") as directory:
        made = StateDirectory(Path(directory))
        made.create()
        yield made
