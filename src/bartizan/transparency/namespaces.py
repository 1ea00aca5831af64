"""The namespaces: a log that is audited, who may publish its epochs, and in which state it is.

`Initialization` until the first epoch, `Online` from then on, `Disabled` when its log was lost or cut: read-only, and
for good as far as its publishers are concerned.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import Engine, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bartizan.transparency.database import now_ms
from bartizan.transparency.models import Epoch, Namespace
from bartizan.transparency.refusal import Refused
from bartizan.transparency.statement import CIPHERSUITES, DIGEST, LARGEST_EPOCH

__all__ = ["Namespaces", "NewNamespace", "Stated", "parse_root"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", re.ASCII)
_ROOT: Final = re.compile(r"(0|[1-9][0-9]{0,18})/([0-9a-f]{64})", re.ASCII)
_URL_LENGTH: Final = 2000


class NewNamespace(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace that somebody asks for. `publishers` are names in certificates, `log_keys` public keys of the log."""

    name: str
    ciphersuite: int
    root: str | None = None
    log_directory: str | None = None
    public: bool = True
    publishers: tuple[str, ...] = ()
    log_keys: tuple[str, ...] = ()


class Stated(msgspec.Struct, frozen=True):
    """A namespace as it is."""

    id: int
    name: str
    status: str
    root: str | None
    ciphersuite: int
    log_directory: str | None
    public: bool
    publishers: tuple[str, ...]
    log_keys: tuple[str, ...]
    created: int
    last_epoch: int | None


class Namespaces:
    """The namespaces of one auditor."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> list[Stated]:
        """Every namespace, by name."""
        with Session(self._engine) as session:
            return [_stated(row) for row in session.scalars(select(Namespace).order_by(Namespace.name))]

    def find(self, name: str) -> Stated:
        """The namespace of a name. Raises Refused where there is none."""
        with Session(self._engine) as session:
            row = session.scalar(select(Namespace).where(Namespace.name == name))
        if row is None:
            raise Refused(404, "not_found", f'there is no namespace "{name}"')
        return _stated(row)

    def add(self, new: NewNamespace) -> Stated:
        """Adds a namespace. Raises Refused where it is not well formed, or there is one of its name."""
        _check(new)
        row = Namespace(
            name=new.name,
            status="Initialization",
            root=new.root,
            ciphersuite=new.ciphersuite,
            log_directory=new.log_directory,
            public=new.public,
            publishers=msgspec.json.encode(new.publishers).decode(),
            log_keys=msgspec.json.encode(new.log_keys).decode(),
            created_ms=now_ms(),
            last_epoch=None,
        )
        try:
            with Session(self._engine) as session, session.begin():
                session.add(row)
        except IntegrityError:
            raise Refused(409, "exists", f'there is a namespace "{new.name}" already; its name is taken') from None
        return self.find(new.name)

    def disable(self, name: str) -> Stated:
        """Makes a namespace read-only. One that is so already stays so."""
        return self._change(name, "Disabled")

    def enable(self, name: str) -> Stated:
        """Lets epochs be published again, from where they ended."""
        return self._change(name, "Initialization" if self.find(name).last_epoch is None else "Online")

    def look_in(self, name: str, log_directory: str) -> Stated:
        """Sets where proofs are fetched from. Epochs that had none to wait for wait now."""
        found = self.find(name)
        _check_directory(log_directory)
        with Session(self._engine) as session, session.begin():
            session.execute(update(Namespace).where(Namespace.id == found.id).values(log_directory=log_directory))
            waiting = update(Epoch).where(Epoch.namespace_id == found.id, Epoch.proof == "signed")
            session.execute(waiting.values(proof="waiting", not_before_ms=0))
        return self.find(name)

    def verified_to(self, namespace: Stated) -> int | None:
        """The epoch up to which every proof is good; None where there is no epoch."""
        if namespace.last_epoch is None:
            return None
        with Session(self._engine) as session:
            open_ones = [
                session.scalar(
                    select(func.min(Epoch.epoch)).where(Epoch.namespace_id == namespace.id, Epoch.proof == proof)
                )
                for proof in ("signed", "waiting", "claimed", "refused")
            ]
        first = min((epoch for epoch in open_ones if epoch is not None), default=None)
        return namespace.last_epoch if first is None else first - 1

    def _change(self, name: str, status: str) -> Stated:
        found = self.find(name)
        with Session(self._engine) as session, session.begin():
            session.execute(update(Namespace).where(Namespace.id == found.id).values(status=status))
        return self.find(name)


def parse_root(root: str) -> tuple[int, str]:
    """Epoch and digest of a root as it is written. Raises Refused where it is none."""
    found = _ROOT.fullmatch(root)
    if found is None or int(found[1]) > LARGEST_EPOCH:
        raise Refused(400, "malformed", f'root is "{root}"; it must be EPOCH/DIGEST, the digest 64 small hex digits')
    return int(found[1]), found[2]


def _check(new: NewNamespace) -> None:
    if not _NAME.fullmatch(new.name):
        message = f'name is "{new.name}"; it must be 1 to 255 letters, digits, ".", "_" and "-", as in log.example'
        raise Refused(400, "malformed", message)
    if new.ciphersuite not in CIPHERSUITES:
        message = f"ciphersuite is {new.ciphersuite}; it must be 1 (Protocol Buffers) or 2 (bincode)"
        raise Refused(400, "malformed", message)
    if new.root is not None:
        parse_root(new.root)
    if new.log_directory is not None:
        _check_directory(new.log_directory)
    for key in new.log_keys:
        if not DIGEST.fullmatch(key):
            raise Refused(400, "malformed", f'log key "{key}" is not 64 small hex digits')
    for publisher in new.publishers:
        if not publisher.isprintable() or not 0 < len(publisher) <= 255:
            raise Refused(400, "malformed", "a publisher is a name in a certificate, 1 to 255 printable characters")


def _check_directory(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= _URL_LENGTH
    if not usable or not plain or "?" in url or "#" in url or "@" in url:
        message = "log_directory must be an http or https URL without query and user, as in https://log.example/proofs"
        raise Refused(400, "malformed", message)


def _stated(row: Namespace) -> Stated:
    return Stated(
        row.id,
        row.name,
        row.status,
        row.root,
        row.ciphersuite,
        row.log_directory,
        row.public,
        msgspec.json.decode(row.publishers, type=tuple[str, ...]),
        msgspec.json.decode(row.log_keys, type=tuple[str, ...]),
        row.created_ms,
        row.last_epoch,
    )
