"""A process that runs while the policy asks for it."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bartizan.durable import replace
from bartizan.supervisor.attendant import Attendant
from bartizan.supervisor.lines import Text
from bartizan.supervisor.process import Process

PATIENCE_S = 300


def eventually(what: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def test_it_follows_what_the_policy_asks_for(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    replace(file, b"{}")
    lines = Text(io.StringIO(), colour=False)
    sleeping = [sys.executable, "-c", "import time; time.sleep(600)"]
    attendant = Attendant(
        lambda: file,
        lambda content: json.loads(content).get("auditor"),
        lambda: Process("transparency", sleeping, lines),
        grace_s=10.0,
    )

    def pid() -> Any:
        return next((status["pid"] for status in attendant.status()), None)

    attendant.start()
    assert attendant.status() == []
    replace(file, b'{"auditor":{}}')
    eventually(pid)
    first = pid()
    replace(file, b'{"auditor":{},"other":1}')
    file.unlink()
    replace(file, b'{"auditor":{"workers":2}}')
    eventually(lambda: pid() not in (first, None))
    replace(file, b"{}")
    eventually(lambda: attendant.status() == [])
    attendant.stop()
