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
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from bartizan.control import ControlServer, Message
from bartizan.edge.data_plane import Edge, PolicyRefused
from bartizan.edge.watch import Watch
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.lock import sole

READY: Final = "ready"
"""First word of the line with which the process says that it serves."""

_STOPS: Final = (signal.SIGTERM, signal.SIGINT)

_log = logging.getLogger("bartizan.edge")


class _Stopped(BaseException):
    """SIGTERM or SIGINT came. Not an Exception: nothing on the way up may take it for an error."""


def run(state: StateDirectory) -> None:
    """Serve the policy of the state directory until SIGTERM, SIGINT or the command `stop`.

    Raises Failure where there is no policy, where it is refused, or where an address cannot be bound.
    """
    _raise_descriptor_limit()
    state.create()
    with sole(state.edge_lock, "an edge", "stop it, or name another state directory with --state"):
        edge = Edge(_policy(state), acme_challenges=state.acme / "challenges", sticky_key=state.sticky_key)
        try:
            for number in _STOPS:
                signal.signal(number, _raise_stopped)
            _start(edge, state)
            with ControlServer(state.edge_socket, Commands(edge, state).answer), Watch(edge):
                _log.info("%s: %s", READY, ", ".join(_addresses(edge)))
                edge.wait()
        except _Stopped:
            _log.info("stopped; the requests in hand were finished first")
        finally:
            edge.stop()


class Commands:
    """What the control socket understands: apply, status, metrics, stop."""

    def __init__(self, edge: Edge, state: StateDirectory) -> None:
        self._edge = edge
        self._state = state
        # Two applies at once would leave it to chance which policy stays.
        self._applying = threading.Lock()

    def answer(self, request: Message) -> Message:
        """The reply to one request."""
        match request["command"]:
            case "apply":
                return self._apply(Path(request.get("file") or self._state.current_policy))
            case "status":
                return {"ok": True, **self._edge.status()}
            case "metrics":
                return {"ok": True, "text": self._edge.metrics()}
            case "stop":
                # As by a signal: the main thread drains, and the process lives for as long as that takes.
                os.kill(os.getpid(), signal.SIGTERM)
                return {"ok": True}
            case unknown:
                return {
                    "ok": False,
                    "error": f"unknown command {unknown!r}; the edge knows apply, status, metrics, stop",
                }

    def _apply(self, file: Path) -> Message:
        try:
            with self._applying:
                report = self._edge.apply(file)
        except OSError as error:
            return {"ok": False, "error": f"cannot read the policy {file}: {error.strerror}"}
        except PolicyRefused as refused:
            return {"ok": False, "diagnostics": msgspec.json.decode(refused.args[1])}
        _log.info("policy %s is in effect (%s zones changed)", report["version"], report["changed_zones"])
        report["diagnostics"] = report.pop("warnings")
        return {"ok": True, **report}


def _policy(state: StateDirectory) -> Path:
    if not state.current_policy.exists():
        raise Failure(f"there is no policy in {state.policy} yet; run `bartizan apply` or `bartizan up`")
    return state.current_policy


def _start(edge: Edge, state: StateDirectory) -> None:
    try:
        edge.start()
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
