"""Another auditor, or one's own, as its clients see it: what `plexi` asks, asked again and again."""

from __future__ import annotations

import http.client
import re
from contextlib import closing
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from bartizan.transparency.download import Unavailable, connect
from bartizan.transparency.statement import DIGEST, LARGEST_EPOCH, Statement

__all__ = ["Described", "Peer", "PublishedKey", "Verified", "get_json", "is_served"]

_LARGEST: Final = 16 * 1024 * 1024
_SIGNATURE: Final = re.compile(r"[0-9a-f]{128}", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9._~-]{1,255}", re.ASCII)
_Wanted = TypeVar("_Wanted")


class PublishedKey(msgspec.Struct, frozen=True):
    """A key of an auditor, and from when on it signs."""

    public_key: str
    not_before: int


class _Info(msgspec.Struct):
    keys: list[PublishedKey]


class Described(msgspec.Struct, frozen=True):
    """A namespace as an auditor describes it."""

    name: str
    status: str
    root: str | None = None
    log_directory: str | None = None


class _Namespaces(msgspec.Struct):
    namespaces: list[Described]


class _Signed(msgspec.Struct):
    namespace: str
    timestamp: int
    epoch: int
    digest: str
    signature: str
    version: int | None = None
    ciphersuite: int | None = None
    key_id: int | None = None


class Verified(msgspec.Struct, frozen=True):
    """What an auditor says that it has verified last."""

    epoch: int
    start_hash: str
    end_hash: str


class Peer:
    """An auditor at a URL. What it answers is checked for its form alone. Every method raises Unavailable."""

    def __init__(self, url: str, ca_file: str | None) -> None:
        self.url = url.rstrip("/")
        self._ca_file = ca_file

    def published_keys(self) -> list[PublishedKey]:
        """Its keys, past and present."""
        keys = self._needed("/info", _Info).keys
        return [key for key in keys if DIGEST.fullmatch(key.public_key)]

    def namespaces(self) -> list[str]:
        """The names of its public namespaces."""
        listed = self._needed("/namespaces", _Namespaces).namespaces
        return [each.name for each in listed if _NAME.fullmatch(each.name)]

    def namespace(self, name: str) -> Described | None:
        """A namespace; None where it has none of the name."""
        return self._asked(f"/namespaces/{name}", Described)

    def statement(self, name: str, epoch: int) -> tuple[Statement, int | None] | None:
        """What it signed of an epoch, and the id of the key; None where it signed nothing."""
        path = f"/namespaces/{name}/audits/{epoch}"
        found = self._asked(path, _Signed)
        if found is None:
            return None
        ciphersuite = found.ciphersuite if found.ciphersuite is not None else found.version
        numbers = (found.timestamp, found.epoch)
        formed = DIGEST.fullmatch(found.digest) and _SIGNATURE.fullmatch(found.signature) and ciphersuite is not None
        if not formed or ciphersuite is None or not all(0 <= number <= LARGEST_EPOCH for number in numbers):
            raise Unavailable(f"{self.url}{path} is no statement with a signature")
        statement = Statement(
            ciphersuite=ciphersuite,
            namespace=found.namespace,
            timestamp=found.timestamp,
            epoch=found.epoch,
            digest=found.digest,
            signature=found.signature,
        )
        return statement, found.key_id

    def last_verified(self, name: str) -> Verified | None:
        """The newest epoch up to which it has verified every proof; None where there is none."""
        return self._asked(f"/namespaces/{name}/last-verified-epoch", Verified)

    def _needed(self, path: str, wanted: type[_Wanted]) -> _Wanted:
        found = self._asked(path, wanted)
        if found is None:
            raise Unavailable(f"{self.url}{path} is not there; is that an auditor?")
        return found

    def _asked(self, path: str, wanted: type[_Wanted]) -> _Wanted | None:
        return get_json(f"{self.url}{path}", self._ca_file, wanted)


def get_json(url: str, ca_file: str | None, wanted: type[_Wanted]) -> _Wanted | None:
    """What is at a URL, as JSON; None where nothing is. Raises Unavailable."""
    status, content = _get(url, ca_file)
    if status == http.client.NOT_FOUND:
        return None
    if status != http.client.OK:
        raise Unavailable(f"{url} answers {status}")
    try:
        return msgspec.json.decode(content, type=wanted)
    except msgspec.MsgspecError as error:
        raise Unavailable(f"{url} cannot be understood: {error}") from error


def is_served(log_directory: str, name: str, ca_file: str | None) -> bool:
    """Whether a log serves a proof of this name. Raises Unavailable where it does not say."""
    url = f"{log_directory.rstrip('/')}/{name}"
    status, _ = _get(url, ca_file, most=0)
    if status not in (http.client.OK, http.client.NOT_FOUND):
        raise Unavailable(f"{log_directory} answers {status} for {name}")
    return status == http.client.OK


def _get(url: str, ca_file: str | None, most: int = _LARGEST) -> tuple[int, bytes]:
    parts = urlsplit(url)
    try:
        with closing(connect(parts.scheme, parts.netloc, ca_file)) as connection:
            connection.request("GET", parts.path, headers={"Accept": "application/json, application/octet-stream"})
            with connection.getresponse() as response:
                content = response.read(most) if most else b""
                if most and response.read(1):
                    raise Unavailable(f"{parts.scheme}://{parts.netloc} answers with more than {most:,} bytes")
                return response.status, content
    except (OSError, http.client.HTTPException) as error:
        reason = str(error) or type(error).__name__
        raise Unavailable(f"{parts.scheme}://{parts.netloc} gives no answer: {reason}") from error
