"""The edge process: the last good policy, a control socket, and nothing that the data plane could wait for.

Starts with everything else down. Only `apply` on the control socket changes its policy, and only to one that compiles.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NoReturn, Self

import msgspec

from bartizan.control import ControlServer, Message, Passed
from bartizan.edge.data_plane import Edge, PolicyRefused
from bartizan.edge.handover import Predecessor, Successors
from bartizan.edge.watch import Watch
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.lock import sole
from bartizan.log import saying

READY: Final = "ready"
"""First word of the line with which the process says that it serves."""

_STOPS: Final = (signal.SIGTERM, signal.SIGINT)

_log = logging.getLogger("bartizan.edge")


class _Stopped(BaseException):
    """SIGTERM or SIGINT came. Not an Exception: nothing on the way up may take it for an error."""


def run(state: StateDirectory, *, take_over: bool = False) -> None:
    """Serve the policy of the state directory until SIGTERM, SIGINT or the command `stop`.

    With `take_over` an edge that serves from it already hands over to this one and leaves. Raises Failure where there
    is no policy, where it is refused, where an address cannot be bound, or where another edge is in the way.
    """
    _raise_descriptor_limit()
    state.create()
    with ExitStack() as held:
        before = Predecessor.find(state) if take_over else None
        if before is None:
            lock = held.enter_context(
                sole(state.edge_lock, "an edge", "stop it, or name another state directory with --state")
            )
        else:
            held.enter_context(before)
            lock = before.handed.edge_lock
            held.callback(os.close, lock)
        edge = Edge(
            _policy(state),
            acme_challenges=state.acme / "challenges",
            sticky_key=state.sticky_key,
            address_key=state.address_key,
            audit_logs=state.audit_logs,
        )
        try:
            for number in _STOPS:
                signal.signal(number, _raise_stopped)
            _start(edge, state, before)
            with Commands(edge, state, lock), Watch(edge):
                if before is not None:
                    before.leave()
                _log.info("%s: %s", READY, ", ".join(_addresses(edge)))
                edge.wait()
        except _Stopped:
            _log.info("stopped; the requests in hand were finished first")
        finally:
            edge.stop()


class Commands:
    """What the control socket understands: apply, status, metrics, hand_over, leave, stop. A context manager."""

    def __init__(self, edge: Edge, state: StateDirectory, lock: int) -> None:
        self._edge = edge
        self._state = state
        # Two applies at once would leave it to chance which policy stays.
        self._applying = threading.Lock()
        self._successors = Successors(edge, lock, leave=self._stop, stay=self._listen_again)
        self._server = ControlServer(state.edge_socket, self.answer)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def answer(self, request: Message) -> Message | Passed:
        """The reply to one request."""
        match request["command"]:
            case "apply":
                return self._apply(Path(request.get("file") or self._state.current_policy))
            case "status":
                return {"ok": True, **self._edge.status()}
            case "metrics":
                return {"ok": True, "text": self._edge.metrics()}
            case "hand_over":
                return self._successors.hand_over(request)
            case "leave":
                return self._successors.leave()
            case "stop":
                self._stop()
                return {"ok": True}
            case unknown:
                known = "apply, status, metrics, hand_over, leave, stop"
                return {"ok": False, "error": f"unknown command {unknown!r}; the edge knows {known}"}

    def _stop(self) -> None:
        # As by a signal: the main thread drains, and the process lives for as long as that takes.
        os.kill(os.getpid(), signal.SIGTERM)

    def _listen_again(self) -> None:
        """Takes the control socket back from a process that died with it."""
        if not self._server.is_reachable:
            self._server.close()
            self._server = ControlServer(self._state.edge_socket, self.answer)
            self._server.__enter__()

    def _apply(self, file: Path) -> Message:
        try:
            with self._applying:
                report = self._edge.apply(file)
        except OSError as error:
            return {"ok": False, "error": f"cannot read the policy {file}: {error.strerror}"}
        except PolicyRefused as refused:
            return {"ok": False, "diagnostics": msgspec.json.decode(refused.args[1])}
        version, changed = report["version"], report["changed_zones"]
        keys = saying(policy_version=version, changed_zones=changed)
        _log.info("policy %s is in effect (%s zones changed)", version, changed, extra=keys)
        report["diagnostics"] = report.pop("warnings")
        return {"ok": True, **report}


def _policy(state: StateDirectory) -> Path:
    if not state.current_policy.exists():
        raise Failure(f"there is no policy in {state.policy} yet; run `bartizan apply` or `bartizan up`")
    return state.current_policy


def _start(edge: Edge, state: StateDirectory, before: Predecessor | None) -> None:
    try:
        if before is None:
            edge.start()
        else:
            edge.take_over(before.handed.sockets, before.handed.spool_lock)
    except PolicyRefused as refused:
        raise Failure(
            f"the policy {state.current_policy} is refused; mend the site file and apply it: {refused.args[0]}"
        ) from None
    except OSError as error:
        raise Failure(str(error)) from None


def _addresses(edge: Edge) -> list[str]:
    return [f"{'https' if tls else 'http'}://{address}" for address, tls in edge.listening]


def _raise_stopped(*_: object) -> NoReturn:
    # Once is enough: another one must not cut off the drain, nor end it with a traceback. A function of our own: Python
    # complains of a signal that came already and is ignored since.
    for number in _STOPS:
        signal.signal(number, lambda *_: None)
    raise _Stopped


def _raise_descriptor_limit() -> None:
    """Allows as many open files as this user may have: each connection is one, and the usual limit is 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
