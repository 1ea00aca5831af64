"""What the C library keeps of memory that was freed.

Batches of some megabytes come and go on the thread of each sink, and glibc keeps, for each thread, what its heap has
once grown to: tens of megabytes that nobody uses.
"""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Gives the system what is free anywhere in the heaps (malloc_trim(3)).

    Does nothing where the C library has no such function: others than glibc keep little.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
