"""A site file as text: its values, and where in it each of them stands."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from pathlib import Path as FilePath
from typing import Any

from bartizan._native import TomlSpans, TomlSyntaxError, parse_toml
from bartizan.config.problem import Finding, Path, Problem, SiteError, where

__all__ = ["Source", "parse", "read"]


class Source:
    """A parsed site file.

    `data` is its text in UTF-8; `values` are the TOML values as Python has them; `file` is the path as the user named
    it, which is how messages name it; relative paths in the file are relative to `directory`.
    """

    def __init__(self, file: str, data: bytes, values: dict[str, Any], spans: TomlSpans) -> None:
        self.file = file
        self.data = data
        self.values = values
        self.directory = FilePath(file).absolute().parent
        self._spans = spans
        self._kept: dict[Path, list[int]] = {}

    @property
    def text(self) -> str:
        """The text of the file, decoded anew each time: that of a thousand zones is 30 MB."""
        return self.data.decode()

    def shown(self, file: str) -> str:
        """A file that the site file names, as messages name it: beside the site file as the user named that."""
        return str(FilePath(self.file).parent / file)

    def keep(self, path: Path, indexes: list[int]) -> None:
        """Says which items of the array at `path` were kept when others were dropped for their mistakes."""
        self._kept[path] = indexes

    def original(self, path: Path) -> Path:
        """A path into what was kept, as a path into the file."""
        steps: list[str | int] = []
        for step in path:
            kept = self._kept.get(tuple(steps)) if isinstance(step, int) else None
            steps.append(kept[step] if kept is not None and isinstance(step, int) and step < len(kept) else step)
        return tuple(steps)

    def existing(self, path: Path) -> Path:
        """The longest beginning of a path that is in the file."""
        value: Any = self.values
        for depth, step in enumerate(path):
            inside = step in value if isinstance(value, dict) else isinstance(step, int) and isinstance(value, list)
            if not inside or (isinstance(value, list) and not 0 <= int(step) < len(value)):
                return path[:depth]
            value = value[step]
        return path

    def ordinal(self, path: Path) -> int:
        """Which item of its array, from 1, the item at a path is in the file."""
        return int(self.original(path)[-1]) + 1

    def problems(self, findings: list[Finding]) -> list[Problem]:
        """The findings with their places, in the order of the file."""
        if not findings:
            return []
        located = self._spans.locate([finding.path for finding in findings])
        problems = [self._problem(finding, position) for finding, position in zip(findings, located, strict=True)]
        problems.sort(key=lambda problem: (problem.file != self.file, problem.file, problem.line, problem.column))
        return problems

    def _problem(self, finding: Finding, position: tuple[int, int, int, int]) -> Problem:
        key_line, key_column, line, column = position
        file = self.file
        if finding.elsewhere is not None:
            (file, line), column = finding.elsewhere, 1
        elif finding.at == "key":
            line, column = key_line, key_column
        elif finding.within is not None:
            line, column = self._within_text(line, column, *finding.within)
        return Problem(file, line, column, where(finding.path), finding.message, finding.severity)

    def _within_text(self, line: int, column: int, text_line: int, text_column: int) -> tuple[int, int]:
        """Where a place within a TOML string stands in the file; the start of the string where escapes hide it."""
        written = self.text.split("\n", line)
        rest = written[line - 1][column - 1 :]
        quote = rest[:1]
        multiline = rest.startswith(quote * 3)
        opening = 3 if multiline else 1
        begins_below = multiline and rest[3:].strip("\r") == ""
        if quote not in ("'", '"') or (quote == '"' and "\\" in (written[line] if multiline else rest)):
            return line, column
        if text_line == 1 and not begins_below:
            return line, column + opening + text_column - 1
        return line + text_line - 1 + begins_below, text_column


def parse(file: str, data: bytes) -> Source:
    """Parses the text of a site file. Raises `SiteError` with every line that is not TOML, or the first not UTF-8."""
    try:
        values, spans = parse_toml(data)
    except TomlSyntaxError as error:
        raise SiteError(_syntax_problems(file, data.decode(), error.args[0])) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SiteError([Problem(file, line, 1, "site file", "is not UTF-8 here; save the file as UTF-8")]) from None
    return Source(file, data, values, spans)


def read(file: str) -> bytes:
    """The bytes of a site file, without a byte order mark. Raises `SiteError` where it cannot be read."""
    try:
        return FilePath(file).read_bytes().removeprefix(BOM_UTF8)
    except OSError as error:
        message = (
            f"cannot be read ({error.strerror}); name a site file that exists, or write one with: bartizan init URL"
        )
        raise SiteError([Problem(file, 1, 1, "site file", message)]) from None


def _syntax_problems(file: str, text: str, places: list[tuple[int, int, str]]) -> list[Problem]:
    """One problem for each line: what follows the first mistake on a line is mostly its echo."""
    first: dict[int, Problem] = {}
    lines = text.split("\n")
    for line, column, message in places:
        said = _syntax_message(message, lines[line - 1][column - 1 :])
        first.setdefault(line, Problem(file, line, column, "site file", f"not valid TOML: {said}"))
    return list(first.values())


def _syntax_message(message: str, rest: str) -> str:
    """The parser's message, said of what stands there where it says less than it could."""
    if message == "duplicate key":
        found = re.match(r"[\w-]+|\"[^\"]*\"|'[^']*'", rest)
        return f'"{found[0]}" is there twice; leave one of the two out' if found else message
    if message.startswith("string values must be quoted"):
        word = rest.strip()
        return f"text must stand in quotes: {word}" if word else "a value is missing"
    return message
