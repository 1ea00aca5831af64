"""Made-up traffic as spool segments, written by a native program with the edge's own writer (`src/`).

The rows are those of `crates/fields/src/columns.rs`, with every column that such a request has. Request `n` is the same
in every run but for its time.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Final

import msgspec

from bartizan.failure import Failure

ROOT: Final = Path(__file__).resolve().parent


class Made(msgspec.Struct, frozen=True):
    """What was written. A firewall event comes with each request that a rule acted on."""

    requests: int
    request_bytes: int
    firewall_events: int
    firewall_bytes: int

    @property
    def rows(self) -> int:
        """Of both tables."""
        return self.requests + self.firewall_events

    @property
    def megabytes(self) -> float:
        """Of both tables, as encoded in the spool."""
        return (self.request_bytes + self.firewall_bytes) / 1e6


class Traffic:
    """The program, and the time of request 0: so early that the last of `requests` was a moment ago."""

    def __init__(self, requests: int, step_ns: int) -> None:
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT.parent.parent / "target" / "bench-events"))
        command = ["cargo", "build", "--quiet", "--release", "--locked", "--target-dir", str(target)]
        if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
            raise Failure("the program that makes the traffic cannot be built; see above")
        self._program = target / "release" / "traffic"
        self._step_ns = step_ns
        # Whole minutes, so that rollups of the same rows are the same in each run.
        minute = 60_000_000_000
        self._begin_ns = (time.time_ns() - requests * step_ns) // minute * minute

    def write(self, spool: Path, first: int, count: int) -> Made:
        """Appends requests `first` to `first + count` to a spool that nobody else writes."""
        numbers = (first, count, self._begin_ns, self._step_ns)
        run = subprocess.run([self._program, spool, *map(str, numbers)], stdout=subprocess.PIPE, check=False)
        if run.returncode != 0:
            raise Failure("the program that makes the traffic failed; see above")
        return msgspec.json.decode(run.stdout, type=Made)
