"""The words on the event owner's socket (`run/events.sock`): one JSON line asks, one JSON line answers.

    {"command": "query", "sql": ..., "format": "JSONEachRow", "limits": {...}}   ─► {"ok": true, "bytes": n} and n bytes
    {"command": "status"}                                                        ─► {"ok": true, "status": {...}}
    {"command": "stop"}                                                          ─► {"ok": true}
    what went wrong                                                              ─► {"ok": false, "error": "..."}

The socket is readable by its owner only. An answer's bytes follow its line because a Parquet file is no JSON.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

import msgspec

from bartizan.events.engine import Limits
from bartizan.failure import Failure

MAX_REQUEST_BYTES: Final = 1 << 20
"""A longer request line is refused."""

_MARGIN_S: Final = 10.0


class Request(msgspec.Struct, omit_defaults=True):
    """What is asked."""

    command: str
    sql: str = ""
    format: str = "JSONEachRow"
    limits: Limits = msgspec.field(default_factory=Limits)


class Status(msgspec.Struct):
    """How the event owner is."""

    process: int
    engine: str
    """"chdb", or "none" where it is not installed."""
    spool: str
    rows_shipped: int
    rows_dropped_by_edge: int
    last_shipped_ns: int
    """When the last batch arrived, in nanoseconds since the epoch; 0 if none did since the start."""
    problem: str
    """What keeps it from shipping; empty if nothing does."""


class Reply(msgspec.Struct, omit_defaults=True):
    """What is answered."""

    ok: bool
    error: str = ""
    bytes: int = 0
    status: Status | None = None


def query(socket_file: Path, sql: str, output_format: str, limits: Limits | None = None) -> bytes:
    """The answer of the event store in a ClickHouse format. Raises Failure."""
    limits = limits or Limits()
    request = Request("query", sql, output_format, limits)
    _, body = _ask(socket_file, request, limits.seconds + _MARGIN_S)
    return body


def status(socket_file: Path) -> Status:
    """How the event owner is. Raises Failure if none answers."""
    reply, _ = _ask(socket_file, Request("status"), _MARGIN_S)
    if reply.status is None:
        raise Failure(f"the event owner at {socket_file} answered no status; is it of another release?")
    return reply.status


def stop(socket_file: Path) -> None:
    """Tells the event owner to finish its batch and leave. Raises Failure if none answers."""
    _ask(socket_file, Request("stop"), _MARGIN_S)


def _ask(socket_file: Path, request: Request, timeout_s: float) -> tuple[Reply, bytes]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(socket_file))
            connection.sendall(msgspec.json.encode(request) + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline()
                reply = msgspec.json.decode(line, type=Reply) if line else None
                body = stream.read(reply.bytes) if reply is not None and reply.bytes else b""
        except TimeoutError as error:
            raise Failure(f"the event owner at {socket_file} did not answer within {timeout_s:g} s") from error
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise Failure(f"no event owner is running at {socket_file}; `bartizan up` starts it") from error
        except OSError as error:
            raise Failure(f"the event owner at {socket_file} cannot be asked: {error}") from error
        except msgspec.DecodeError as error:
            raise Failure(f"the event owner at {socket_file} gave an answer that is no reply: {error}") from error
    if reply is None or len(body) != reply.bytes:
        raise Failure(f"the event owner at {socket_file} broke off; its log says why")
    if not reply.ok:
        raise Failure(reply.error)
    return reply, body
