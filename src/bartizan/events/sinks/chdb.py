"""The embedded event store as a sink. Exactly once: tables and rollups know the tokens of the last inserts."""

from __future__ import annotations

from bartizan._native import SpoolBatch
from bartizan.config.sinks import DATASETS, Chdb
from bartizan.events.engine import Engine
from bartizan.events.sinks.contract import FULL_ROWS, SEGMENT_BYTES, SOON_S


class ChdbSink:
    """Inserts batches into an engine, which answers queries meanwhile and is its owner's to close."""

    batch_rows = FULL_ROWS
    batch_bytes = SEGMENT_BYTES
    pause_s = SOON_S

    def __init__(self, settings: Chdb, engine: Engine) -> None:
        self._engine = engine
        self._datasets = frozenset(settings.datasets or DATASETS)

    def insert(self, batch: SpoolBatch, token: str) -> None:
        """Inserts the rows of `batch` into their tables, once per `token`."""
        self._engine.insert(batch, token, self._datasets)

    def close(self) -> None:
        """The engine stays open."""
