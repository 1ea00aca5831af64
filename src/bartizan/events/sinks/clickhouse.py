"""ClickHouse by URL: the tables, rollups and inserts of the embedded event store, over its HTTP interface.

Events are kept there as long as the site file says, in tables, single columns and rollups, as in the embedded store.

Exactly once by the deduplication token of each insert, as long as the table remembers it: the last 1,000 inserts of all
edges together (`schema.DEDUPLICATION_WINDOW`). Several edges may write to one server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import urlencode

from bartizan._native import SpoolBatch
from bartizan.config.sinks import DATASETS, Clickhouse
from bartizan.events.event_tables import EventTables
from bartizan.events.retention import Retention
from bartizan.events.retention import tables as kept_tables
from bartizan.events.sinks.contract import FULL_ROWS, SEGMENT_BYTES, SOON_S, SinkFailed
from bartizan.events.sinks.http import HttpPeer
from bartizan.events.sinks.secret import reveal

_EXPECTATIONS: Final = {
    401: "correct user and password",
    403: "correct user and password",
    404: "see whether the url is that of ClickHouse's HTTP interface, port 8123 or 8443",
}


class ClickhouseSink:
    """Inserts batches into the server of the settings, where it makes the tables that are missing."""

    batch_rows = FULL_ROWS
    batch_bytes = SEGMENT_BYTES
    pause_s = SOON_S

    def __init__(self, settings: Clickhouse, retention: Callable[[], Retention]) -> None:
        self._retention = retention
        self._kept: Retention | None = None
        self._datasets = frozenset(settings.datasets or DATASETS)
        self._peer = HttpPeer(settings.url, ca_file=settings.ca_file, timeout_s=float(settings.timeout_s))
        self._headers = {"X-ClickHouse-User": settings.user}
        if settings.password is not None:
            self._headers["X-ClickHouse-Key"] = reveal(settings.password)
        try:
            self._tables = EventTables(self._run, retention().days, alone=False)
            self._keep()
        except BaseException:
            self.close()
            raise

    def insert(self, batch: SpoolBatch, token: str) -> None:
        """Inserts the rows of the batch into their tables, once per token."""
        self._keep()
        for insert in self._tables.inserts(batch, token, self._datasets):
            self._ask({"query": insert.statement()}, insert.block)

    def close(self) -> None:
        """Ends the connection."""
        self._peer.close()

    def _keep(self) -> None:
        """Has the server keep events as long as a policy says that took effect since the last time."""
        wanted = self._retention()
        if wanted == self._kept:
            return
        for kept in kept_tables():
            existing = self._run(f"SHOW CREATE TABLE {kept.qualified} FORMAT TSVRaw").decode()
            for statement in kept.changes(wanted, existing):
                self._run(statement)
        self._kept = wanted

    def _run(self, statement: str) -> bytes:
        return self._ask({}, statement.encode())

    def _ask(self, parameters: dict[str, str], body: bytes) -> bytes:
        # The answer waits for the end of the statement: one that fails later cannot say so behind a status of 200.
        target = f"{self._peer.path}/?{urlencode({'wait_end_of_query': '1'} | parameters)}"
        answer = self._peer.ask("POST", target, self._headers, body)
        if answer.status != 200:
            way_out = _EXPECTATIONS.get(answer.status, "the log of the server says more")
            raise SinkFailed(f"{self._peer.name} answered {answer.shown}", way_out)
        return answer.body
