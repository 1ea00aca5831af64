"""The machine that a bench runs on: which core does what, how quiet it is, and what it is called in a report.

The proxy under measurement has core 0 for itself; the client and the origin share core 1. Nothing else should run: a
figure taken beside other work is marked, because a shared cache and a stolen core cost the proxy time that is not its
own.
"""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bartizan.failure import Failure

ROOT: Final = Path(__file__).resolve().parent.parent
PROXY_CORE: Final = 0
CLIENT_CORE: Final = 1
NOISY_LOAD: Final = 0.5
"""One-minute load average at the start above which figures are marked as noisy."""


def require(*programs: str) -> None:
    """Raises Failure for programs that are not installed, or where there are fewer than two cores."""
    from shutil import which

    packages = {"h2load": "nghttp2-client", "nginx": "nginx-light", "wrk": "wrk", "perf": "linux-perf", "curl": "curl"}
    if missing := [name for name in programs if which(name) is None]:
        wanted = " ".join(packages.get(name, name) for name in missing)
        raise Failure(f"not installed: {', '.join(missing)}; on Debian: apt-get install {wanted}")
    if len(os.sched_getaffinity(0)) < 2:
        raise Failure("a bench needs two cores: one for the proxy alone, one for the client and the origin")


def pinned(core: int, command: Sequence[str | Path]) -> list[str]:
    """The command that runs `command` on one core only."""
    return ["taskset", "--cpu-list", str(core), *map(str, command)]


def load_average() -> float:
    """The one-minute load average."""
    return os.getloadavg()[0]


def description(load: float) -> dict[str, str]:
    """What a reader must know to compare: processor, cores, kernel, versions, commit, load average at the start."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "nginx": _first_line(["nginx", "-v"]).removeprefix("nginx version: "),
        "h2load": _first_line(["h2load", "--version"]),
        "wrk": _first_line(["wrk", "--version"]).split(" [")[0],
        "commit": _first_line(["git", "-C", str(ROOT), "describe", "--always", "--dirty"]),
        "load average at the start": f"{load:.2f}"
        + (" (NOISY: other work ran beside it)" if load > NOISY_LOAD else ""),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    hypervisor = " (virtual)" if any("hypervisor" in line for line in lines if line.startswith("flags")) else ""
    return (names[0] if names else platform.machine()) + hypervisor


def _first_line(command: list[str]) -> str:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "not installed"
    return (answer.stdout + answer.stderr).strip().partition("\n")[0]
