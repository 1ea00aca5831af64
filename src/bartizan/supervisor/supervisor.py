"""What `bartizan up` does once the site file is applied."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from typing import Any, Final

from bartizan.control import ControlServer, Message, ask
from bartizan.layout import StateDirectory
from bartizan.lock import owner, sole
from bartizan.supervisor import measures
from bartizan.supervisor.attendant import Attendant
from bartizan.supervisor.drain import edge_grace_s
from bartizan.supervisor.lines import Lines
from bartizan.supervisor.monitor import Health, Sources
from bartizan.supervisor.process import Process
from bartizan.supervisor.systemd import Notifier, Watchdog
from bartizan.supervisor.takeover import retire_auditor, retire_events, retire_monitor

EVENTS_GRACE_S: Final = 15.0
AUDITOR_GRACE_S: Final = 15.0

UPGRADE: Final = -1
"""What `run` returns for `upgrade`: its processes live on, and whoever is started anew takes over from them."""

_PATIENCE_S: Final = 3.0
"""How long a process may take to say how it is."""

_TURN_S: Final = 1.0
_LONGEST_APPLY_S: Final = 300.0
"""An apply of more than this is taken for one that will not end."""


class _Wish(Enum):
    STOP = auto()
    APPLY = auto()
    UPGRADE = auto()
    GIVE_UP = auto()


_SIGNALS: Final = {signal.SIGTERM: _Wish.STOP, signal.SIGINT: _Wish.STOP, signal.SIGHUP: _Wish.APPLY}


class Supervisor:
    """Runs the processes of one state directory until SIGTERM, SIGINT or the command `stop` or `upgrade`.

    `apply` is called for SIGHUP and says in lines what became of it; `announce` is called with the edge's status the
    first time that it serves; `notifier` tells the service manager.
    """

    def __init__(
        self,
        state: StateDirectory,
        lines: Lines,
        *,
        apply: Callable[[], None],
        announce: Callable[[Message], None],
        notifier: Notifier,
    ) -> None:
        self._state = state
        self._lines = lines
        self._apply = apply
        self._announce = announce
        self._announced = False
        self._notifier = notifier
        self._turned_at = time.monotonic()
        # SimpleQueue: its put() may be called from a signal handler.
        self._wishes: queue.SimpleQueue[_Wish] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._started_at = time.monotonic()
        self._edge = Process(
            "edge",
            [*self._command("bartizan.edge"), "--take-over"],
            lines,
            on_ready=self._edge_is_ready,
            on_stillborn=lambda: self._wishes.put(_Wish.GIVE_UP),
        )
        self._events = Process("events", self._command("bartizan.events"), lines)
        self._auditor = Attendant(
            lambda: state.current_transparency,
            lambda content: json.loads(content).get("auditor"),
            lambda: Process("transparency", self._command("bartizan.transparency"), lines),
            AUDITOR_GRACE_S,
        )
        self._monitor = Attendant(
            lambda: state.current_transparency,
            lambda content: json.loads(content).get("monitor"),
            lambda: Process("monitor", self._command("bartizan.transparency.monitoring"), lines),
            AUDITOR_GRACE_S,
        )

    def run(self) -> int:
        """Run until asked to stop; the exit code, or `UPGRADE` where the caller is to start its program anew.

        Raises Failure where a process of an earlier supervisor does not make room. The caller holds the supervisor's
        lock.
        """
        before = owner(self._state.edge_lock)
        if before is not None:
            self._say(f"an edge of an earlier Bartizan (process {before}) serves until the new one takes its place")
        retired = retire_events(self._state)
        if retired is not None:
            self._say(f"an event owner of an earlier Bartizan (process {retired}) still ran and has been stopped")
        retired = retire_auditor(self._state)
        if retired is not None:
            self._say(f"an auditor of an earlier Bartizan (process {retired}) still ran and has been stopped")
        retired = retire_monitor(self._state)
        if retired is not None:
            self._say(f"a monitor of an earlier Bartizan (process {retired}) still ran and has been stopped")
        for number, wish in _SIGNALS.items():
            signal.signal(number, self._wish_on_signal(wish))
        # Those that came between an upgrade and here come now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        with ControlServer(self._state.supervisor_socket, self.answer):
            self._edge.start()
            self._events.start()
            self._auditor.start()
            self._monitor.start()
            renewing = threading.Thread(target=self._renew_certificates, name="certificates", daemon=True)
            renewing.start()
            with Watchdog(self._notifier, self._turns):
                while (wish := self._next_wish()) is _Wish.APPLY:
                    self._notifier.reloading()
                    self._apply()
                    self._tell_ready(self._asked(self._state.edge_socket, "status"))
                if wish is _Wish.UPGRADE:
                    self._say("the program is started anew; the edge serves until the new one takes its place")
                    # A signal to the next program must not find it without an answer to it.
                    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
                    return UPGRADE
                return self._stop(failed=wish is _Wish.GIVE_UP)

    def answer(self, request: Message) -> Message:
        """The reply to a request on the control socket: status, apply, upgrade, stop."""
        match request["command"]:
            case "status":
                return {"ok": True, **self.status()}
            case "apply":
                self._wishes.put(_Wish.APPLY)
                return {"ok": True}
            case "upgrade":
                self._wishes.put(_Wish.UPGRADE)
                return {"ok": True}
            case "stop":
                self._wishes.put(_Wish.STOP)
                return {"ok": True}
            case unknown:
                known = "status, apply, upgrade, stop"
                return {"ok": False, "error": f"unknown command {unknown!r}; the supervisor knows {known}"}

    def status(self) -> dict[str, Any]:
        """Process id, seconds since the start, and the status of each process."""
        return {
            "pid": os.getpid(),
            "uptime_s": round(time.monotonic() - self._started_at, 3),
            "processes": self._processes(),
        }

    def pids(self) -> list[int]:
        """The processes that run."""
        return [status["pid"] for status in self._processes() if status["pid"] is not None]

    def _processes(self) -> list[dict[str, Any]]:
        return [self._edge.status(), self._events.status(), *self._auditor.status(), *self._monitor.status()]

    def sources(self) -> Sources:
        """What the private listener answers from."""
        return Sources(self._metrics, self._live, self._ready)

    def _metrics(self) -> str:
        processes = {process["name"]: process for process in self.status()["processes"]}
        edge, events = self._asked(self._state.edge_socket, "metrics"), self._asked(self._state.events_socket, "status")
        samples = measures.of_process("supervisor", os.getpid(), 0, answers=True)
        for name, answer in (("edge", edge), ("events", events)):
            told = processes[name]
            samples += measures.of_process(name, told["pid"], told["restarts"], answers=answer is not None)
        if events is not None:
            samples.extend(measures.of_events(events["status"]))
        if "transparency" in processes:
            told, auditor = processes["transparency"], self._asked(self._state.auditor_socket, "status")
            samples += measures.of_process("transparency", told["pid"], told["restarts"], answers=auditor is not None)
            if auditor is not None:
                samples.extend(measures.of_auditor(auditor["status"]))
        if "monitor" in processes:
            told, monitor = processes["monitor"], self._asked(self._state.monitor_socket, "status")
            samples += measures.of_process("monitor", told["pid"], told["restarts"], answers=monitor is not None)
            if monitor is not None:
                samples.extend(measures.of_monitor(monitor["status"]))
        return (edge["text"] if edge is not None else "") + measures.text(samples)

    def _live(self) -> Health:
        # The event owner is no reason to have the service restarted: that would cost visitors what it did not.
        problems = {} if self._edge.alive else {"edge": "given up"}
        return Health(not problems, problems)

    def _ready(self) -> Health:
        edge = self._asked(self._state.edge_socket, "status")
        problems = {} if edge is not None else {"edge": "does not serve"}
        if self._stopping.is_set():
            problems["supervisor"] = "stopping"
        return Health(not problems, problems)

    def _asked(self, socket: Path, command: str) -> Message | None:
        try:
            answer = ask(socket, {"command": command}, timeout_s=_PATIENCE_S)
        except (OSError, ValueError):
            return None
        return answer if answer is not None and answer.get("ok") else None

    def _next_wish(self) -> _Wish:
        """What is asked for next; the loop that waits here is what the watchdog watches."""
        while True:
            self._turned_at = time.monotonic()
            with contextlib.suppress(queue.Empty):
                return self._wishes.get(timeout=_TURN_S)

    def _turns(self) -> bool:
        """Whether the main thread goes round, or is busy with an apply or a stop that is not hopeless yet."""
        return time.monotonic() - self._turned_at < _LONGEST_APPLY_S

    def _tell_ready(self, edge: Message | None) -> None:
        if edge is not None:
            self._notifier.ready(f"Serving policy version {edge.get('policy_version')}, zones: {edge.get('zones')}")

    def _stop(self, *, failed: bool) -> int:
        self._stopping.set()
        self._notifier.stopping()
        self._say("stopping" if failed else "stopping: requests in hand are finished first; once more to stop at once")
        self._edge.ask_to_stop()
        end = time.monotonic() + edge_grace_s(self._state)
        while self._edge.alive and time.monotonic() < end:
            self._turned_at = time.monotonic()
            if self._wished_again():
                self._edge.kill()
                self._events.kill()
                self._auditor.kill()
                self._monitor.kill()
                return 1
        self._edge.stop(0.1)
        self._auditor.stop()
        self._monitor.stop()
        self._events.stop(EVENTS_GRACE_S)
        self._say("stopped")
        return 1 if failed else 0

    def _wished_again(self) -> bool:
        try:
            return self._wishes.get(timeout=0.05) is _Wish.STOP
        except queue.Empty:
            return False

    def _edge_is_ready(self) -> None:
        if self._announced:
            return
        try:
            status = ask(self._state.edge_socket, {"command": "status"})
        except (OSError, ValueError) as error:
            # Its next life may answer; to end here would be to leave it without supervision.
            text = f"the edge is ready and gives no status: {error}"
            self._lines.write("supervisor", "warning", text, {"subject": "edge", "problem": str(error)})
            return
        if status is not None:
            self._announced = True
            self._announce(status)
            self._tell_ready(status)

    def _renew_certificates(self) -> None:
        from bartizan.certificates.acme import Attempt, renewal_loop

        def report(attempt: Attempt) -> None:
            hosts = ", ".join(attempt.hosts)
            if attempt.error is None:
                text = f'zone "{attempt.zone}": new certificate for {hosts}'
                self._lines.write("certificates", "info", text, {"zone": attempt.zone})
            else:
                problem = f'zone "{attempt.zone}": no certificate for {hosts} yet: {attempt.error}'
                self._lines.write("certificates", "error", problem, {"zone": attempt.zone, "problem": attempt.error})

        def complain(text: str) -> None:
            self._lines.write("certificates", "error", text)

        renewal_loop(self._state, self._stopping, report, complain)

    def _wish_on_signal(self, wish: _Wish) -> Callable[..., None]:
        return lambda *_: self._wishes.put(wish)

    def _command(self, module: str) -> list[str]:
        return [sys.executable, "-m", module, "--state", str(self._state.path)]

    def _say(self, text: str) -> None:
        self._lines.write("supervisor", "info", text)


def sole_supervisor(state: StateDirectory) -> Any:
    """The lock that a supervisor holds. Raises Failure, when entered, where another one has it."""
    return sole(state.supervisor_lock, "Bartizan", "stop that one, or name another state directory with --state")
