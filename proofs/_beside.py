"""Work that goes on beside the main thread of a proof until it is told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Beside:
    """Functions on threads of their own, each of which ends once `_over` is set and what it has in hand is done."""

    def __init__(self, *runs: Callable[[], None]) -> None:
        """Starts them; what they use must be there."""
        self._over = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in runs]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends them all, each after what it has in hand."""
        self._over.set()
        for thread in self._threads:
            thread.join()
