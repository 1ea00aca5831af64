"""The terminal as rich shows it, for our commands."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

from rich.console import Console

UNFOLDED = 10_000
"""Redirected output is for programs or files: there nothing is folded."""

PAGE = 120
"""To so many characters tables are folded that people read, in a pager or a ticket, though they are redirected."""


class Terminal(Console):
    """Standard output. A reader that leaves early (`| head`) is what it is everywhere in ours: no error."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**({"width": None if sys.stdout.isatty() else UNFOLDED} | settings))

    def on_broken_pipe(self) -> NoReturn:
        """Passes it on: rich would end the program, with an exit code that means "something is wrong"."""
        raise BrokenPipeError


def page() -> Terminal:
    """Standard output for what people read wherever it goes; programs are served by another format of the same."""
    return Terminal(width=None if sys.stdout.isatty() else PAGE)
