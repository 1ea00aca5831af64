"""What a process says is plain for people and has stable keys for programs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

from bartizan.log import ASKED, KEYS, Keys

GUIDE = Path(__file__).parents[1] / "docs" / "guide" / "operations.md"

PROGRAM = """
import logging, threading
from bartizan.log import about, saying, to_supervisor
log = to_supervisor("events")
log.info("ready: %d", 1, extra=saying(rows=7))
def work():
    about(sink="copy")
    log.warning("down\\nfor now", extra=saying(wait_s=0.5))
    raise ValueError("in a thread")
thread = threading.Thread(target=work)
thread.start()
thread.join()
log.info("no sink here")
raise RuntimeError("at the end")
"""


def said(**environment: str) -> list[str]:
    """What the program says on stderr."""
    whole = {name: value for name, value in os.environ.items() if name != ASKED} | environment
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=whole, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 1
    return ended.stderr.splitlines()


def test_for_the_supervisor_each_line_is_an_object_behind_its_priority() -> None:
    lines = said(**{ASKED: "objects"})
    objects: list[dict[str, Any]] = [json.loads(line[3:]) for line in lines]
    assert [line[:3] for line in lines] == ["<6>", "<4>", "<3>", "<6>", "<2>"]
    in_thread, at_the_end = (objects[index].pop("exception") for index in (2, 4))
    assert objects == [
        {"message": "ready: 1", "rows": 7},
        {"message": "down\nfor now", "sink": "copy", "wait_s": 0.5},
        {"message": "a thread ended by an error: in a thread", "sink": "copy"},
        {"message": "no sink here"},
        {"message": "ends by an error"},
    ]
    assert in_thread.splitlines()[-1] == "ValueError: in a thread"
    assert at_the_end.splitlines()[-1] == "RuntimeError: at the end"


def test_a_person_reads_plain_lines() -> None:
    lines = said()
    assert lines[:3] == ["<6>ready: 1", "<4>down", "<4>for now"]
    assert lines[-1] == "<2>RuntimeError: at the end"
    assert all(re.match(r"<[2346]>", line) for line in lines)


def test_every_key_is_explained_and_documented() -> None:
    always = ["time", "process", "level", "message"]
    assert list(KEYS) == [*always, *get_type_hints(Keys)]
    rows = re.findall(r"(?m)^\| `([a-z_]+)` \| (.+) \|$", GUIDE.read_text())
    assert [row for row in rows if row[0] in KEYS] == list(KEYS.items())
