"""What the C library keeps of memory that was freed goes back."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

BEGINNING = """
import re, threading
from pathlib import Path
from bartizan.events.heap import give_back, settle

def mebibytes():
    return int(re.search(r"Pss_Anon: +([0-9]+)", Path("/proc/self/smaps_rollup").read_text())[1]) / 1024

def on_a_thread(task):
    thread = threading.Thread(target=task)
    thread.start()
    thread.join()

kept = []
"""

FREED_IN_PARTS = """
def batches():
    # Each too small to be mapped by itself; the last keeps the heap of the thread from shrinking.
    kept.append([bytearray(100_000) for _ in range(400)][-1])

on_a_thread(batches)
before = mebibytes()
give_back()
print(before - mebibytes())
"""

FREED_WHOLE = """
settle()

def batches():
    # The first would teach glibc to keep the next.
    for _ in range(3):
        batch = [bytearray(8_000_000) for _ in range(5)]
        kept.append(bytearray(1000))

before = mebibytes()
on_a_thread(batches)
print(40 - (mebibytes() - before))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
@pytest.mark.parametrize("program", [FREED_IN_PARTS, FREED_WHOLE])
def test_what_a_thread_has_freed_is_given_back(program: str) -> None:
    command = [sys.executable, "-c", BEGINNING + program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 20
