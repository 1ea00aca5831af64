"""The edge process: the last good policy, a control socket, and nothing that the data plane could wait for.

Starts with everything else down. Only `apply` on the control socket changes its policy, and only to one that compiles.
"""

from __future__ import annotations

import logging
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

_log = logging.getLogger("bartizan.edge")


class _Stopped(BaseException):
    """SIGTERM or SIGINT came. Not an Exception: nothing on the way up may take it for an error."""


def run(state: StateDirectory) -> None:
    """Serve the policy of the state directory until SIGTERM, SIGINT or the command `stop`.

    Raises Failure where there is no policy, where it is refused, or where an address cannot be bound.
    """
    state.create()
    with sole(state.edge_lock, "an edge", "stop it, or name another state directory with --state"):
        edge = Edge(_policy(state), acme_challenges=state.acme / "challenges", sticky_key=state.sticky_key)
        _start(edge, state)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _raise_stopped)
        try:
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
                threading.Thread(target=self._edge.stop, name="stop").start()
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


def _policy(state: StateDirectory) -> bytes:
    try:
        return state.current_policy.read_bytes()
    except FileNotFoundError:
        raise Failure(f"there is no policy in {state.policy} yet; run `bartizan apply` or `bartizan up`") from None


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
    raise _Stopped
