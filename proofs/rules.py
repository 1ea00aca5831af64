"""Rules by chance, run in two ways: the plan that the edge runs and a plain walk over the typed tree; one JSON line.

The expressions are made from the tables of fields and functions, and each request from what its expression looks for,
so that about half of the filters match (`crates/rules/tests/rules/random.rs`). A second count is of expressions that
were printed from their tree and read again. The run ends with the first disagreement, which it shows part by part.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

from proofs import ROOT, tell


def main() -> int:
    """Run the tests of the walk for that many pairs. Returns 1 where the two ways do not agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1_000_000, help="pairs of rule and request (default: 1000000)")
    parser.add_argument("--printed", type=int, default=10_000, help="pairs before and after printing (default: 10000)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="where chance begins (default: the time)")
    arguments = parser.parse_args()
    settings = {
        "RULES_PAIRS": str(arguments.pairs),
        "RULES_PRINTED": str(arguments.printed),
        "RULES_SEED": str(arguments.seed),
    }
    command = ["cargo", "test", "--quiet", "--workspace", "--test", "rules", "walk::", "--", "--nocapture"]
    started = time.monotonic()
    ran = subprocess.run(command, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    figure: dict[str, object] = {
        "figure": "rules by chance: plan and walk, before and after printing",
        "seed": arguments.seed,
        "seconds": round(time.monotonic() - started, 1),
        "agree": ran.returncode == 0,
    }
    for line in ran.stdout.splitlines():
        # The dots of a quiet run may stand before what a test prints.
        at = line.find('{"')
        if at >= 0 and line.endswith("}"):
            figure |= json.loads(line[at:])
    tell(figure)
    if ran.returncode != 0:
        sys.stderr.write(ran.stdout + ran.stderr)
    return ran.returncode


if __name__ == "__main__":
    sys.exit(main())
