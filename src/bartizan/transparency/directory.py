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
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self

import msgspec

from bartizan._native import KeyDirectory
from bartizan.durable import replace, sync_directory
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.lock import sole
from bartizan.transparency.database import prepare

__all__ = ["Answered", "Directory", "Root"]

_KEY_BYTES: Final = 32


class Root(NamedTuple):
    """An epoch, and the root hash that stands for all of it."""

    epoch: int
    root: bytes


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


class Directory:
    """The directory of a state directory, while the block runs; made by its first use. For any thread: they take turns.

    Raises Failure where another process has it, or its journal is not what it was.
    """

    def __init__(self, state: StateDirectory) -> None:
        self._state = state
        self._place = state.transparency / "directory"
        self._turn = threading.RLock()
        self._lock = sole(state.directory_lock, "a key directory", "stop it, or use another state directory")

    def __enter__(self) -> Self:
        prepare(self._state)
        self._place.mkdir(mode=0o700, exist_ok=True)
        self._lock.__enter__()
        try:
            self._reopen()
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
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
        with self._turn:
            return Root(*self._directory.epoch)

    def is_begun(self) -> bool:
        """Whether anything was ever published here."""
        return self._journal.exists()

    def publish(self, updates: Sequence[tuple[bytes, bytes]]) -> Root:
        """Publishes labels with their values as the next epoch, durably. Raises Failure where they cannot be."""
        with self._turn:
            before = self.root()
            try:
                epoch, root = self._directory.publish(list(updates))
            except ValueError as error:
                raise Failure(f"this cannot be published: {error}") from error
            if epoch == before.epoch:
                # Every label had its value already.
                return before
            written = [(b64encode(label).decode(), b64encode(value).decode()) for label, value in updates]
            self._note(msgspec.json.encode(_Line(epoch, root.hex(), written)) + b"\n")
            try:
                self._write_proof(epoch)
            except OSError as error:
                raise Failure(
                    f"epoch {epoch} is published with the root {root.hex()}, and its proof cannot be written: "
                    f"{error.strerror}; it is written when the directory is next opened"
                ) from error
            return Root(epoch, root)

    def lookup(self, label: bytes) -> Answered:
        """The proof of the value that a label has. Raises Failure where it has none."""
        try:
            with self._turn:
                return Answered(*self._directory.lookup(label))
        except KeyError as error:
            raise Failure(str(error.args[0])) from error

    def history(self, label: bytes) -> Answered:
        """The proof of all values that a label had. Raises Failure where it has none."""
        try:
            with self._turn:
                return Answered(*self._directory.history(label))
        except KeyError as error:
            raise Failure(str(error.args[0])) from error

    def proof(self, name: str) -> bytes | None:
        """An audit proof by its name; None where there is none."""
        epoch, _, _ = name.partition("/")
        if not (epoch.isascii() and epoch.isdigit() and len(epoch) < 20 and 0 < int(epoch) <= self.root().epoch):
            return None
        with self._turn:
            known, proof = self._directory.audit(int(epoch))
        return proof if known == name else None

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
            if self._journal.exists():
                os.truncate(self._journal, length)
            self._reopen()
            raise Failure(f"{self._journal} cannot be written: {error.strerror}; nothing was published") from error

    def _reopen(self) -> None:
        self._directory = KeyDirectory(_key(self._place / "key"))
        self._replay()

    def _replay(self) -> None:
        """Publishes again what the journal has. A last line that is cut off was never answered, and goes."""
        file = self._journal
        content = file.read_bytes() if file.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(file, len(whole))
        for number, text in enumerate(whole.splitlines(), start=1):
            try:
                line = msgspec.json.decode(text, type=_Line)
                updates = [(b64decode(label), b64decode(value)) for label, value in line.updates]
                found = Root(*self._directory.publish(updates))
            except ValueError as error:
                raise Failure(f"{file}:{number}: {error}; bring back a copy of the journal") from error
            if found != (line.epoch, bytes.fromhex(line.root)):
                raise Failure(
                    f"{file}:{number}: epoch {found.epoch} comes to the root {found.root.hex()}, and was published as "
                    f"{line.root}; bring back a copy of the journal and of the key beside it"
                )
            if not self._proof_file(found.epoch).exists():
                self._write_proof(found.epoch)

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
