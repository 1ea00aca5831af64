"""One HTTP/1.1 peer of a sink: a connection that is kept, and answers whose meaning is decided by whoever asked."""

from __future__ import annotations

import contextlib
import http.client
import math
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from bartizan.events.sinks.contract import SinkFailed

_ANSWER_BYTES: Final = 1024 * 1024
"""As much of an answer is read; a longer one ends the connection."""

_SHOWN: Final = 300
_LONGEST_WAIT_S: Final = 600.0
"""More than this a peer does not make a sink wait at once: what it said may be a mistake."""


class Answer(NamedTuple):
    """What the peer said."""

    status: int
    body: bytes
    wait_s: float = 0.0
    """How long it wants to be left alone: its `Retry-After`."""

    @property
    def shown(self) -> str:
        """The status and the beginning of what the peer says of it, on one line, for people."""
        text = " ".join(self.body[:_SHOWN].decode(errors="replace").split())
        return f"{self.status} {text}".strip()


class HttpPeer:
    """The peer that a URL names; its path is the prefix of all requests. Raises SinkFailed where that is no URL."""

    def __init__(self, url: str, *, ca_file: str | None = None, timeout_s: float = 30.0) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self.authority = parts.netloc
        self.path = parts.path.rstrip("/")
        self.query = parts.query
        # Without the path and what is behind it, which may hold what should not be said.
        self.name = f"{parts.scheme}://{parts.netloc}"
        self._port = parts.port
        self._timeout_s = timeout_s
        self._context: ssl.SSLContext | None = None
        self._connection: http.client.HTTPConnection | None = None
        if parts.scheme == "https":
            try:
                self._context = ssl.create_default_context(cafile=ca_file)
            except (OSError, ssl.SSLError) as error:
                raise SinkFailed(f"the authorities in {ca_file} cannot be read: {error}", "correct ca_file") from error

    def ask(self, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> Answer:
        """The answer to one request. Raises SinkFailed where there is none: the request may have been carried out."""
        connection = self._connection or self._connect()
        try:
            connection.request(method, target, body, headers)
            with connection.getresponse() as response:
                wait_s = seconds_of(response.headers.get("Retry-After"))
                answer = Answer(response.status, response.read(_ANSWER_BYTES), wait_s)
                whole = not response.read(1)
                lasting = whole and not response.will_close
        except (OSError, http.client.HTTPException) as error:
            self.close()
            reason = str(error) or type(error).__name__
            raise SinkFailed(
                f"{self.name} gives no answer: {reason}", "see whether it runs and can be reached"
            ) from error
        if not lasting:
            self.close()
        return answer

    def close(self) -> None:
        """Ends the connection; the next request begins another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        if self._context is not None:
            self._connection = http.client.HTTPSConnection(
                self.host, self._port, timeout=self._timeout_s, context=self._context
            )
        else:
            self._connection = http.client.HTTPConnection(self.host, self._port, timeout=self._timeout_s)
        return self._connection


def seconds_of(retry_after: str | None) -> float:
    """The seconds that a `Retry-After` asks for (RFC 9110 §10.2.3), as a number or a date; 0 if it asks nothing."""
    if retry_after is None:
        return 0.0
    try:
        # Some servers send fractions, which the grammar does not have.
        wait_s = float(retry_after)
    except ValueError:
        try:
            wait_s = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except ValueError:
            return 0.0
    return min(max(wait_s, 0.0), _LONGEST_WAIT_S) if math.isfinite(wait_s) else 0.0
