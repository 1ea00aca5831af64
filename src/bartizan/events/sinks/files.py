"""Files in a directory: `DIR/http_requests/EDGE-SEGMENT-START-END.ndjson`, one for each range and event table.

Exactly once by the name: a range has one name, a file is put in place whole (written beside, fsynced, renamed), and a
repetition replaces it with the same rows. Whoever reads the directory sees whole files only.
"""

from __future__ import annotations

from pathlib import Path

from bartizan._native import SpoolBatch
from bartizan.config.sinks import Files
from bartizan.durable import remove_abandoned, replace
from bartizan.events.sinks.contract import FULL_BYTES, FULL_ROWS, SinkFailed
from bartizan.events.sinks.encoding import Encoder


class FilesSink:
    """Writes batches as files below the directory of the settings."""

    batch_rows = FULL_ROWS
    batch_bytes = FULL_BYTES

    def __init__(self, settings: Files) -> None:
        self.pause_s = float(settings.every_s)
        self._directory = Path(settings.dir)
        self._encoder = Encoder(settings.datasets, settings.format, settings.compression)
        self._prepared: set[Path] = set()

    def insert(self, batch: SpoolBatch, token: str) -> None:
        """Puts the files of the batch in place."""
        for table, content in self._encoder.files(batch):
            directory = self._directory / table
            try:
                self._prepare(directory)
                replace(directory / f"{token}{self._encoder.suffix}", content)
            except OSError as error:
                way_out = "make room, or give the user of Bartizan the right to write there"
                raise SinkFailed(f"cannot write in {directory}: {error.strerror}", way_out) from error

    def close(self) -> None:
        """Nothing is open between batches."""

    def _prepare(self, directory: Path) -> None:
        """Makes the directory, and takes away what an earlier process left half-written there."""
        if directory not in self._prepared:
            directory.mkdir(parents=True, exist_ok=True)
            remove_abandoned(directory)
            self._prepared.add(directory)
