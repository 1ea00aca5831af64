"""What is wrong with a site file, for the person who has to mend it.

A check makes `Finding`s: the place as a path of keys, and the message. Positions are looked up for all of them at once,
at the end, which makes `Problem`s: one line each, naming file, line, column, the thing, what is wrong and the way out.
"""

from __future__ import annotations

from typing import Literal

import msgspec

type_names = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text in quotes",
    list: "a list",
    dict: "a table",
}
"""How a TOML type is called in a message."""

_SINGULAR = {"rules": "rule", "origins": "origin", "certificates": "certificate", "hosts": "host", "items": "item"}

Path = tuple[str | int, ...]
"""Table keys and array indexes, from the top of the site file."""

Severity = Literal["error", "warning"]


class Finding(msgspec.Struct, frozen=True):
    """One thing wrong, before its line is known."""

    path: Path
    message: str
    at: Literal["key", "value"] = "value"
    severity: Severity = "error"
    gap: bool = False
    """Whether something is missing, which any other mistake in the same table may explain."""
    within: tuple[int, int] | None = None
    """Line and column (from 1) within the text of the value, where the message is about a part of an expression."""
    elsewhere: tuple[str, int] | None = None
    """File and line that hold the place, where it is not the site file but a list that it names."""


class Problem(msgspec.Struct, frozen=True):
    """One thing wrong, as people and `--json` get it."""

    file: str
    line: int
    column: int
    where: str
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        label = "warning: " if self.severity == "warning" else ""
        return f"{self.file}:{self.line}:{self.column}: {label}{self.where}: {self.message}"


class SiteError(Exception):
    """A site file that cannot be used. `problems` holds everything that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def where(path: Path) -> str:
    """What a path is called: `zone "shop" rule 3`, `list "office"`, `edge limits`. The last key is in the message."""
    words: list[str] = []
    steps = list(path)
    match steps:
        case ["zones", str(name), *rest]:
            words, steps = [f'zone "{name}"'], rest
        case ["lists", str(name), *rest]:
            words, steps = [f'list "{name}"'], rest
        case ["sinks", str(name), *rest]:
            words, steps = [f'sink "{name}"'], rest
        case ["rulesets", str(name), *rest]:
            words, steps = [f'ruleset "{name}"'], rest
    while steps:
        step = steps.pop(0)
        if steps and isinstance(steps[0], int):
            ordinal = steps.pop(0)
            words.append(f"{_SINGULAR.get(str(step), step)} {int(ordinal) + 1}")
        elif steps:
            words.append(str(step))
    return " ".join(words) or "site file"


def closest(word: str, known: list[str]) -> str | None:
    """The known word that was probably meant, if any."""
    import difflib

    return next(iter(difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6)), None)


def did_you_mean(word: str, known: list[str]) -> str:
    """`; did you mean "x"?` where a known word is close, else the known words themselves."""
    meant = closest(word, known)
    if meant is not None:
        return f'; did you mean "{meant}"?'
    return f"; known: {', '.join(known)}" if known else ""


def type_name(value: object) -> str:
    """What a TOML value is, in words: `text in quotes ("80")`."""
    name = type_names.get(type(value), type(value).__name__)
    if isinstance(value, str):
        shown = value if len(value) <= 40 else value[:37] + "..."
        return f'text ("{shown}")'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{value}"
    return name
