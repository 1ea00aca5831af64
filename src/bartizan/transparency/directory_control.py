"""A directory that is served is also asked, and published in, by commands: over its control socket.

One process has a directory at a time. While `bartizan transparency directory serve` is the one, `publish`, `lookup`,
`history` and `root` are its work.
"""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final, Self

import msgspec

from bartizan.control import ControlServer, Message, ask
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.lock import owner
from bartizan.transparency.directory import Answered, Directory, Published, Root

__all__ = ["ServedDirectory", "key_directory", "serve_commands"]

_PATIENCE_S: Final = 600.0
"""For an answer: an epoch of many labels takes a while."""
_FIRST_ANSWER_S: Final = 60.0
"""For the first one, which tells whether the process answers at all: it may be publishing for somebody else."""
_OPENING_S: Final = 600.0
"""For another process to have opened the directory, whose journal may be long, or to be done with it."""
_AGAIN_S: Final = 0.05
_LAST_REPLY_S: Final = 60.0
"""For publishes that are under way when the process is told to end."""
_REQUEST_BYTES: Final = 64 << 20
"""Of an epoch that is published by way of another process."""


class ServedDirectory:
    """The directory of a state directory, as another process has it. Raises Failure where that refuses."""

    def __init__(self, state: StateDirectory, root: Message) -> None:
        self._state = state
        self.public_key = bytes.fromhex(root["public_key"])
        """What clients verify answers with."""

    @classmethod
    def of(cls, state: StateDirectory) -> Self | None:
        """The directory that a process serves; None where none does."""
        root = _asked(state, {"command": "root"}, _FIRST_ANSWER_S)
        return None if root is None else cls(state, root)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def root(self) -> Root:
        """The newest epoch."""
        return _root(self._needed({"command": "root"}))

    def publish(self, updates: Sequence[tuple[bytes, bytes]]) -> Published:
        """Publishes labels with their values as the next epoch, durably."""
        written = [(b64encode(label).decode(), b64encode(value).decode()) for label, value in updates]
        # Of JSON around each: two strings in a list.
        length = sum(len(label) + len(value) + len('["", ""], ') for label, value in written)
        if length > _REQUEST_BYTES - len('{"command": "publish", "updates": []}\n') - 1:
            raise Failure(
                f"an epoch of {length:,} bytes is more than the {_REQUEST_BYTES:,} that a directory takes while it is "
                "served; publish it in parts, or stop the process that serves it first"
            )
        reply = self._needed({"command": "publish", "updates": written})
        return Published(_root(reply), is_new=reply["is_new"])

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
        reply = _asked(self._state, request, _PATIENCE_S)
        if reply is None:
            raise Failure("the process that served the key directory has ended; try again")
        return reply


@contextmanager
def key_directory(state: StateDirectory) -> Iterator[Directory | ServedDirectory]:
    """The key directory of a state directory, by way of the process that serves it where one does.

    One that another process is about to serve, or has for a command, is waited for. Raises Failure as those two do.
    """
    deadline = time.monotonic() + _OPENING_S
    with ExitStack() as opened:
        found: Directory | ServedDirectory | None = None
        while found is None:
            found = ServedDirectory.of(state)
            try:
                found = found or opened.enter_context(Directory(state))
            except Failure:
                if owner(state.directory_lock) is None or time.monotonic() > deadline:
                    raise
                time.sleep(_AGAIN_S)
        yield found


def serve_commands(state: StateDirectory, directory: Directory) -> ControlServer:
    """Answers commands while it is entered."""

    def answer(message: Message) -> Message:
        try:
            return {"ok": True, **_answered(directory, message)}
        except Failure as failure:
            return {"ok": False, "error": str(failure)}
        except (ValueError, TypeError, KeyError) as error:
            return {"ok": False, "error": f"the command is not understood: {error}"}

    return ControlServer(state.directory_socket, answer, request_bytes=_REQUEST_BYTES, last_reply_s=_LAST_REPLY_S)


def _answered(directory: Directory, message: Message) -> Message:
    match message["command"]:
        case "root":
            return {**_written(directory.root()), "public_key": directory.public_key.hex()}
        case "publish":
            updates = msgspec.convert(message["updates"], list[tuple[str, str]])
            root, is_new = directory.publish([(b64decode(label), b64decode(value)) for label, value in updates])
            return {**_written(root), "is_new": is_new}
        case "lookup":
            return _proof(directory.lookup(b64decode(message["label"])))
        case "history":
            return _proof(directory.history(b64decode(message["label"])))
        case unknown:
            raise Failure(f"there is no command {unknown!r}; use root, publish, lookup or history")


def _asked(state: StateDirectory, request: Message, patience_s: float) -> dict[str, Any] | None:
    try:
        reply = ask(state.directory_socket, request, timeout_s=patience_s)
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
