"""A key directory of one's own: labels with values, published in epochs, with proofs of what it says.

It is crate `akd`'s, in memory, in the configuration that Plexi audits. What makes it durable is a journal of what was
published: the same publishes under the same key make the same directory again, and each line says to which root hash it
must come. Its audit proofs are files below `proofs/`, named as an auditor asks for them, for any web server to serve.
"""

from __future__ import annotations

import os
import secrets
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Self

import msgspec

from bartizan._native import KeyDirectory
from bartizan.durable import replace, sync_directory
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.lock import sole
from bartizan.transparency.database import prepare

__all__ = ["Answered", "Directory", "DirectoryUnusable", "Published", "Root"]

_KEY_BYTES: Final = 32


class Root(NamedTuple):
    """An epoch, and the root hash that stands for all of it."""

    epoch: int
    root: bytes


class Published(NamedTuple):
    """What became of a publish: the newest epoch, and whether it is a new one."""

    root: Root
    is_new: bool


class Answered(NamedTuple):
    """A proof of what the directory says of a label, as of an epoch."""

    proof: bytes
    epoch: int
    root: bytes


class _Line(msgspec.Struct):
    """One publish. Labels and values are base64."""

    epoch: int
    root: str
    updates: list[tuple[str, str]]


class DirectoryUnusable(Failure):
    """The directory answers nothing any more; the message says why."""


