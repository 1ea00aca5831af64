"""An edge of one thread, and one exchange with it, read to its end and not for a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.client import connect, read_answer
from tests.e2e.conftest import RunningEdge, zone


def edge_of_one_thread(origin: str, spool: Path, limits: dict[str, int] | None = None, **more: Any) -> RunningEdge:
    """An edge with one pool of connections to its origin, so that what one request leaves behind the next one finds."""
    settings = {
        "listen": [{"address": "127.0.0.1:0"}],
        "threads": 1,
        "limits": limits or {},
        "spool": {"dir": str(spool)},
    }
    return RunningEdge({"format": 1, "version": 1, "edge": settings, "zones": [zone(origin, **more)]})


def send(port: int, data: bytes, method: bytes = b"GET") -> tuple[bytes, bool]:
    """`read_answer` for what is sent on a connection of its own."""
    with connect(port) as connection:
        connection.sendall(data)
        return read_answer(connection, method)
