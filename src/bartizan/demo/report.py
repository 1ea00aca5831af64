"""The table of the demo: each request, its verdict, and which rule gave it for what reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bartizan.demo.drive import Answer

QUESTION: Final = (
    "SELECT Action, Description, count() AS Requests, any(ClientRequestPath) AS Example "
    "FROM firewall_events GROUP BY Action, Description ORDER BY Action, Description"
)
"""The same verdicts, asked of the event store."""

_STYLES: Final = {"pass": "green", "log": "cyan", "redirect": "blue", "block": "red", "refuse": "magenta"}


def table(answers: Sequence[Answer]) -> Table:
    """The answers as a table; an unexpected one is marked."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    shown.add_column("request", no_wrap=True, overflow="ellipsis", max_width=48)
    shown.add_column("verdict", no_wrap=True)
    shown.add_column("rule and reason")
    shown.add_column("Ray ID", no_wrap=True)
    for answer in answers:
        verdict = Text(f"{answer.status} {answer.sample.verdict}", _STYLES[answer.sample.verdict])
        if not answer.as_expected:
            verdict = Text(f"{answer.status} {answer.action or 'no rule'}: NOT AS EXPECTED", "bold red")
        request = Text(answer.sample.title).append(f"\n{answer.sample.target}", "dim")
        shown.add_row(request, verdict, _reason(answer), answer.ray_id or "-")
    return shown


def show(answers: Sequence[Answer], console: Console) -> None:
    """Print the table."""
    console.print(table(answers))


def _reason(answer: Answer) -> str:
    if answer.rule:
        return answer.rule
    if answer.sample.raw:
        return "two lengths in one request: refused before any rule"
    if answer.sample.host:
        return "no zone has this name: refused before any rule"
    return ""
