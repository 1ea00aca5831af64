"""How long to wait before a process that died is started again."""

from __future__ import annotations

from typing import Final

FIRST_S: Final = 0.2
LAST_S: Final = 30.0
HEALTHY_S: Final = 60.0
"""A process that lived this long died of something new."""


class Backoff:
    """Doubles from `FIRST_S` to `LAST_S` while a process keeps dying young."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def after(self, lived_s: float) -> float:
        """Seconds to wait after a life of `lived_s` seconds."""
        if lived_s >= HEALTHY_S:
            self._next_s = FIRST_S
        wait_s = self._next_s
        self._next_s = min(self._next_s * 2, LAST_S)
        return wait_s
