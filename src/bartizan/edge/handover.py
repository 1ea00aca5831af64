"""One edge takes the place of another: a new release of Bartizan, or a new supervisor, without a request that fails.

    new ── hand_over ─► old      the listening sockets, the lock of the edge and that of the spool come back
    new                          compiles the policy and accepts from the same sockets
    new ── leave ─────► old      which ends what it has in hand, tells its clients to come again, and goes

Until `leave` the old one serves as ever: if the new one does not come up it stays, as if nothing had been. The locks
are passed on held, so that at no moment a third process finds them free.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable
from typing import Final, NamedTuple, Self

from bartizan.control import Conversation, Message, Passed
from bartizan.edge.data_plane import Edge
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.lock import owner, release, sign

_ANSWER_S: Final = 20.0

_log = logging.getLogger("bartizan.edge")


class Handed(NamedTuple):
    """What came from the edge before."""

    edge_lock: int
    spool_lock: int | None
    sockets: list[int]


class Predecessor:
    """The edge that serves from a state directory, once it has handed over; a context manager."""

    def __init__(self, process: int, conversation: Conversation, handed: Handed) -> None:
        self.process = process
        self.handed = handed
        self._conversation = conversation

    @classmethod
    def find(cls, state: StateDirectory) -> Predecessor | None:
        """The edge that runs here, with what it handed over. Raises Failure where one runs and does not."""
        process = owner(state.edge_lock)
        if process is None:
            return None
        try:
            conversation = Conversation(state.edge_socket, timeout_s=_ANSWER_S)
            reply, descriptors = conversation.ask({"command": "hand_over", "process": os.getpid()})
        except (OSError, ValueError) as error:
            raise Failure(_refused(process, str(error))) from error
        if not reply.get("ok"):
            raise Failure(_refused(process, str(reply.get("error"))))
        edge_lock, *rest = descriptors
        spool_lock = rest.pop(0) if reply["spool"] else None
        return cls(process, conversation, Handed(edge_lock, spool_lock, rest))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Without `leave` before, this is how it learns, with the end of this process, that it stays.
        self._conversation.__exit__()

    def leave(self) -> None:
        """Tells it to go, now that this process serves."""
        sign(self.handed.edge_lock)
        try:
            self._conversation.ask({"command": "leave"})
        except (OSError, ValueError) as error:
            _log.warning("the edge before (process %d) was told to leave and did not answer: %s", self.process, error)


class Successors:
    """Answers `hand_over` and `leave` on the side of the edge that is asked. `stay` is called if the other one died."""

    def __init__(self, edge: Edge, lock: int, *, leave: Callable[[], None], stay: Callable[[], None]) -> None:
        self._edge = edge
        self._lock = lock
        self._leave = leave
        self._stay = stay
        self._left = threading.Event()
        self._asking = threading.Lock()
        self._successor: int | None = None

    def hand_over(self, request: Message) -> Message | Passed:
        """What the process of the request needs to take this edge's place."""
        process = request.get("process")
        if not isinstance(process, int):
            return {"ok": False, "error": 'say who asks, as in {"command": "hand_over", "process": 4711}'}
        with self._asking:
            if self._successor is not None:
                return {"ok": False, "error": f"process {self._successor} is taking this edge's place already"}
            try:
                watched = os.pidfd_open(process)
            except (OSError, OverflowError) as error:
                return {"ok": False, "error": f"there is no process {process}: {error}"}
            try:
                sockets, spool_lock = self._edge.hand_over()
            except OSError as error:
                os.close(watched)
                return {"ok": False, "error": str(error)}
            self._successor = process
        threading.Thread(target=self._watch, args=(watched,), name="successor", daemon=True).start()
        descriptors = [os.dup(self._lock), *([] if spool_lock is None else [spool_lock]), *sockets]
        return Passed({"ok": True, "spool": spool_lock is not None}, descriptors)

    def leave(self) -> Message:
        """Ends this edge in favour of the one that was handed over to."""
        with self._asking:
            if self._successor is None:
                return {"ok": False, "error": "nothing was handed over; `stop` ends this edge"}
            self._left.set()
            release(self._lock)
        _log.info("process %d serves in the place of this edge, which ends what it has in hand", self._successor)
        self._leave()
        return {"ok": True}

    def _watch(self, watched: int) -> None:
        """Waits for the end of the other process; if that comes before it said `leave`, this edge stays."""
        poll = select.poll()
        poll.register(watched, select.POLLIN)
        poll.poll()
        os.close(watched)
        with self._asking:
            if self._left.is_set():
                return
            _log.error("process %d, which was to serve in the place of this edge, has ended; it stays", self._successor)
            self._successor = None
            sign(self._lock)
            try:
                self._edge.stay()
            except (OSError, RuntimeError) as error:
                _log.error("events of this edge may be late: %s", error)
            self._stay()


def _refused(process: int, why: str) -> str:
    return f"an edge (process {process}) runs here and does not hand over ({why}); stop it: kill {process}"
