"""Proofs of 10,000 to 4 million elements, verified here and by crate `akd` on one core and on two: one JSON line.

    python -m benches.transparency
    python -m benches.transparency --elements 1000000 --repeats 3

Every verification is a process of its own, held to its cores, that reads a proof that was made before; so the peak of
its memory is of that alone. Both peers have to accept the proof, and to refuse it with another end hash. Times are the
shortest of the repeats, from the bytes in memory to the verdict; memory is the largest, with the bytes of the proof.
The run takes three minutes, and ends with 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent
SIZES: Final = (10_000, 100_000, 1_000_000, 4_000_000)
JUDGED: Final = 1_000_000
"""The size that the targets are of."""
QUICKER: Final = 2.0
"""How many times as long `akd` has to take, at least."""
MEMORY: Final = 0.5
"""What part of its memory may be taken, at most."""
PACE_S: Final = 48.0
"""Between two epochs of WhatsApp's directory."""


def main() -> int:
    """Build, make proofs, verify, print. Returns 1 where a target was missed, 2 where nothing could be run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--elements", type=int, action="append", help="sizes of proofs, or 10 thousand to 4 million")
    parser.add_argument("--repeats", type=int, default=1, help="verifications of each kind")
    arguments = parser.parse_args()
    repeats: int = arguments.repeats
    program = build()
    if program is None:
        return 2
    rows = list[dict[str, Any]]()
    with tempfile.TemporaryDirectory() as made:
        sizes: list[int] = arguments.elements or list(SIZES)
        rows.extend(_measure(program, elements, Path(made) / "proof", repeats) for elements in sizes)
    missed = [
        f"{row['elements']} on {cores}"
        for row in rows
        for cores in ("one_core", "two_cores")
        if row["elements"] == JUDGED and (row[cores]["quicker"] < QUICKER or row[cores]["memory"] > MEMORY)
    ]
    targets = {"elements": JUDGED, "quicker": QUICKER, "memory": MEMORY}
    figure = {"figure": "verification of an epoch beside akd", "proofs": rows, "targets": targets, "missed": missed}
    sys.stdout.write(json.dumps(figure) + "\n")
    return 1 if missed else 0


def build() -> Path | None:
    """The program that makes and verifies proofs; None where it cannot be built."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT.parent.parent / "target" / "bench-transparency"))
    words = ["cargo", "build", "--quiet", "--release", "--locked", "--target-dir", str(target)]
    built = subprocess.run(words, cwd=ROOT, check=False)
    return target / "release" / "transparency-beside-akd" if built.returncode == 0 else None


def _measure(program: Path, elements: int, proof: Path, repeats: int) -> dict[str, Any]:
    made = _run([str(program), "make", str(elements), str(proof)])
    row: dict[str, Any] = {"elements": elements, "inserted": made["inserted"], "bytes": made["bytes"]}
    for name, cores in (("one_core", "0"), ("two_cores", "0,1")):
        figures = {peer: _verify(program, peer, proof, made, cores=cores, repeats=repeats) for peer in ("ours", "akd")}
        ours, akd = figures["ours"], figures["akd"]
        row[name] = {
            **figures,
            "quicker": round(akd["seconds"] / ours["seconds"], 2),
            "memory": round(ours["peak_mib"] / akd["peak_mib"], 3),
            "of_the_pace": round(ours["seconds"] / PACE_S, 4),
        }
    return row


def _verify(
    program: Path, peer: str, proof: Path, made: dict[str, Any], *, cores: str, repeats: int
) -> dict[str, float]:
    words = ["taskset", "-c", cores, str(program), peer, str(proof), made["start"], made["end"]]
    words.append(str(len(cores.split(","))))
    runs = [_run(words) for _ in range(repeats)]
    wrong = _run([*words, "--wrong"])
    if not all(run["accepted"] for run in runs) or wrong["accepted"]:
        raise SystemExit(f"{peer} judged a proof of {proof.stat().st_size} bytes wrongly")
    return {
        "seconds": min(run["seconds"] for run in runs),
        "decoding_s": min(run["decoding_s"] for run in runs),
        "peak_mib": round(max(run["peak_kib"] for run in runs) / 1024, 1),
    }


def _run(words: list[str]) -> dict[str, Any]:
    ran = subprocess.run(words, stdout=subprocess.PIPE, check=True)
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


if __name__ == "__main__":
    sys.exit(main())
