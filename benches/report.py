"""What the benches have in common at their end: medians, verdicts, a page of Markdown and lines of JSON."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from benches.machine import ROOT, description

PAGES: Final = ROOT / "docs" / "measurements"

Verdict = Literal["met", "floor held", "missed"]


@dataclass(frozen=True)
class Target:
    """A ratio that has to be at most `at_most`, and must never be above `floor`."""

    at_most: float
    floor: float

    def verdict(self, ratio: float) -> Verdict:
        """What a ratio means for it."""
        if ratio <= self.at_most:
            return "met"
        return "floor held" if ratio <= self.floor else "missed"


@dataclass(frozen=True)
class Sample:
    """Repeats of one measurement."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def text(self, digits: int = 1) -> str:
        """The median, with the least and the greatest where there were several."""
        middle = f"{self.median:,.{digits}f}"
        if len(self.values) == 1:
            return middle
        return f"{middle} ({min(self.values):,.{digits}f} – {max(self.values):,.{digits}f})"


def sample(values: Iterable[float]) -> Sample:
    """The sample of some values."""
    return Sample(tuple(values))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown whose columns line up in a terminal too; numbers stand at the right."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    numeric = [all(_numeric(line[column]) for line in lines[1:]) for column in range(len(head))]

    def row(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        )
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * (width - 1) + (":" if right else "-") for width, right in zip(widths, numeric, strict=True)]
    return "\n".join([row(lines[0]), row(rule), *map(row, lines[1:])])


def page(title: str, method: str, measured: str, command: str, sections: Mapping[str, str], load: float) -> str:
    """A page of docs/measurements: what was done and how, on which machine, and what came out.

    `load` is the load average when the bench began: its own work is no noise.
    """
    machine = table(["machine", ""], [[name, value] for name, value in {**description(load), "edge": measured}.items()])
    parts = [f"# {title}", method.strip(), f"Measured by `{command}`.", machine]
    for heading, text in sections.items():
        parts += [f"## {heading}", text.strip()]
    return "\n\n".join(parts) + "\n"


def publish(name: str, text: str, *, write: bool) -> None:
    """Prints a page, and keeps it as docs/measurements/NAME.md if it is to be kept."""
    sys.stdout.write(text)
    if write:
        PAGES.mkdir(parents=True, exist_ok=True)
        file = PAGES / f"{name}.md"
        file.write_text(text)
        sys.stdout.write(f"\nwritten to {file.relative_to(ROOT)}\n")


def append_lines(file: Path | None, lines: Iterable[Mapping[str, object]]) -> None:
    """Appends measurements to a file of JSON lines; nothing without a file."""
    if file is None:
        return
    with file.open("a") as out:
        for line in lines:
            out.write(json.dumps(line) + "\n")


def _numeric(cell: str) -> bool:
    return not cell or cell[0].isdigit() or cell[0] in "–<≤-"
