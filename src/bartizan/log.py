"""How a process of ours speaks to whoever started it: lines on stderr, each begun by its priority.

The prefix is that of systemd's sd-daemon(3), `<4>` for a warning, so that the supervisor and the journal both
understand it, and a person who starts a process by hand still reads plain lines.
"""

from __future__ import annotations

import logging
import sys
from typing import Final

PRIORITIES: Final = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}
"""Syslog priority of each level (RFC 5424 §6.2.1)."""


class _Prefixed(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        priority = PRIORITIES.get(record.levelno, 6)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def to_supervisor(process: str) -> logging.Logger:
    """The logger of a process that the supervisor starts."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Prefixed("%(message)s"))
    logger = logging.getLogger("bartizan")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    return logger.getChild(process)
