"""What a person sees while a command takes its time: nothing for the first second, then that it is at work.

Only on a terminal, and on standard error, so that neither a pipe nor a log ever holds it. Most commands end before, and
should not pay for loading what shows it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["waiting"]

PATIENCE_S = 1.0


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Shows a text with a sign of life once what is done within takes long."""
    if not sys.stderr.isatty():
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_show, args=(text, ended), name="waiting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _show(text: str, ended: threading.Event) -> None:
    if ended.wait(PATIENCE_S):
        return
    from rich.text import Text

    from bartizan.cli.console import Terminal

    with Terminal(stderr=True).status(Text(text)):
        ended.wait()
