"""A process that works until it is told to stop: by a signal, or by whoever holds it."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from typing import Protocol

from bartizan.failure import Failure

__all__ = ["Service", "run", "stop_on_signals"]


class Service(Protocol):
    """What such a process is made of."""

    def run(self) -> None:
        """Works until stopped. May raise Failure."""

    def stop(self) -> None:
        """Makes `run` return. For any thread, but no signal handler: it may take a lock."""


def run(make: Callable[[], Service], log: logging.Logger) -> int:
    """Makes a service and runs it until SIGTERM or SIGINT. The exit code: 1 where it fails, which is logged."""
    try:
        service = make()
        stop_on_signals(service.stop)
        service.run()
    except Failure as failure:
        log.critical("%s", failure)
        return 1
    return 0


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Has SIGTERM and SIGINT call `stop`."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # On a thread of its own: the handler may run while the main thread holds the lock that `stop` takes.
        signal.signal(number, lambda *_: threading.Thread(target=stop).start())
