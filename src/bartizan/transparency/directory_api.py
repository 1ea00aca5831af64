"""What a key directory answers over HTTP: its newest root, proofs of what it says, and audit proofs for auditors.

`GET /root`, `/lookup/LABEL`, `/history/LABEL` (labels in hexadecimal digits, proofs in base64) and
`/EPOCH/PREVIOUS/CURRENT`.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Final

import msgspec

from bartizan.failure import Failure
from bartizan.transparency.api import Answer, Request
from bartizan.transparency.directory import Answered, Directory, DirectoryUnusable

__all__ = ["DirectoryApi"]

_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"
_BYTES: Final = "application/octet-stream"


class DirectoryApi:
    """Answers the requests of one directory. Safe to use from several threads."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def answer(self, request: Request) -> Answer:
        """The answer to a request, whatever it is."""
        try:
            return self._answer(request)
        except DirectoryUnusable as unusable:
            return Answer(503, _TEXT, f"{unusable}\n".encode())

    def _answer(self, request: Request) -> Answer:
        path = request.target.partition("?")[0].strip("/")
        if request.method not in ("GET", "HEAD"):
            return Answer(405, _TEXT, b"a directory is only read over HTTP\n")
        match path.split("/"):
            case ["root"]:
                epoch, root = self._directory.root()
                public_key = self._directory.public_key.hex()
                return _json({"epoch": epoch, "root": root.hex(), "public_key": public_key})
            case [("lookup" | "history") as kind, label]:
                return self._proved(kind, label)
            case [_, _, _]:
                proof = self._directory.proof(path)
                if proof is not None:
                    return Answer(200, _BYTES, proof)
        return Answer(404, _TEXT, b"there are /root, /lookup/LABEL, /history/LABEL and /EPOCH/PREVIOUS/CURRENT\n")

    def _proved(self, kind: str, label: str) -> Answer:
        try:
            name = bytes.fromhex(label)
        except ValueError:
            return Answer(400, _TEXT, b"a label is written in hexadecimal digits\n")
        try:
            found: Answered = self._directory.lookup(name) if kind == "lookup" else self._directory.history(name)
        except DirectoryUnusable:
            raise
        except Failure as failure:
            return Answer(404, _TEXT, f"{failure}\n".encode())
        return _json({"epoch": found.epoch, "root": found.root.hex(), "proof": b64encode(found.proof).decode()})


def _json(value: object) -> Answer:
    return Answer(200, _JSON, msgspec.json.encode(value) + b"\n")
