"""A process that runs while the policy in effect asks for it, and is started anew when what it asks for changes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bartizan.supervisor.process import Process

_LOOK_S: Final = 0.5


class Attendant:
    """Keeps the process of `make` in step with a file of settings.

    `file` is where the policy in effect has them, `wanted` the part of its content that the process is for, None where
    there is none to run. Nobody is asked: `apply` does not wait for it.
    """

    def __init__(
        self,
        file: Callable[[], Path],
        wanted: Callable[[bytes], object | None],
        make: Callable[[], Process],
        grace_s: float,
    ) -> None:
        self._file = file
        self._wanted = wanted
        self._make = make
        self._grace_s = grace_s
        self._running: Process | None = None
        self._settings: object | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="attendant", daemon=True)

    def start(self) -> None:
        """Starts the process if it is wanted, and follows the policy from now on."""
        self._look()
        self._thread.start()

    def stop(self) -> None:
        """Ends the process, and follows no more."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._end()

    def kill(self) -> None:
        """Ends the process at once."""
        self._stopping.set()
        if self._running is not None:
            self._running.kill()

    def status(self) -> list[dict[str, Any]]:
        """The status of the process, if there is one."""
        running = self._running
        return [] if running is None else [running.status()]

    def _follow(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            self._look()

    def _look(self) -> None:
        settings = self._settings
        with contextlib.suppress(OSError, ValueError):
            # Between two versions the file may be gone for a moment, or not be JSON: then it stays as it is.
            settings = self._wanted(self._file().read_bytes())
        if settings == self._settings:
            return
        self._settings = settings
        self._end()
        if settings is not None:
            self._running = self._make()
            self._running.start()

    def _end(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.stop(self._grace_s)
