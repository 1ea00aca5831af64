"""Control sockets: how the processes of one installation speak to each other.

A Unix socket with mode 0600 in `run/` of the state directory; one JSON object on a line is the request, one the reply.
A reply may be followed by bytes that are no JSON (a Parquet file); its key `bytes` then says how many. Only the owner
of the installation can connect, so there is no other authentication.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

Message = dict[str, Any]
"""A request, with the key `command`, or a reply."""


class Passed(NamedTuple):
    """A reply with descriptors for the process that asks. They are closed here once they were sent."""

    reply: Message
    descriptors: Sequence[int]


Handler = Callable[[Message], Message | tuple[Message, bytes] | Passed]
"""What answers a request: a reply, a reply and the bytes behind it, or a reply and descriptors."""

REQUEST_BYTES_MAX: Final = 1 << 20
REPLY_BYTES_MAX: Final = 64 << 20
DESCRIPTORS_AT_ONCE: Final = 200
"""The system passes at most 253 with one message (unix(7), SCM_MAX_FD)."""
_IDLE_S: Final = 60.0
_AGAIN_S: Final = 0.1
_LAST_REPLY_S: Final = 1.0


def ask(path: Path, request: Message, *, timeout_s: float = 5.0) -> Message | None:
    """The reply of whoever listens at `path`; None where nobody does.

    Raises OSError where somebody listens and gives no answer in time, ValueError where the answer is not a JSON object.
    """
    answer = ask_for_bytes(path, request, timeout_s=timeout_s)
    return None if answer is None else answer[0]


def ask_for_bytes(path: Path, request: Message, *, timeout_s: float) -> tuple[Message, bytes] | None:
    """As `ask`, with the bytes behind the reply."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            with _address(path) as address:
                connection.connect(address)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            return None
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as incoming:
            line = incoming.readline(REPLY_BYTES_MAX)
            reply = json.loads(line) if line.endswith(b"\n") else None
            length = reply.get("bytes", 0) if isinstance(reply, dict) else 0
            if not isinstance(length, int):
                raise ValueError(f"{path} answered with {length!r} bytes")  # noqa: TRY004  a peer, not a caller
            body = incoming.read(length)
    if not line.endswith(b"\n") or len(body) != length:
        raise ConnectionResetError(f"{path} closed the connection in the middle of its answer")
    if not isinstance(reply, dict):
        raise ValueError(f"{path} answered with something other than a JSON object")  # noqa: TRY004  a peer, not a caller
    return reply, body


class Conversation:
    """A connection for several requests, on which descriptors may come back. Raises OSError where nobody listens."""

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        with _address(path) as address:
            self._socket.connect(address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, request: Message) -> tuple[Message, list[int]]:
        """The reply, and the descriptors that came with it, which are the caller's to close.

        Raises OSError where there is no answer in time, ValueError where it is not a JSON object.
        """
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        line = b""
        while not line.endswith(b"\n"):
            # One byte at a time: what follows the line carries descriptors, which a larger read would lose.
            more = self._socket.recv(1)
            if not more or len(line) > REQUEST_BYTES_MAX:
                raise ConnectionResetError("the connection was closed in the middle of an answer")
            line += more
        reply = json.loads(line)
        if not isinstance(reply, dict):
            raise ValueError("the answer is something other than a JSON object")  # noqa: TRY004  a peer, not a caller
        descriptors: list[int] = []
        while len(descriptors) < reply.get("descriptors", 0):
            _, passed, _, _ = socket.recv_fds(self._socket, 1, DESCRIPTORS_AT_ONCE)
            if not passed:
                for descriptor in descriptors:
                    os.close(descriptor)
                raise ConnectionResetError("the connection was closed before all descriptors came")
            descriptors += passed
        return reply, descriptors


