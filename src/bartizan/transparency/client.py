"""A client of a key directory that believes nothing: each answer is proved to belong to a root that was audited.

    keys = ["606a87..."]                                   # of the auditor, known beforehand
    audited = AuditedRoots("https://auditor.example", "log.example", keys)
    directory = DirectoryClient("https://log.example", public_key, audited)
    directory.lookup(b"alice").value

What is not proved is `DirectoryAnswerRefused`, with the check that refuses it; what cannot be had is `Unavailable`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from bartizan._native import DirectoryAnswerRefused, verify_history, verify_lookup
from bartizan.transparency.download import Unavailable
from bartizan.transparency.peer import Peer, get_json

__all__ = ["AuditedRoots", "DirectoryAnswerRefused", "DirectoryClient", "Unavailable", "Version"]


class Version(msgspec.Struct, frozen=True):
    """A value that a label had: which one it is, counted from 1, and since which epoch."""

    version: int
    epoch: int
    value: bytes


class _Answer(msgspec.Struct):
    epoch: int
    root: str
    proof: bytes


class AuditedRoots:
    """The root hashes that an auditor has signed, by epoch. `keys` are its public keys as hexadecimal digits."""

    def __init__(self, auditor: str, namespace: str, keys: Sequence[str], ca_file: str | None = None) -> None:
        self._peer = Peer(auditor, ca_file)
        self._namespace = namespace
        self._keys = keys

    def __call__(self, epoch: int) -> str:
        """The root hash of an epoch. Raises DirectoryAnswerRefused where no key of the auditor signed one."""
        found = self._peer.statement(self._namespace, epoch)
        if found is None:
            raise DirectoryAnswerRefused("audited", f"the auditor has signed no epoch {epoch} of {self._namespace}")
        statement, _ = found
        signed = (statement.namespace, statement.epoch) == (self._namespace, epoch)
        if not signed or all(statement.refusal(key) is not None for key in self._keys):
            raise DirectoryAnswerRefused(
                "audited", f"epoch {epoch} of {self._namespace} is signed by no key of the auditor"
            )
        return statement.digest


class DirectoryClient:
    """Asks a directory at a URL. `public_key` is its key; `audited` gives the root of an epoch that is trusted."""

    def __init__(self, url: str, public_key: bytes, audited: Callable[[int], str], ca_file: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._public_key = public_key
        self._audited = audited
        self._ca_file = ca_file

    def lookup(self, label: bytes) -> Version:
        """The value that a label has now. Raises KeyError where it has none."""
        answer, root = self._answer("lookup", label)
        return Version(*verify_lookup(self._public_key, answer.epoch, root, label, answer.proof))

    def history(self, label: bytes) -> list[Version]:
        """All values that a label had, the latest first. Raises KeyError where it had none."""
        answer, root = self._answer("history", label)
        found = verify_history(self._public_key, answer.epoch, root, label, answer.proof)
        return [Version(*each) for each in found]

    def _answer(self, kind: str, label: bytes) -> tuple[_Answer, bytes]:
        answer = get_json(f"{self._url}/{kind}/{label.hex()}", self._ca_file, _Answer)
        if answer is None:
            raise KeyError(label)
        root = self._audited(answer.epoch)
        if answer.root != root:
            raise DirectoryAnswerRefused(
                "audited", f"epoch {answer.epoch} has the root {answer.root}, and {root} was audited: a split view"
            )
        return answer, bytes.fromhex(root)
