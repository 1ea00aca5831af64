"""What a person sees while a command takes its time: nothing for the first second, then that it is at work.

Only on a terminal, and on standard error, so that neither a pipe nor a log ever holds it. Most commands end before, and
should not pay for loading what shows it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progressing", "waiting"]

PATIENCE_S = 1.0
_LOOK_S = 0.2


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


@contextmanager
def progressing(text: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Shows a bar once what is done within takes long; the function that it gives is told of each lot that is done.

    Without a total it shows how much is done and how fast, and no end.
    """
    come = _Come()
    if not sys.stderr.isatty():
        yield come.add
        return
    ended = threading.Event()
    thread = threading.Thread(target=_show_bar, args=(text, total, come, ended), name="progress", daemon=True)
    thread.start()
    try:
        yield come.add
    finally:
        ended.set()
        thread.join()


class _Come:
    """How far it has come. One thread adds, another looks."""

    def __init__(self) -> None:
        self.done = 0

    def add(self, lot: int) -> None:
        self.done += lot


def _show_bar(text: str, total: int | None, come: _Come, ended: threading.Event) -> None:
    if ended.wait(PATIENCE_S):
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from bartizan.cli.console import Terminal

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Terminal(stderr=True), transient=True) as progress:
        task = progress.add_task(text, total=total)
        while not ended.wait(_LOOK_S):
            progress.update(task, completed=come.done)
