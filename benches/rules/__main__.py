"""A thousand rules that do not match, beside wirefilter-engine 0.6.1 on those that both can say: one JSON line.

    python -m benches.rules

What it builds (`benches/rules/Cargo.toml`) is no member of the workspace: what is measured beside is never shipped. The
run takes a minute, and ends with 1 where a target is missed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent
TARGETS: Final = {"thousand_us": 25.0, "allocations": 0, "ordinary_us": 1.0, "ordinary_allocations": 0}
"""Microseconds for a request on 1,000 rules, and on 50 ordinary ones; allocations of 10,000 requests."""


def main() -> int:
    """Build, run, print. Returns 1 where a target was missed, 2 where nothing could be run."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT.parent.parent / "target" / "bench-rules"))
    built = subprocess.run(
        ["cargo", "build", "--quiet", "--release", "--locked", "--target-dir", str(target)], cwd=ROOT, check=False
    )
    if built.returncode != 0:
        return 2
    ran = subprocess.run([target / "release" / "rules-beside-wirefilter"], stdout=subprocess.PIPE, check=False)
    if ran.returncode != 0:
        return 2
    figure: dict[str, Any] = {"figure": "rules at rate", **json.loads(ran.stdout), "targets": TARGETS}
    figure["missed"] = [name for name, most in TARGETS.items() if figure[name] > most]
    sys.stdout.write(json.dumps(figure) + "\n")
    return 1 if figure["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
