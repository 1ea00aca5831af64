"""A list file of a million items, through `bartizan check` and `bartizan apply`: one JSON line.

    python -m benches.lists

Addresses in plain lines and redirects in CSV, each in a site of its own, with no edge running: what reads and compiles
is what the edge runs. The commands are run as a person runs them; the shortest of three is told, and the most memory.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

ITEMS: Final = 1_000_000
ROUNDS: Final = 3
SITE: Final = """\
[zones.shop]
hosts = ["shop.example"]
origins = ["http://127.0.0.1:8001"]

[[zones.shop.rules]]
{rule}

[lists.long]
kind = "{kind}"
file = "{file}"
"""
BLOCK: Final = "expression = 'ip.src in $long'\naction = \"block\""
REDIRECT: Final = """\
phase = "http_request_redirect"
expression = 'http.request.full_uri in $long'
action = "redirect"
action_parameters = { from_list = { name = "long" } }"""


def main() -> int:
    """Writes the files, runs the commands, prints the figure. Returns 1 where a command failed."""
    figure: dict[str, Any] = {"figure": "list files of a million items", "items": ITEMS}
    with tempfile.TemporaryDirectory() as made:
        for kind, file, rule, text in (
            ("ip", "addresses.txt", BLOCK, _addresses()),
            ("redirect", "redirects.csv", REDIRECT, _redirects()),
        ):
            directory = Path(made) / kind
            directory.mkdir()
            (directory / file).write_text(text)
            (directory / "bartizan.toml").write_text(SITE.format(rule=rule, kind=kind, file=file))
            figure[kind] = {"file_mb": round(len(text) / 1e6, 1)}
            for name, words in (("check", ("check",)), ("apply", ("apply",)), ("unchanged", ("apply",))):
                rounds = [_run(directory, words, anew=name == "apply") for _ in range(ROUNDS)]
                if None in rounds:
                    return 1
                seconds, peaks = zip(*filter(None, rounds), strict=True)
                figure[kind][f"{name}_s"], figure[kind][f"{name}_mib"] = round(min(seconds), 2), max(peaks)
    sys.stdout.write(json.dumps(figure) + "\n")
    return 0


def _addresses() -> str:
    numbers = random.Random(7).sample(range(1 << 24, 223 << 24), ITEMS)
    return "".join(f"{n >> 24}.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}\n" for n in numbers)


def _redirects() -> str:
    rows = (f"www.shop-{n % 2000}.example/old/{n % 97}/{n},https://new.example/articles/{n}\n" for n in range(ITEMS))
    return "source_url,target_url\n" + "".join(rows)


def _run(directory: Path, words: tuple[str, ...], *, anew: bool) -> tuple[float, int] | None:
    """Seconds and MiB of a command, with no version before it if `anew`."""
    state = directory / ".bartizan"
    if anew and state.exists():
        state.rename(directory / f"before-{time.monotonic_ns()}")
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "bartizan.cli", *words], cwd=directory, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    return (seconds, usage.ru_maxrss >> 10) if process.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main())
