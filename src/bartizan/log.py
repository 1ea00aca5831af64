"""How a process of ours speaks to whoever started it: lines on stderr, each begun by its priority.

The prefix is that of systemd's sd-daemon(3), `<4>` for a warning, so that the supervisor and the journal both
understand it, and a person who starts a process by hand still reads plain lines. For the supervisor, which asks for it
by an environment variable, what follows the prefix is a JSON object: the message, and beside it what the message says
by the keys of `KEYS`, so that programs need not read sentences.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from contextvars import ContextVar
from typing import Any, Final, TypedDict, Unpack

PRIORITIES: Final = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}
"""Syslog priority of each level (RFC 5424 §6.2.1)."""

KEYS: Final = {
    "time": "When it was said (RFC 3339, UTC).",
    "process": "Who says it: `supervisor`, `edge`, `events`, `transparency`, `monitor` or `certificates`.",
    "level": "`debug`, `info`, `warning`, `error` or `critical`.",
    "message": "What is said, for people. Its words may change with a release; those of the other keys do not.",
    "exception": "The traceback, where there is one.",
    "sink": "The sink that it is about.",
    "zone": "The zone that it is about.",
    "subject": "The process that it is about, where another one says it.",
    "problem": "What is wrong, without what surrounds it in the message.",
    "way_out": "What a person can do about it.",
    "wait_s": "Seconds until the next attempt.",
    "rows": "How many rows of events it is about.",
    "policy_version": "Version of the policy that it is about.",
    "zones": "How many zones that policy has.",
    "changed_zones": "How many of them are new or other than before.",
    "listening": "Addresses that are listened on: objects of `address` and `tls`.",
}
"""All keys of log lines for programs, in the order of docs/guide/operations.md. The first four are in every line."""


class Keys(TypedDict, total=False):
    """What a line may say beside time, process, level and message, as `KEYS` explains it."""

    exception: str
    sink: str
    zone: str
    subject: str
    problem: str
    way_out: str
    wait_s: float
    rows: int
    policy_version: int
    zones: int
    changed_zones: int
    listening: list[dict[str, Any]]


ASKED: Final = "BARTIZAN_LOG"
"""Environment variable: `objects` where the supervisor reads the lines."""

_about: ContextVar[Keys] = ContextVar("_about")


def saying(**keys: Unpack[Keys]) -> dict[str, Keys]:
    """The `extra` of a log call that says by keys what its message says in words."""
    return {"keys": keys}


def about(**keys: Unpack[Keys]) -> None:
    """Puts these keys on all that this thread says from now on."""
    _about.set(keys)


class _Prefixed(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        priority = PRIORITIES.get(record.levelno, 6)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


class _Objects(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        keys = {"message": record.getMessage(), **_about.get({}), **getattr(record, "keys", {})}
        if record.exc_info:
            keys["exception"] = self.formatException(record.exc_info)
        return f"<{PRIORITIES.get(record.levelno, 6)}>{json.dumps(keys, default=str)}"


def to_supervisor(process: str) -> logging.Logger:
    """The logger of a process that the supervisor starts. What nobody catches is logged, too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Objects() if os.environ.get(ASKED) == "objects" else _Prefixed("%(message)s"))
    logger = logging.getLogger("bartizan")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    own = logger.getChild(process)
    sys.excepthook = lambda kind, error, trace: own.critical("ends by an error", exc_info=(kind, error, trace))
    threading.excepthook = lambda raised: own.error(
        "a thread ended by an error: %s", raised.exc_value, exc_info=raised.exc_value
    )
    return own
