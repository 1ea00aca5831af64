"""What spares work against all of the work: rules with gates, folding and memory of texts, and without; one JSON line.

The requests of the Core Rule Set's own tests are changed by chance (spliced, encoded, with what its rules look for put
in, in every form of body) and judged both ways at each paranoia level, with the response phases. The rules that match
with what they say, the score and what is done with the request must be equal. The work is done by the example `gates`.
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bartizan.config import rule_folder
from bartizan.waf import ftw
from proofs import ROOT, _core_rules, tell

BASE = ROOT / "src" / "bartizan" / "config" / "base.conf"


def rule_file(crs: Path, level: int, to: Path) -> Path:
    """A file that includes a Core Rule Set at a paranoia level, with the engine as `bartizan.waf` sets it."""
    found = rule_folder.read(crs)
    values = f"setvar:tx.blocking_paranoia_level={level},setvar:tx.detection_paranoia_level={level}"
    lines = [
        "SecRuleEngine On",
        *(f'Include "{path}"' for path in [BASE, *found.setup]),
        f'SecAction "id:77000100,phase:1,pass,nolog,{values},setvar:tx.crs_validate_utf8_encoding=1"',
        *(f'Include "{path}"' for path in found.rules),
    ]
    file = to / f"level-{level}.conf"
    file.write_text("\n".join([*lines, ""]))
    return file


def example(name: str, profile: str) -> str:
    """The path of an example of the engine, built by a profile of the workspace."""
    command = ["cargo", "build", "--workspace", "--profile", profile, "--example", name, "--message-format", "json"]
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    built = [json.loads(line).get("executable") for line in ran.stdout.splitlines()]
    return next(str(path) for path in built if path)


def judged(program: str, rules: Path, requests: Sequence[bytes], arguments: Sequence[str]) -> dict[str, Any]:
    """What the example says of so many requests."""
    frames = b"".join(struct.pack("<I", len(request)) + request for request in requests)
    done = subprocess.run([program, str(rules), *arguments], input=frames, stdout=subprocess.PIPE, check=True)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def main() -> int:
    """Judge so many requests at each level. Returns 1 where one is judged in two ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000, help="requests at each level")
    parser.add_argument("--levels", type=int, nargs="+", default=[1, 4], help="paranoia levels")
    parser.add_argument("--seed", type=int, default=1, help="of what is made by chance")
    parser.add_argument("--profile", default="quick", help="by which the engine is built; dev needs no other build")
    arguments = parser.parse_args()

    crs, program = _core_rules.fetched(), example("gates", arguments.profile)
    requests = [stage.request for test in ftw.read(crs / "tests") for stage in test.stages]
    levels = {}
    with tempfile.TemporaryDirectory(prefix="bartizan-gates-") as place:
        for level in arguments.levels:
            begun = time.monotonic()
            rules = rule_file(crs, level, Path(place))
            said = judged(program, rules, requests, [str(arguments.requests), str(arguments.seed + level)])
            levels[str(level)] = {**said, "per_s": round(arguments.requests / (time.monotonic() - begun))}
    tell({"figure": "rules with gates and folding against rules without", "crs": "4.25.0", "levels": levels})
    return 1 if any(said["different"] for said in levels.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
