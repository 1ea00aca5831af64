"""Runs the benches one after the other, each in a process of its own: `make bench ARGS="proxy gil"`.

    benches/run.py                all of them
    benches/run.py proxy --quick  words after the names go to each bench

A bench that misses a target or cannot run does not stop the others; the exit code is that of the worst.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent

BENCHES: Final = {
    "proxy": "CPU, latency and system calls of a request beside nginx (half an hour)",
    "gil": "requests beside a thread that holds the GIL (four minutes)",
    "swap": "a new policy at 1,000 zones (some minutes)",
    "rules": "a thousand rules that do not match, beside wirefilter (two minutes)",
    "events": "the event store at 50,000 events/s and at 20 million of them (half an hour, 12 GB)",
    "waf": "the Core Rule Set beside libmodsecurity and Coraza (half an hour)",
    "hotspots": "where the time of a request goes (a minute)",
}

_MEANING: Final = {0: "every target met, or its floor held", 1: "a target was missed", 2: "could not run"}


def main(words: list[str]) -> int:
    """Runs the benches named in `words`, or all; returns the worst of their exit codes."""
    names = [word for word in words if word in BENCHES] or list(BENCHES)
    options = [word for word in words if word not in BENCHES]
    if options and not options[0].startswith("-"):
        listing = "".join(f"  {name:<10}{summary}\n" for name, summary in BENCHES.items())
        sys.stderr.write(f"there is no bench {options[0]!r}; there are:\n{listing}")
        return 2
    worst = 0
    for number, name in enumerate(names, 1):
        sys.stderr.write(f"[{number}/{len(names)}] {name}: {BENCHES[name]}\n")
        begin = time.monotonic()
        code = subprocess.run([sys.executable, "-m", f"benches.{name}", *options], cwd=ROOT, check=False).returncode
        minutes = (time.monotonic() - begin) / 60
        sys.stderr.write(
            f"[{number}/{len(names)}] {name}: {_MEANING.get(code, f'ended with {code}')} ({minutes:.1f} min)\n"
        )
        worst = max(worst, code if code in _MEANING else 2)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
