"""`bartizan metrics`: what the edge counts, in Prometheus' text format or as JSON."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from bartizan.control import Message, ask
from bartizan.failure import Failure
from bartizan.layout import StateDirectory


def metrics(*, site: Path | None, state: Path | None, json: bool) -> int:
    """Prints the metrics of the running edge. Raises Failure where none answers."""
    installation = StateDirectory.locate(state=state, site=site)
    if json:
        samples = _asked(installation, "status")["metrics"]
        sys.stdout.write(msgspec.json.encode(samples).decode() + "\n")
    else:
        sys.stdout.write(_asked(installation, "metrics")["text"])
    return 0


def _asked(installation: StateDirectory, command: str) -> Message:
    try:
        reply = ask(installation.edge_socket, {"command": command})
    except (OSError, ValueError) as error:
        raise Failure(f"the edge at {installation.edge_socket} gives no answer: {error}; look at its log") from error
    if reply is None:
        raise Failure(f"no edge is running at {installation.edge_socket}; `bartizan up` starts it")
    if not reply["ok"]:
        raise Failure(f"the edge at {installation.edge_socket} does not say: {reply.get('error')}; look at its log")
    return reply
