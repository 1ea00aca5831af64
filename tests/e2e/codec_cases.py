"""The case tables of the HTTP/1 codec, for tests that send them through real sockets."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec

CASES = Path(__file__).resolve().parents[2] / "crates" / "http1" / "tests" / "cases"


class Case(msgspec.Struct, frozen=True):
    """A row of a table, and its defaults as the head of the table names them."""

    name: str
    raw: str
    expect: str
    fill: tuple[str, str, int] | None = None
    request_method: str = "GET"
    method: str = ""
    path: str = ""
    target: str = ""
    host: str = ""
    status: int = 0
    body: str = ""
    rest: str = ""
    closed: bool = False
    keep_alive: bool = True
    interim: bool = False

    @property
    def data(self) -> bytes:
        """What the peer sends."""
        return self.bytes(self.raw)

    def bytes(self, text: str) -> bytes:
        """One byte per character, with the filling repeated."""
        if self.fill:
            mark, filling, times = self.fill
            text = text.replace(mark, filling * times)
        return text.encode("latin-1")


def cases(key: str) -> list[Case]:
    """All rows of the table of `key`, "request" or "response"."""
    rows: list[dict[str, Any]] = tomllib.loads((CASES / f"{key}s.toml").read_text())[key]
    return msgspec.convert(rows, list[Case])
