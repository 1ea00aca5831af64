"""What the C library keeps of memory that was freed.

Batches of some megabytes come and go on the thread of each sink, and glibc keeps, for each thread, what its heap has
once grown to: tens of megabytes that nobody uses. Other C libraries keep little, and have none of these functions.
"""

from __future__ import annotations

import ctypes
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
_LARGE: Final = 1 << 20


def settle() -> None:
    """Has whatever takes a mebibyte leave with the call that frees it (mallopt(3)).

    By itself glibc does so from 128 KiB on, but only until something larger is freed for the first time.
    """
    change = getattr(ctypes.CDLL(None), "mallopt", None)
    if change is not None:
        change(_M_MMAP_THRESHOLD, _LARGE)


def give_back() -> None:
    """Gives the system what is free anywhere in the heaps (malloc_trim(3))."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
