"""The words on the event owner's socket (`run/events.sock`), as `bartizan.control` carries them.

{"command": "query", "sql": ..., "format": "JSONEachRow", "limits": {...}}   ─► {"ok": true, "bytes": n} and n bytes
{"command": "import", "name": ...}                                           ─► {"ok": true, "rows": n}
{"command": "purge", "scope": {...}}                                         ─► {"ok": true, "rows": {...}}
{"command": "status"}                                                        ─► {"ok": true, "status": {...}}
{"command": "stop"}                                                          ─► {"ok": true}
what went wrong                                                              ─► {"ok": false, "error": "..."}
  of a query, asked for in parts, may succeed: "too_large": true
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from bartizan.control import Message, ask_for_bytes
from bartizan.events.delivery import SinkStatus
from bartizan.events.engine import Limits
from bartizan.events.purging import Scope
from bartizan.failure import Failure

_MARGIN_S: Final = 10.0
_INSERT_S: Final = 120.0
_PURGE_S: Final = 24 * 3600.0
"""All parts of the store may have to be written anew."""


class TooLarge(Failure):
    """The answer to a query was too large, or took too much memory; parts of it may not be."""


class Request(msgspec.Struct, omit_defaults=True):
    """What is asked."""

    command: str
    sql: str = ""
    format: str = "JSONEachRow"
    limits: Limits = msgspec.field(default_factory=Limits)
    name: str = ""
    """Of an import."""
    scope: Scope | None = None
    """Of a purge."""


class Status(msgspec.Struct):
    """How the event owner is."""

    process: int
    engine: str
    """"chdb", or "none" where it is not installed."""
    spool: str
    rows_shipped: int
    """Rows in the embedded event store."""
    rows_dropped_by_edge: int
    problem: str
    """What is wrong for all sinks; empty if nothing is."""
    sinks: list[SinkStatus]


def query(socket_file: Path, sql: str, output_format: str, limits: Limits | None = None) -> bytes:
    """The answer of the event store in a ClickHouse format. Raises Failure."""
    limits = limits or Limits()
    request = Request("query", sql, output_format, limits)
    return _ask(socket_file, request, limits.seconds + _MARGIN_S)[1]


def status(socket_file: Path) -> Status:
    """How the event owner is. Raises Failure if none answers."""
    reply, _ = _ask(socket_file, Request("status"), _MARGIN_S)
    try:
        return msgspec.convert(reply.get("status"), Status)
    except msgspec.ValidationError as error:
        raise Failure(f"the event owner at {socket_file} is of another release; restart it ({error})") from error


def take_import(socket_file: Path, name: str) -> int:
    """Has the owner insert the blocks of an import that are in place; how many of its rows have arrived in all.

    Raises Failure.
    """
    reply, _ = _ask(socket_file, Request("import", name=name), _INSERT_S)
    rows = reply.get("rows")
    if not isinstance(rows, int):
        raise Failure(f"the event owner at {socket_file} is of another release; restart it")
    return rows


def purge(socket_file: Path, scope: Scope) -> dict[str, int]:
    """Has the owner delete events from the event store; how many rows of each table went. Raises Failure."""
    reply, _ = _ask(socket_file, Request("purge", scope=scope), _PURGE_S)
    try:
        return msgspec.convert(reply.get("rows"), dict[str, int])
    except msgspec.ValidationError as error:
        raise Failure(f"the event owner at {socket_file} is of another release; restart it ({error})") from error


def stop(socket_file: Path) -> None:
    """Tells the event owner to finish its batch and leave. Raises Failure if none answers."""
    _ask(socket_file, Request("stop"), _MARGIN_S)


def _ask(socket_file: Path, request: Request, timeout_s: float) -> tuple[Message, bytes]:
    try:
        answer = ask_for_bytes(socket_file, msgspec.to_builtins(request), timeout_s=timeout_s)
    except TimeoutError as error:
        raise Failure(f"the event owner at {socket_file} did not answer within {timeout_s:g} s") from error
    except (OSError, ValueError) as error:
        raise Failure(f"the event owner at {socket_file} gave no answer: {error}; its log says why") from error
    if answer is None:
        raise Failure(f"no event owner is running at {socket_file}; `bartizan up` starts it")
    reply, body = answer
    if not reply.get("ok"):
        refused = TooLarge if reply.get("too_large") is True else Failure
        raise refused(str(reply.get("error", f"the event owner at {socket_file} refused and did not say why")))
    return reply, body
