"""A log collector behind a URL: each POST carries NDJSON, as Logpush does to an HTTP destination.

At least once: a request whose answer was lost is sent again, and nothing in HTTP tells the two apart. The header
`Bartizan-Batch` names the range and the part of it, the same each time, for a collector that wants to.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Final

from bartizan._native import SpoolBatch
from bartizan.config.sinks import DATASETS, Https
from bartizan.events.sinks.contract import ROWWISE_BYTES, ROWWISE_ROWS, SOON_S, RowsRefused, SinkFailed
from bartizan.events.sinks.http import Answer, HttpPeer
from bartizan.events.sinks.secret import reveal

_REFUSED: Final = frozenset({400, 413, 415, 422})
"""Answers that would be the same to the same rows for ever."""

_REASON: Final = 200


class HttpsSink:
    """Posts batches to the URL of the settings."""

    batch_rows = ROWWISE_ROWS
    batch_bytes = ROWWISE_BYTES
    pause_s = SOON_S

    def __init__(self, settings: Https) -> None:
        self._settings = settings
        self._datasets = settings.datasets or list(DATASETS)
        self._peer = HttpPeer(settings.url, ca_file=settings.ca_file, timeout_s=float(settings.timeout_s))
        self._target = (self._peer.path or "/") + (f"?{self._peer.query}" if self._peer.query else "")
        self._headers = dict(settings.headers)
        self._headers |= {name: reveal(secret) for name, secret in settings.secret_headers.items()}
        self._headers["Content-Type"] = "application/x-ndjson"
        if settings.compression == "gzip":
            self._headers["Content-Encoding"] = "gzip"

    def insert(self, batch: SpoolBatch, token: str) -> None:
        """Posts the rows of the batch, table by table; those of a request that is refused for good are set aside."""
        refused: list[tuple[str, str, str]] = []
        for table in self._datasets:
            for number, lines in enumerate(self._requests(batch, table)):
                answer = self._post(lines, {"Bartizan-Batch": f"{token}-{number}", "Bartizan-Dataset": table})
                if answer.status in _REFUSED:
                    reason = f"{self._peer.name} answered {answer.shown}"[:_REASON]
                    refused += [(table, line.decode(), reason) for line in lines.splitlines()]
                elif not 200 <= answer.status < 300:
                    raise SinkFailed(
                        f"{self._peer.name} answered {answer.shown}", way_out(answer.status), answer.wait_s
                    )
        if refused:
            raise RowsRefused(refused)

    def close(self) -> None:
        """Ends the connection."""
        self._peer.close()

    def _requests(self, batch: SpoolBatch, table: str) -> Iterator[bytes]:
        """The rows of a table in pieces as large as one request may be."""
        lines = (batch.ndjson(table) or b"").splitlines(keepends=True)
        most = self._settings.rows_per_request
        for first in range(0, len(lines), most):
            yield b"".join(lines[first : first + most])

    def _post(self, lines: bytes, more: dict[str, str]) -> Answer:
        body = gzip.compress(lines, mtime=0) if self._settings.compression == "gzip" else lines
        return self._peer.ask("POST", self._target, self._headers | more, body)


def way_out(status: int) -> str:
    """What a person can do about an answer of this status."""
    match status:
        case 401 | 403:
            return "correct the secret in secret_headers"
        case 404 | 405:
            return "correct the url"
        case 300 | 301 | 302 | 303 | 307 | 308:
            return "name the url that it redirects to; redirects are not followed"
    return "its operator can tell why"
