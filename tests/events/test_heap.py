"""What the C library keeps of memory that was freed goes back."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FREED = """
import re, threading
from pathlib import Path
from bartizan.events.heap import give_back

def mebibytes():
    return int(re.search(r"Pss_Anon: +([0-9]+)", Path("/proc/self/smaps_rollup").read_text())[1]) / 1024

def batches():
    # Each too small to be mapped by itself; the last keeps the heap of the thread from shrinking.
    kept.append([bytearray(100_000) for _ in range(400)][-1])

kept = []
thread = threading.Thread(target=batches)
thread.start()
thread.join()
before = mebibytes()
give_back()
print(before - mebibytes())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_what_a_thread_has_freed_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 20
