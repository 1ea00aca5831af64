"""How commands show what is wrong with a site file: one line each, in the form that terminals make clickable."""

from __future__ import annotations

import sys

from bartizan.config.problem import Problem

__all__ = ["show", "total"]


def show(problems: list[Problem]) -> None:
    """Prints problems to standard error, errors in red and warnings in yellow where it is a terminal."""
    if not problems:
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for problem in problems:
        line = Text(str(problem))
        place = f"{problem.file}:{problem.line}:{problem.column}:"
        line.stylize("bold", 0, len(place))
        line.highlight_words([f" {problem.where}: "], "yellow" if problem.severity == "warning" else "red")
        console.print(line)
    sys.stderr.flush()


def total(problems: list[Problem]) -> str:
    """How many there are, in words: `2 errors and 1 warning`."""
    counts = []
    for severity in ("error", "warning"):
        count = sum(problem.severity == severity for problem in problems)
        if count:
            counts.append(f"{count:,} {severity}{'' if count == 1 else 's'}")
    return " and ".join(counts)
