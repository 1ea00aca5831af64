"""A directory that is served is also asked, and published in, by commands: over its control socket.

One process has a directory at a time. While `bartizan transparency directory serve` is the one, `publish`, `lookup`,
`history` and `root` are its work.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any, Final, Self

import msgspec

from bartizan.control import ControlServer, Message, ask
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.transparency.directory import Answered, Directory, Root

__all__ = ["ServedDirectory", "serve_commands"]

_PATIENCE_S: Final = 600.0
"""For an answer: an epoch of many labels takes a while."""


class ServedDirectory:
    """The directory of a state directory, as another process has it. Raises Failure where that refuses."""

    def __init__(self, state: StateDirectory, root: Message) -> None:
        self._state = state
        self.public_key = bytes.fromhex(root["public_key"])
        """What clients verify answers with."""

    @classmethod
    def of(cls, state: StateDirectory) -> Self | None:
        """The directory that a process serves; None where none does."""
        root = _asked(state, {"command": "root"})
        return None if root is None else cls(state, root)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def root(self) -> Root:
        """The newest epoch."""
        return _root(self._needed({"command": "root"}))

    def publish(self, updates: Sequence[tuple[bytes, bytes]]) -> Root:
        """Publishes labels with their values as the next epoch, durably."""
        written = [(b64encode(label).decode(), b64encode(value).decode()) for label, value in updates]
        return _root(self._needed({"command": "publish", "updates": written}))

    def lookup(self, label: bytes) -> Answered:
        """The proof of the value that a label has."""
        return self._proved("lookup", label)

    def history(self, label: bytes) -> Answered:
        """The proof of all values that a label had."""
        return self._proved("history", label)

    def _proved(self, command: str, label: bytes) -> Answered:
        reply = self._needed({"command": command, "label": b64encode(label).decode()})
        return Answered(b64decode(reply["proof"]), *_root(reply))

    def _needed(self, request: Message) -> Message:
        reply = _asked(self._state, request)
        if reply is None:
            raise Failure("the process that served the key directory has ended; try again")
        return reply


def serve_commands(state: StateDirectory, directory: Directory) -> ControlServer:
    """Answers commands while it is entered."""

    def answer(message: Message) -> Message:
        try:
            return {"ok": True, **_answered(directory, message)}
        except Failure as failure:
            return {"ok": False, "error": str(failure)}
        except (ValueError, TypeError, KeyError) as error:
            return {"ok": False, "error": f"the command is not understood: {error}"}

    return ControlServer(state.directory_socket, answer)


def _answered(directory: Directory, message: Message) -> Message:
    match message["command"]:
        case "root":
            return {**_written(directory.root()), "public_key": directory.public_key.hex()}
        case "publish":
            updates = msgspec.convert(message["updates"], list[tuple[str, str]])
            return _written(directory.publish([(b64decode(label), b64decode(value)) for label, value in updates]))
        case "lookup":
            return _proof(directory.lookup(b64decode(message["label"])))
        case "history":
            return _proof(directory.history(b64decode(message["label"])))
        case unknown:
            raise Failure(f"there is no command {unknown!r}; use root, publish, lookup or history")


def _asked(state: StateDirectory, request: Message) -> dict[str, Any] | None:
    try:
        reply = ask(state.directory_socket, request, timeout_s=_PATIENCE_S)
    except (OSError, ValueError) as error:
        raise Failure(f"the key directory at {state.directory_socket} gives no answer: {error}") from error
    if reply is not None and not reply["ok"]:
        raise Failure(str(reply["error"]))
    return reply


def _root(reply: Message) -> Root:
    return Root(reply["epoch"], bytes.fromhex(reply["root"]))


def _written(root: Root) -> Message:
    return {"epoch": root.epoch, "root": root.root.hex()}


def _proof(found: Answered) -> Message:
    return {**_written(Root(found.epoch, found.root)), "proof": b64encode(found.proof).decode()}