class Directory:
    """The directory of a state directory, while the block runs; made by its first use. For any thread: they take turns.

    Raises Failure where another process has it, its journal is not what it was, or a proof that is missing cannot be
    written. Everything that it is asked raises DirectoryUnusable once it is closed, or `publish` has said so.
    """

    def __init__(self, state: StateDirectory) -> None:
        self._state = state
        self._place = state.transparency / "directory"
        self._turn = threading.RLock()
        self._unusable = ""
        self._lock = sole(state.directory_lock, "a key directory", "stop it, or use another state directory")

    def __enter__(self) -> Self:
        prepare(self._state)
        self._place.mkdir(mode=0o700, exist_ok=True)
        self._lock.__enter__()
        try:
            self._directory = self._replayed()
            self._write_missing_proofs()
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with self._turn:
            # Whoever publishes has ended, and nobody begins: the next process may write the journal.
            self._unusable = "the key directory is closed"
            self._lock.__exit__(None, None, None)

    @property
    def public_key(self) -> bytes:
        """What clients verify answers with."""
        return self._directory.public_key

    @property
    def proofs(self) -> Path:
        """The directory of the audit proofs."""
        return self._place / "proofs"

    def root(self) -> Root:
        """The newest epoch."""
        with self._opened() as directory:
            return Root(*directory.epoch)

    def is_begun(self) -> bool:
        """Whether anything was ever published here; also of one that is not open."""
        return self._journal.exists() and self._journal.stat().st_size > 0

    def publish(self, updates: Sequence[tuple[bytes, bytes]]) -> Published:
        """Publishes labels with their values as the next epoch, durably. Raises Failure where they cannot be.

        One that cannot be written down was never made. Where the journal cannot be made what it was either, it raises
        DirectoryUnusable, and the directory must be opened anew.
        """
        with self._opened() as directory:
            before, _ = directory.epoch
            try:
                newest = Root(*directory.publish(list(updates)))
            except ValueError as error:
                raise Failure(f"this cannot be published: {error}") from error
            if newest.epoch == before:
                # Every label had its value already.
                return Published(newest, is_new=False)
            written = [(b64encode(label).decode(), b64encode(value).decode()) for label, value in updates]
            self._note(msgspec.json.encode(_Line(newest.epoch, newest.root.hex(), written)) + b"\n")
            try:
                self._write_proof(newest.epoch)
            except OSError as error:
                raise Failure(
                    f"epoch {newest.epoch} is published with the root {newest.root.hex()}, and its proof cannot be "
                    f"written: {error.strerror}; it is written when the directory is next opened"
                ) from error
            return Published(newest, is_new=True)

    def lookup(self, label: bytes) -> Answered:
        """The proof of the value that a label has. Raises Failure where it has none."""
        try:
            with self._opened() as directory:
                return Answered(*directory.lookup(label))
        except KeyError as error:
            raise Failure(str(error.args[0])) from error

    def history(self, label: bytes) -> Answered:
        """The proof of all values that a label had. Raises Failure where it has none."""
        try:
            with self._opened() as directory:
                return Answered(*directory.history(label))
        except KeyError as error:
            raise Failure(str(error.args[0])) from error

    def proof(self, name: str) -> bytes | None:
        """An audit proof by its name; None where there is none."""
        epoch, _, _ = name.partition("/")
        if not (epoch.isascii() and epoch.isdigit() and len(epoch) < 20 and 0 < int(epoch) <= self.root().epoch):
            return None
        with self._opened() as directory:
            known, proof = directory.audit(int(epoch))
        return proof if known == name else None

    @contextmanager
    def _opened(self) -> Iterator[KeyDirectory]:
        with self._turn:
            if self._unusable:
                raise DirectoryUnusable(self._unusable)
            yield self._directory

    @property
    def _journal(self) -> Path:
        return self._place / "journal.ndjson"

    def _note(self, line: bytes) -> None:
        """Writes a publish down. Where that fails it was never made, in memory neither."""
        length = self._journal.stat().st_size if self._journal.exists() else 0
        try:
            with self._journal.open("ab") as journal:
                journal.write(line)
                journal.flush()
                os.fsync(journal.fileno())
            sync_directory(self._place)
        except OSError as error:
            why = f"{self._journal} cannot be written: {error.strerror}"
            self._take_back(length, why)
            raise Failure(f"{why}; nothing was published") from error

    def _take_back(self, length: int, why: str) -> None:
        """Makes journal and directory what they were before a publish of which something may be in either."""
        self._unusable = f"{why}, nor can it be made what it was; make room on the disk, and start the directory anew"
        try:
            if self._journal.exists():
                with self._journal.open("r+b") as journal:
                    journal.truncate(length)
                    os.fsync(journal.fileno())
            self._directory = self._replayed()
        except OSError as error:
            raise DirectoryUnusable(self._unusable) from error
        self._unusable = ""

    def _replayed(self) -> KeyDirectory:
        """What the journal comes to. A last line that is cut off was never answered, and goes."""
        directory = KeyDirectory(_key(self._place / "key"))
        file = self._journal
        content = file.read_bytes() if file.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(file, len(whole))
        for number, text in enumerate(whole.splitlines(), start=1):
            try:
                line = msgspec.json.decode(text, type=_Line)
                updates = [(b64decode(label), b64decode(value)) for label, value in line.updates]
                found = Root(*directory.publish(updates))
            except ValueError as error:
                raise Failure(f"{file}:{number}: {error}; bring back a copy of the journal") from error
            if found != (line.epoch, bytes.fromhex(line.root)):
                raise Failure(
                    f"{file}:{number}: epoch {found.epoch} comes to the root {found.root.hex()}, and was published as "
                    f"{line.root}; bring back a copy of the journal and of the key beside it"
                )
        return directory

    def _write_missing_proofs(self) -> None:
        newest, _ = self._directory.epoch
        for epoch in range(1, newest + 1):
            if self._proof_file(epoch).exists():
                continue
            try:
                self._write_proof(epoch)
            except OSError as error:
                raise Failure(
                    f"the proof of epoch {epoch} is missing below {self.proofs} and cannot be written: {error.strerror}"
                ) from error

    def _proof_file(self, epoch: int) -> Path:
        return self.proofs / self._directory.audit(epoch)[0]

    def _write_proof(self, epoch: int) -> None:
        name, proof = self._directory.audit(epoch)
        file = self.proofs / name
        file.parent.mkdir(parents=True, exist_ok=True)
        # For everybody: an auditor needs no more than a web server on this folder.
        replace(file, proof, 0o644)


def _key(file: Path) -> bytes:
    if not file.exists():
        replace(file, secrets.token_bytes(_KEY_BYTES))
    key = file.read_bytes()
    if len(key) != _KEY_BYTES:
        raise Failure(f"{file} has {len(key)} bytes, and a key has {_KEY_BYTES}; bring back a copy of it")
    return key
