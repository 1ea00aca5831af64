"""S3 and what speaks its protocol: an object for each range of the spool and event table.

Exactly once by the key: a range has one key, an object is there whole or not at all, and a repetition replaces it with
the same rows. Requests are signed with AWS Signature Version 4, the body's digest included, so that a body that was
changed on the way is refused.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from bartizan._native import SpoolBatch
from bartizan.config.sinks import S3
from bartizan.events.sinks.contract import FULL_BYTES, FULL_ROWS, SinkFailed
from bartizan.events.sinks.encoding import Encoder
from bartizan.events.sinks.http import HttpPeer
from bartizan.events.sinks.secret import reveal

_ALGORITHM: Final = "AWS4-HMAC-SHA256"

_EXPECTATIONS: Final = {
    301: "correct the region",
    400: "correct the region, and see that the clock of this machine is right",
    403: "correct access_key_id and secret_access_key, or give them the right to put objects",
    404: "make the bucket, or correct its name and the endpoint",
}


class S3Sink:
    """Puts batches as objects into the bucket of the settings."""

    batch_rows = FULL_ROWS
    batch_bytes = FULL_BYTES

    def __init__(self, settings: S3) -> None:
        self.pause_s = float(settings.every_s)
        self._settings = settings
        self._secret = reveal(settings.secret_access_key)
        self._encoder = Encoder(settings.datasets, settings.format, settings.compression)
        self._peer = HttpPeer(settings.endpoint, ca_file=settings.ca_file, timeout_s=float(settings.timeout_s))

    def insert(self, batch: SpoolBatch, token: str) -> None:
        """Puts the objects of the batch."""
        for table, content in self._encoder.files(batch):
            key = f"{self._settings.prefix}{table}/{token}{self._encoder.suffix}"
            path = quote(f"{self._peer.path}/{self._settings.bucket}/{key}", safe="/-_.~")
            headers = signed(
                "PUT",
                self._peer.authority,
                path,
                content,
                region=self._settings.region,
                access_key_id=self._settings.access_key_id,
                secret=self._secret,
                moment=datetime.now(UTC),
            )
            answer = self._peer.ask("PUT", path, headers, content)
            if answer.status != 200:
                way_out = _EXPECTATIONS.get(answer.status, "its operator can tell why")
                raise SinkFailed(f"{self._peer.name} answered {answer.shown}", way_out)

    def close(self) -> None:
        """Ends the connection."""
        self._peer.close()


def signed(
    method: str, host: str, path: str, body: bytes, *, region: str, access_key_id: str, secret: str, moment: datetime
) -> dict[str, str]:
    """The headers of a request without a query, its signature among them (AWS, "Signature Version 4", single chunk)."""
    stamp = f"{moment:%Y%m%dT%H%M%SZ}"
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256(body).hexdigest()
    headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": stamp}
    names = ";".join(sorted(headers))
    listed = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"{method}\n{path}\n\n{listed}\n{names}\n{digest}"
    text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers["authorization"] = (
        f"{_ALGORITHM} Credential={access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return headers
