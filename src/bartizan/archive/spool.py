"""Rows of a spool directory, also while an edge writes there."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bartizan._native import SpoolBatch, SpoolReader
from bartizan.archive.rows import InBatches
from bartizan.failure import Failure

_BATCH_ROWS: Final = 8192
_BATCH_BYTES: Final = 4 * 1024 * 1024

_log = logging.getLogger("bartizan.archive")


class SpoolSource(InBatches):
    """The rows of the segments that are there when reading begins. Raises Failure where there is no such directory.

    What an edge writes meanwhile to the last of them is read too; rows that stand for others say so by
    `SampleInterval`.
    """

    def __init__(self, directory: Path) -> None:
        if not directory.is_dir():
            raise Failure(f"there is no spool at {directory}; name the state directory of an edge that has run")
        super().__init__(lambda _: self._batches())
        self._directory = directory

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"the spool {self._directory}"

    def _batches(self) -> Iterator[SpoolBatch]:
        try:
            segments = SpoolReader.segments(self._directory)
            if not segments:
                return
            reader = SpoolReader(self._directory, "oldest")
            while (batch := reader.next_batch(_BATCH_ROWS, _BATCH_BYTES)) is not None:
                for trouble in reader.take_troubles():
                    _log.warning("%s", trouble)
                if batch.range[1] > segments[-1]:
                    return
                yield batch
            for trouble in reader.take_troubles():
                _log.warning("%s", trouble)
        except OSError as error:
            raise Failure(str(error.args[-1])) from error
