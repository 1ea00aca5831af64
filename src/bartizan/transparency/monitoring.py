"""The monitor process: it looks at the auditors again and again, and tells whoever should know.

`python -m bartizan.transparency.monitoring --state DIR` is how the supervisor starts it.
"""

from __future__ import annotations

import argparse
import http.client
import logging
import os
import sys
import threading
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from bartizan import service
from bartizan.config.transparency import Monitor
from bartizan.control import ControlServer, Message
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.lock import sole
from bartizan.log import to_supervisor
from bartizan.transparency.control import answer, in_effect
from bartizan.transparency.database import now_ms, open_tables, prepare
from bartizan.transparency.download import connect
from bartizan.transparency.models import Finding
from bartizan.transparency.peer import Peer
from bartizan.transparency.watching import KINDS, Watch, findings

__all__ = ["MonitorProcess", "MonitorStatus", "monitor_status", "said", "tell", "watch"]

_ANSWER: Final = 64 * 1024

_log = logging.getLogger("bartizan.transparency")


class MonitorStatus(msgspec.Struct, frozen=True):
    """How a monitor is. `findings` counts them by kind; `failures` says who could not be asked in the last look."""

    process: int
    looked: int | None
    findings: dict[str, int]
    failures: list[str]


class MonitorProcess:
    """Runs until `stop` is called. Raises Failure where another one runs, or its tables cannot be used."""

    def __init__(self, state: StateDirectory, settings: Monitor) -> None:
        self._state = state
        self._settings = settings
        self._stopping = threading.Event()
        self._looked: int | None = None
        self._failures: list[str] = []
        prepare(state)
        with ExitStack() as opened:
            opened.enter_context(sole(state.monitor_lock, "a monitor", "stop it, or use another state directory"))
            self._engine = open_tables(state)
            opened.callback(self._engine.dispose)
            self._opened = opened.pop_all()

    def run(self) -> None:
        """Looks, and tells, until stopped."""
        looking = watch(self._engine, self._settings)
        with self._opened, ControlServer(self._state.monitor_socket, self._answer):
            _log.info("ready: %d auditors are watched", len(self._settings.auditors))
            while True:
                self._once(looking)
                if self._stopping.wait(self._settings.interval_s):
                    return

    def stop(self) -> None:
        """Makes `run` return after the look in hand. For any thread, but no signal handler: it takes a lock."""
        self._stopping.set()

    def status(self) -> MonitorStatus:
        """How it is."""
        return msgspec.structs.replace(
            monitor_status(self._engine), process=os.getpid(), looked=self._looked, failures=self._failures
        )

    def _once(self, looking: Watch) -> None:
        try:
            look = looking.look()
            for finding in look.found:
                _log.error("%s", said(finding))
            for failure in set(look.failures) - set(self._failures):
                _log.warning("%s; asked again in %d s", failure, self._settings.interval_s)
            self._failures = look.failures + tell(self._engine, self._settings)
            self._looked = now_ms()
        except SQLAlchemyError as error:
            _log.error("the tables cannot be used: %s; tried again in %d s", error, self._settings.interval_s)

    def _answer(self, message: Message) -> Message:
        return answer(message, self.status, self.stop)


def watch(engine: Engine, settings: Monitor) -> Watch:
    """What looks at the auditors of the settings."""
    peers = [(Peer(auditor.url, auditor.ca_file), frozenset(auditor.keys)) for auditor in settings.auditors]
    return Watch(
        engine,
        peers,
        settings.namespaces,
        log_delay_ms=settings.log_delay_s * 1000,
        log_ca_file=settings.log_ca_file,
    )


def monitor_status(engine: Engine) -> MonitorStatus:
    """What the tables say, for who asks while no monitor runs."""
    counts = Counter(finding.kind for finding in findings(engine))
    return MonitorStatus(0, None, {kind: counts[kind] for kind in KINDS}, [])


def said(finding: Finding) -> str:
    """A finding in words."""
    return f"{finding.kind}: {finding.namespace} epoch {finding.epoch}, auditor {finding.auditor}: {finding.message}"


def tell(engine: Engine, settings: Monitor) -> list[str]:
    """Posts the findings that the webhook has not taken yet, the oldest first; what went wrong."""
    if settings.webhook is None:
        return []
    with Session(engine) as session:
        untold = session.scalars(select(Finding).where(Finding.told_ms.is_(None)).order_by(Finding.id)).all()
    for finding in untold:
        wrong = _post(settings.webhook, settings.webhook_ca_file, finding)
        if wrong is not None:
            # Those behind it would meet the same.
            return [wrong]
        with Session(engine) as session, session.begin():
            session.get_one(Finding, finding.id).told_ms = now_ms()
    return []


def _post(url: str, ca_file: str | None, finding: Finding) -> str | None:
    parts = urlsplit(url)
    body = msgspec.json.encode(
        {
            "kind": finding.kind,
            "namespace": finding.namespace,
            "epoch": finding.epoch,
            "auditor": finding.auditor,
            "message": finding.message,
            "found": finding.found_ms,
            "evidence": msgspec.Raw(finding.evidence.encode()),
        }
    )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # Without what is behind the host: a webhook's path is often its secret.
    name = f"the webhook at {parts.hostname}"
    try:
        with closing(connect(parts.scheme, parts.netloc, ca_file)) as connection:
            connection.request("POST", target, body, {"Content-Type": "application/json"})
            with connection.getresponse() as response:
                response.read(_ANSWER)
                return None if 200 <= response.status < 300 else f"{name} answers {response.status}"
    except (OSError, http.client.HTTPException) as error:
        return f"{name} gives no answer: {str(error) or type(error).__name__}"


def main() -> int:
    """Runs the monitor of the policy in effect until SIGTERM, SIGINT or `stop` on its socket."""
    parser = argparse.ArgumentParser(prog="python -m bartizan.transparency.monitoring", description="Watches auditors.")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="state directory")
    state = StateDirectory(parser.parse_args().state.absolute())
    log = to_supervisor("monitor")
    return service.run(lambda: MonitorProcess(state, _settings(state)), log)


def _settings(state: StateDirectory) -> Monitor:
    found = in_effect(state).monitor
    if found is None:
        raise Failure("the policy in effect has no [transparency.monitor]; add it to the site file and apply that")
    return found


if __name__ == "__main__":
    sys.exit(main())
