"""The proof of an epoch, from the directory of its log: `GET` of `epoch/previous/current` below the directory's URL.

It is read in pieces as it comes and goes straight to whoever decodes it, so that nothing of it is kept twice. Bounded
in bytes and in time; redirects are not followed, as a log says where its proofs are.
"""

from __future__ import annotations

import contextlib
import http.client
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

__all__ = ["Unavailable", "connect", "download"]

_PIECE: Final = 256 * 1024
_SILENCE_S: Final = 30.0
"""A log that says nothing for so long is given up, however much time is left."""


class Unavailable(Exception):  # noqa: N818  named for what it says of the proof
    """The proof cannot be had now. Says why, for people."""


@contextmanager
def download(
    url: str, name: str, *, most_bytes: int, timeout_s: float, ca_file: str | None
) -> Iterator[Iterator[bytes]]:
    """The pieces of a proof, while the block runs. Raises Unavailable, also while the pieces are taken."""
    parts = urlsplit(f"{url.rstrip('/')}/{name}")
    try:
        with contextlib.closing(connect(parts.scheme, parts.netloc, ca_file)) as connection:
            connection.request("GET", parts.path, headers={"Accept": "application/octet-stream"})
            with connection.getresponse() as response:
                if response.status != http.client.OK:
                    answered = f"{response.status} {response.reason}".rstrip()
                    raise Unavailable(f"{_shown(url)} answers {answered} for {name}")
                yield _pieces(response, most_bytes, time.monotonic() + timeout_s)
    except (OSError, http.client.HTTPException) as error:
        reason = str(error) or type(error).__name__
        raise Unavailable(f"{_shown(url)} does not serve {name}: {reason}") from error


def connect(scheme: str, authority: str, ca_file: str | None) -> http.client.HTTPConnection:
    """A connection to an authority; each wait for it is bounded."""
    if scheme == "http":
        return http.client.HTTPConnection(authority, timeout=_SILENCE_S)
    return http.client.HTTPSConnection(
        authority, timeout=_SILENCE_S, context=ssl.create_default_context(cafile=ca_file)
    )


def _pieces(response: http.client.HTTPResponse, most_bytes: int, end: float) -> Iterator[bytes]:
    # As the response was read: None where it is chunked, or ends with the connection. It counts down from here.
    declared = response.length
    if declared is not None and declared > most_bytes:
        raise Unavailable(f"the proof has {declared:,} bytes, and proof_limit_bytes is {most_bytes:,}")
    total = 0
    # read1 gives what has come, so that a trickle is seen as time that passes, and not as a read that waits.
    while piece := response.read1(_PIECE):
        total += len(piece)
        if total > most_bytes:
            raise Unavailable(f"the proof has more than the {most_bytes:,} bytes of proof_limit_bytes")
        if time.monotonic() > end:
            raise Unavailable(f"the proof did not come within proof_timeout_s; {total:,} bytes did")
        yield piece
    if declared is not None and total != declared:
        raise Unavailable(f"the proof was cut off after {total:,} of {declared:,} bytes")


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
