"""One supervised process: started, listened to, and started again when it dies."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from bartizan.log import ASKED
from bartizan.supervisor.backoff import Backoff
from bartizan.supervisor.lines import Lines, parse

READY: Final = "ready"
"""A process that says when it serves begins that line with this word."""

_KILLED_S: Final = 5.0

_NEVER_LIVED: Final = 127


class Process:
    """Keeps one program running until `stop`.

    `on_ready` is called each time the program says that it serves; `on_stillborn` when its very first life ends with an
    exit code of 1 before that: it has said what a person must put right, and starting it again would only repeat it.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        lines: Lines,
        *,
        on_ready: Callable[[], None] = lambda: None,
        on_stillborn: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self._command = list(command)
        self._lines = lines
        self._on_ready = on_ready
        self._on_stillborn = on_stillborn
        self._backoff = Backoff()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._was_ready = False
        self._restarts = 0
        self._started_at = 0.0
        self._last_end: str | None = None
        self._thread = threading.Thread(target=self._live, name=f"supervise {name}", daemon=True)

    def start(self) -> None:
        """Start the program, and again whenever it ends."""
        self._thread.start()

    def stop(self, grace_s: float) -> None:
        """End the program with SIGTERM, after `grace_s` seconds with SIGKILL, and do not start it again."""
        self.ask_to_stop()
        self._thread.join(grace_s)
        if self._thread.is_alive():
            text = f"{self.name} did not stop within {grace_s:.0f} s; killing it"
            self._lines.write("supervisor", "warning", text, {"subject": self.name})
            self.kill()

    def ask_to_stop(self) -> None:
        """Send SIGTERM and do not start the program again."""
        self._stopping.set()
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the program at once."""
        self._stopping.set()
        self._signal(signal.SIGKILL)
        self._thread.join(_KILLED_S)

    @property
    def alive(self) -> bool:
        """Whether the program runs, or will again."""
        return self._thread.is_alive()

    def status(self) -> dict[str, Any]:
        """Name, process id, state, restarts and seconds since the last start."""
        with self._lock:
            running = self._child is not None
            return {
                "name": self.name,
                "pid": self._child.pid if self._child is not None else None,
                "state": "running" if running else "stopped" if self._stopping.is_set() else "waiting",
                "restarts": self._restarts,
                "uptime_s": round(time.monotonic() - self._started_at, 3) if running else None,
                "last_end": self._last_end,
            }

    def _live(self) -> None:
        while not self._stopping.is_set():
            try:
                code = self._once()
                self._last_end = how_it_ended(code)
            except OSError as error:
                # No memory, process or descriptor is left: of all moments the one in which not to give up.
                code = _NEVER_LIVED
                self._last_end = f"cannot be started ({error.strerror})"
            lived_s = time.monotonic() - self._started_at
            if self._stopping.is_set():
                return
            if code == 1 and not self._was_ready and self._restarts == 0 and self._on_stillborn is not None:
                self._on_stillborn()
                return
            wait_s = self._backoff.after(lived_s)
            self._lines.write(
                "supervisor",
                "error",
                f"{self.name} {self._last_end} after {lived_s:.1f} s; starting it again in {wait_s:.1f} s",
                {"subject": self.name, "problem": self._last_end, "wait_s": round(wait_s, 1)},
            )
            if self._stopping.wait(wait_s):
                return
            self._restarts += 1

    def _once(self) -> int:
        """One life of the program; returns its exit code, negative for a signal."""
        with self._lock:
            self._started_at = time.monotonic()
            # A group of its own: Ctrl-C reaches the supervisor alone, which stops the others in order.
            child = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=0,
                env=os.environ | {"PYTHONUNBUFFERED": "1", ASKED: "objects"},
                text=True,
                errors="replace",
            )
            self._child = child
        if self._stopping.is_set():
            child.terminate()
        try:
            with child:
                for line in child.stdout or ():
                    level, text, keys = parse(line.rstrip("\n"))
                    self._lines.write(self.name, level, text, keys)
                    if text.startswith(READY):
                        self._was_ready = True
                        self._on_ready()
                return child.wait()
        finally:
            with self._lock:
                self._child = None

    def _signal(self, number: signal.Signals) -> None:
        with self._lock, contextlib.suppress(ProcessLookupError):
            if self._child is not None:
                self._child.send_signal(number)


def how_it_ended(code: int) -> str:
    """An exit code of subprocess in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
