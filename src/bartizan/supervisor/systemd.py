"""What systemd is told of this service (sd_notify(3)): that it serves, that it still does, that it stops.

One datagram for each word, to the socket that `NOTIFY_SOCKET` names. Outside systemd there is none, and nothing is
sent. A library would be larger than this file; the protocol is stable by promise.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, Self

_SOCKET: Final = "NOTIFY_SOCKET"
_WATCHDOG_US: Final = "WATCHDOG_USEC"
_WATCHDOG_PID: Final = "WATCHDOG_PID"

PRIVATE_VARIABLES: Final = (_SOCKET, _WATCHDOG_US, _WATCHDOG_PID)
"""Environment variables meant for this process alone: one that it starts must not speak for it."""


class Notifier:
    """Speaks to the service manager that started this process, if one did.

    `environment` is read once; by default it is that of the process.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self.variables = {name: environment[name] for name in PRIVATE_VARIABLES if name in environment}
        """What the environment said, for a program that takes the place of this one in the same process."""
        self._address = _address(environment.get(_SOCKET, ""))
        self.watchdog_s = _watchdog_s(environment)

    def ready(self, status: str) -> None:
        """The service serves; `status` is a line for `systemctl status`."""
        self._send(f"READY=1\nSTATUS={_one_line(status)}\nMAINPID={os.getpid()}")

    def status(self, text: str) -> None:
        """A line for `systemctl status`."""
        self._send(f"STATUS={_one_line(text)}")

    def reloading(self) -> None:
        """A changed configuration is being read; `ready` says when that is done."""
        # In microseconds of the monotonic clock, as Type=notify-reload wants it; older managers pass over it.
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The service is on its way out."""
        self._send("STOPPING=1\nSTATUS=Finishing the requests in hand")

    def alive(self) -> None:
        """The service is well: sent more often than every `watchdog_s` or it is killed and started again."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
            try:
                connection.connect(self._address)
                connection.sendall(message.encode())
            except OSError:
                # Whoever listened is gone or busy: no reason to serve less.
                return


class Watchdog:
    """Says `alive` twice in each interval of the service manager, as long as `well` says so."""

    def __init__(self, notifier: Notifier, well: Callable[[], bool]) -> None:
        self._notifier = notifier
        self._well = well
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        if self._notifier.watchdog_s is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        interval = (self._notifier.watchdog_s or 0.0) / 2
        while True:
            if self._well():
                self._notifier.alive()
            if self._over.wait(interval):
                return


def _address(named: str) -> str | None:
    # "@" stands for the zero byte of an abstract address.
    if named.startswith("@"):
        return "\0" + named[1:]
    return named if named.startswith("/") else None


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    wanted = environment.get(_WATCHDOG_US, "")
    meant = environment.get(_WATCHDOG_PID)
    if not (wanted.isascii() and wanted.isdigit() and int(wanted) > 0) or meant not in (None, str(os.getpid())):
        return None
    return int(wanted) / 1e6


def _one_line(text: str) -> str:
    # A line feed would begin another assignment.
    return " ".join(text.split())
