"""A search for texts of 100 kB that a Core Rule Set is slow to read; one JSON line.

For every operator of its rules, behind its transformations, texts are made of what its pattern looks for, and what is
slow is changed into what is slower: parts are put in, taken out, cut, joined, come in turn or by chance. Processor time
is measured, of a thread that has read such texts before; `cold_us` is that of one that has not. Where a rule asks of
several texts (`multiMatch`) the slowest counts, and `all_us` is what they take together. The same is done for each
chain of transformations. The work is done by the example `slow_patterns`, which says how a text is made again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from proofs import _core_rules, tell
from proofs.gates import example, rule_file

LEVEL = 4
"""The paranoia level with all rules."""


def searched(program: str, rules: Path, plan: argparse.Namespace) -> dict[str, Any]:
    """What the search finds in one folder of rules."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bartizan-slow-") as place:
        file = rule_file(rules, LEVEL, Path(place))
        command = [program, *map(str, (file, plan.tries, plan.seed, plan.length, plan.most_us, plan.only))]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    said: dict[str, Any] = json.loads(done.stdout)
    return {**said, "seconds": round(time.monotonic() - begun)}


def main() -> int:
    """Search each folder. Returns 1 where something takes more than it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rules", type=Path, nargs="*", help="folders of rules (default: CRS 4.25.0, fetched by Go)")
    parser.add_argument("--tries", type=int, default=600, help="texts for each question")
    parser.add_argument("--length", type=int, default=100_000, help="bytes of a text")
    parser.add_argument("--most-us", type=float, default=1_000, help="what a text may take")
    parser.add_argument("--only", default="", metavar="NUMBER", help="rules whose numbers begin with this")
    parser.add_argument("--seed", type=int, default=1, help="of what is made by chance")
    parser.add_argument("--profile", default="release", help="by which the engine is built; dev needs no other build")
    plan = parser.parse_args()

    program = example("slow_patterns", plan.profile)
    found = {rules.name: searched(program, rules, plan) for rules in plan.rules or [_core_rules.fetched()]}
    tell({"figure": "slow texts", "most_us": plan.most_us, "rules": found})
    slow = any(said[kind]["slow"] for said in found.values() for kind in ("found", "transformations"))
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
