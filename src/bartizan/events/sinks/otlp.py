"""OpenTelemetry traces: each request's spans, posted to a collector by OTLP/HTTP in its JSON form.

At least once: a post whose answer was lost is repeated, with the same span ids and the same `Bartizan-Batch`. What the
protocol says of answers is followed where it is about the data (OTLP 1.x, "OTLP/HTTP Response"): 429, 502, 503 and 504
are tried again, after as long as `Retry-After` says; a partial success never is; every other refusal sets the requests
of that post aside. Where the settings are wrong (401, 403, 404, a redirect) the events wait in the spool for a person.
"""

from __future__ import annotations

import gzip
import itertools
import logging
from typing import Any, Final

import msgspec

from bartizan import __version__
from bartizan._native import SpoolBatch
from bartizan.config.sinks import Otlp
from bartizan.events.sinks.contract import ROWWISE_BYTES, ROWWISE_ROWS, SOON_S, RowsRefused, SinkFailed
from bartizan.events.sinks.http import Answer, HttpPeer
from bartizan.events.sinks.https import way_out
from bartizan.events.sinks.secret import reveal
from bartizan.events.sinks.spans import Request, attributes, requests, spans, weight

_PATH: Final = "/v1/traces"
_AGAIN: Final = frozenset({429, 502, 503, 504})
_SETTINGS: Final = frozenset({301, 302, 303, 307, 308, 401, 403, 404, 405, 407})
_REASON: Final = 200

_log = logging.getLogger("bartizan.events")


class _PartialSuccess(msgspec.Struct, rename="camel"):
    # Numbers of 64 bits are text in JSON of Protobuf, or numbers.
    rejected_spans: int | str = 0
    error_message: str = ""


class _Answered(msgspec.Struct, rename="camel"):
    partial_success: _PartialSuccess | None = None


class OtlpSink:
    """Posts the spans of requests to the collector of the settings."""

    batch_rows = ROWWISE_ROWS
    batch_bytes = ROWWISE_BYTES
    pause_s = SOON_S

    def __init__(self, settings: Otlp) -> None:
        self._settings = settings
        self._peer = HttpPeer(settings.url, ca_file=settings.ca_file, timeout_s=float(settings.timeout_s))
        self._target = (self._peer.path or _PATH) + (f"?{self._peer.query}" if self._peer.query else "")
        self._headers = dict(settings.headers)
        self._headers |= {name: reveal(secret) for name, secret in settings.secret_headers.items()}
        self._headers["Content-Type"] = "application/json"
        if settings.compression == "gzip":
            self._headers["Content-Encoding"] = "gzip"

    def insert(self, batch: SpoolBatch, token: str) -> None:
        """Posts the spans of the batch; the rows of a post that is refused for good are set aside."""
        chosen = ((request, weight(request, self._settings.ratio)) for request in requests(batch))
        kept = [(request, stands_for) for request, stands_for in chosen if stands_for]
        refused: dict[str, str] = {}
        edge = batch.range[0]
        for number, first in enumerate(range(0, len(kept), self._settings.rows_per_request)):
            some = kept[first : first + self._settings.rows_per_request]
            reason = self._post(some, edge, f"{token}-{number}")
            refused |= {request.ray: reason for request, _ in some if reason}
        if refused:
            rows = batch.json_rows("http_requests")
            rays = (request.ray for request in requests(batch))
            raise RowsRefused(
                [(table, row, refused[ray]) for (table, row), ray in zip(rows, rays, strict=True) if ray in refused]
            )

    def close(self) -> None:
        """Ends the connection."""
        self._peer.close()

    def _post(self, some: list[tuple[Request, float]], edge: str, name: str) -> str:
        """Posts the spans of some requests; why they were refused for good, empty if they were not."""
        found = list(itertools.chain.from_iterable(spans(*each) for each in some))
        content = msgspec.json.encode(self._document(found, edge))
        body = gzip.compress(content, mtime=0) if self._settings.compression == "gzip" else content
        answer = self._peer.ask("POST", self._target, self._headers | {"Bartizan-Batch": name}, body)
        if answer.status in _AGAIN or answer.status in _SETTINGS:
            raise SinkFailed(f"{self._peer.name} answered {answer.shown}", way_out(answer.status), answer.wait_s)
        if not 200 <= answer.status < 300:
            return f"{self._peer.name} answered {answer.shown}"[:_REASON]
        return self._partly(answer, len(found))

    def _partly(self, answer: Answer, sent: int) -> str:
        """What a partial success is: which spans were rejected is not said, unless it was all of them."""
        try:
            told = msgspec.json.decode(answer.body or b"{}", type=_Answered).partial_success or _PartialSuccess()
            rejected = int(told.rejected_spans)
        except (ValueError, msgspec.DecodeError):
            # The status says that they are taken; in which words is its own affair.
            return ""
        if rejected >= sent:
            return f"{self._peer.name} rejected all spans: {told.error_message}"[:_REASON]
        if rejected or told.error_message:
            said = " ".join(told.error_message.split())[:_REASON]
            _log.warning("%s took %d of %d spans and says: %s", self._peer.name, sent - rejected, sent, said)
        return ""

    def _document(self, found: list[dict[str, Any]], edge: str) -> dict[str, Any]:
        """An `ExportTraceServiceRequest`."""
        own = {
            "service.name": self._settings.service_name,
            "service.instance.id": edge,
            "service.version": __version__,
        }
        scope = {"name": "bartizan.edge", "version": __version__}
        resource = {"attributes": attributes(dict(self._settings.resource) | own)}
        return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": found}]}]}
