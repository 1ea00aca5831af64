"""The event owner beside a proxy under load: what shipping each row into chDB costs, and whether it keeps up.

It runs on the client's core, since the proxy has its own for itself; so its figure is of CPU and never of speed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from benches import loads, usage
from benches.machine import CLIENT_CORE, ROOT, pinned, require
from benches.proxies import Proxy

from bartizan.failure import Failure

_PATIENCE_S: Final = 120.0


def event_owner(proxy: Proxy, state: Path, spool: Path, seconds: float) -> str:
    """Ships what one closed-loop run over HTTP/1.1 leaves in the spool; a sentence with the figures."""
    require("taskset")
    # What earlier runs left would be shipped first.
    drop_closed_segments(spool)
    command: list[str | Path] = [sys.executable, "-m", "bartizan.events", "--state", state, "--spool", spool]
    with subprocess.Popen(pinned(CLIENT_CORE, command), cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            before_rows = _settled(state, process)
            before = usage.spent(process.pid)
            served = loads.closed(proxy, "HTTP/1.1", "/bytes/1024", seconds)
            begin = time.monotonic()
            rows = _settled(state, process) - before_rows
            behind_s = time.monotonic() - begin
            cpu_s = usage.spent(process.pid).since(before)
        finally:
            process.terminate()
    cost_us = cpu_s / rows * 1e6
    return (
        f"Beside the edge at {served.per_second:,.0f} requests/s the event owner used {cost_us:.1f} us of CPU for each "
        f"of {rows:,} rows ({served.requests:,} requests), on the core of client and origin. It had shipped the last "
        f"row {behind_s:.1f} s after the load had ended."
    )


def drop_closed_segments(spool: Path) -> None:
    """Remove all segments but the last, which is being written: a long bench leaves gigabytes of them."""
    for segment in sorted(spool.glob("*.spool"))[:-1]:
        segment.unlink()


def _settled(state: Path, process: subprocess.Popen[str]) -> int:
    """Rows shipped, once no more come."""
    from bartizan.events.control import status

    last, since = -1, time.monotonic()
    deadline = since + _PATIENCE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Failure(f"the event owner ended: {process.communicate()[1].strip()[-500:]}")
        time.sleep(0.25)
        try:
            rows = status(state / "run" / "events.sock").rows_shipped
        except Failure:
            since = time.monotonic()
            continue
        if rows != last:
            last, since = rows, time.monotonic()
        elif time.monotonic() - since > 1.5:
            return rows
    raise Failure(f"the event owner was not done after {_PATIENCE_S:.0f} s")