class ControlServer:
    """Answers requests on a control socket, one thread for each connection, until it is closed.

    `handle` gets each request and returns its reply; a connection stays open for further ones. What `handle` raises
    becomes `{"ok": false, "error": ...}`: a control command cannot end the process that it controls. A request has at
    most `request_bytes`; whoever closes waits at most `last_reply_s` seconds for replies that are being made.
    """

    def __init__(
        self,
        path: Path,
        handle: Handler,
        *,
        request_bytes: int = REQUEST_BYTES_MAX,
        last_reply_s: float = _LAST_REPLY_S,
    ) -> None:
        self._path = path
        self._handle = handle
        self._request_bytes = request_bytes
        self._last_reply_s = last_reply_s
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Under another name until it listens: who finds the socket is answered, and one that the dead left is replaced
        # without a moment in which there is none. Whoever may bind holds the lock file.
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.unlink(missing_ok=True)
        with _address(beside) as address:
            self._socket.bind(address)
        beside.chmod(0o600)
        self._inode = beside.stat().st_ino
        self._socket.listen(16)
        beside.rename(path)
        self._closed = threading.Event()
        self._answering = 0
        self._answered = threading.Condition()
        self._thread = threading.Thread(target=self._accept, name=f"control {path.stem}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop answering and take the socket away. A reply that is being sent is sent: it may be that to `stop`."""
        self._closed.set()
        with contextlib.suppress(OSError):
            # Wakes the thread that waits in accept(), which close() alone would not.
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._answered:
            self._answered.wait_for(lambda: self._answering == 0, self._last_reply_s)
        # A process that took the place of this one listens under the same name.
        if self.is_reachable:
            self._path.unlink(missing_ok=True)

    @property
    def is_reachable(self) -> bool:
        """Whether the path still leads here."""
        try:
            return self._path.stat().st_ino == self._inode
        except OSError:
            return False

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                # Out of descriptors for a moment, mostly. Whoever ends here for good can never be stopped in order.
                self._closed.wait(_AGAIN_S)
                continue
            peer = threading.Thread(target=self._converse, args=(connection,), name="control peer", daemon=True)
            try:
                peer.start()
            except RuntimeError:
                connection.close()

    def _converse(self, connection: socket.socket) -> None:
        connection.settimeout(_IDLE_S)
        with connection, contextlib.suppress(OSError), connection.makefile("rb") as incoming:
            while line := incoming.readline(self._request_bytes):
                if len(line) == self._request_bytes and not line.endswith(b"\n"):
                    why = f"a request has at most {self._request_bytes:,} bytes"
                    _send(connection, ({"ok": False, "error": why}, b""))
                    return
                with self._counted():
                    _send(connection, self._reply(line))

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._answered:
            self._answering += 1
        try:
            yield
        finally:
            with self._answered:
                self._answering -= 1
                self._answered.notify_all()

    def _reply(self, line: bytes) -> tuple[Message, bytes] | Passed:
        try:
            request = json.loads(line)
            if not isinstance(request, dict) or not isinstance(request.get("command"), str):
                why = 'a request is a JSON object with a "command", as in {"command": "status"}'
                return {"ok": False, "error": why}, b""
            reply = self._handle(request)
        except Exception as error:  # noqa: BLE001  see the class: no command may end the process
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}, b""
        return reply if isinstance(reply, tuple) else (reply, b"")


def _send(connection: socket.socket, answer: tuple[Message, bytes] | Passed) -> None:
    """Sends a reply and what follows it: bytes, or descriptors with a byte for each message that carries some."""
    if not isinstance(answer, Passed):
        reply, body = answer
        if body:
            reply = {**reply, "bytes": len(body)}
        connection.sendall(json.dumps(reply).encode() + b"\n" + body)
        return
    descriptors = answer.descriptors
    try:
        line = json.dumps({**answer.reply, "descriptors": len(descriptors)}).encode() + b"\n"
        connection.sendall(line)
        for start in range(0, len(descriptors), DESCRIPTORS_AT_ONCE):
            socket.send_fds(connection, [b"+"], descriptors[start : start + DESCRIPTORS_AT_ONCE])
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """`path` in at most the 107 bytes that a socket address holds, by way of a descriptor of its directory."""
    if len(os.fsencode(path)) <= 107:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
