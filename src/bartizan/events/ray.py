"""Everything about one request: its row and those of the rules that acted on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from bartizan._native import SpoolReader
from bartizan.events import control
from bartizan.events.tail import Row
from bartizan.failure import Failure

_RAY: Final = re.compile(r"(?P<ray>[0-9A-Za-z]{1,64})(-\w+)?")
_NEWEST_SEGMENTS: Final = 2


class Found(msgspec.Struct):
    """What is known of a request."""

    ray_id: str
    request: Row
    """Its `http_requests` row; empty where that was dropped or is kept no more: all are written when it ends."""
    firewall_events: list[Row]
    """One row per rule that acted, in the order in which they did."""
    source: str
    """"spool" or "event store"."""


def find(directory: Path, events_socket: Path, ray_header: str) -> Found | None:
    """Looks for a request by its Ray ID, as in the `CF-Ray` header with or without the place behind the dash.

    First in the newest segments, where a request of a moment ago is; then in the event store, which has an index; then,
    if no event owner answers, in the rest of the spool. Raises Failure where the text is no Ray ID, and OSError.
    """
    match = _RAY.fullmatch(ray_header.strip())
    if match is None:
        raise Failure(f"{ray_header!r} is no Ray ID; it is the part of the CF-Ray header before the dash")
    ray_id = match.group("ray")
    segments = SpoolReader.segments(directory)
    newest, older = segments[-_NEWEST_SEGMENTS:], segments[:-_NEWEST_SEGMENTS]
    found = _in_segments(directory, newest, ray_id)
    if found is None:
        try:
            found = _in_store(events_socket, ray_id)
        except Failure:
            found = _in_segments(directory, older, ray_id)
    return found


def _in_segments(directory: Path, segments: list[int], ray_id: str) -> Found | None:
    rows = [entry for segment in segments for entry in _matching(directory, segment, ray_id)]
    requests = [row for table, row in rows if table == "http_requests"]
    acted = [row for table, row in rows if table == "firewall_events"]
    return Found(ray_id, requests[0] if requests else {}, acted, "spool") if rows else None


def _matching(directory: Path, segment: int, ray_id: str) -> Iterator[tuple[str, Row]]:
    reader = SpoolReader(directory, (segment, 0))
    while (batch := reader.next_batch()) is not None and batch.range[1] == segment:
        yield from batch.rows(None, [("RayID", ray_id)])


def _in_store(events_socket: Path, ray_id: str) -> Found | None:
    def rows(table: str, order: str) -> list[Row]:
        sql = f"SELECT * FROM {table} WHERE RayID = '{ray_id}' ORDER BY {order}"  # noqa: S608  letters and digits only
        lines = control.query(events_socket, sql, "JSONEachRow").splitlines()
        return [
            {name: value for name, value in msgspec.json.decode(line).items() if value not in ("", [])}
            for line in lines
        ]

    requests = rows("http_requests", "EdgeStartTimestamp")
    acted = rows("firewall_events", "Datetime, MatchIndex DESC")
    if not requests and not acted:
        return None
    return Found(ray_id, requests[0] if requests else {}, acted, "event store")
