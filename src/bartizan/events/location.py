"""What the event owner takes from the policy in effect: where events are spooled, and how long they are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from bartizan.events.retention import Retention
from bartizan.layout import StateDirectory


class _Spool(msgspec.Struct):
    dir: str | None = None


class _Events(Retention, frozen=True):
    client_ip: Literal["full", "truncated", "hashed"] = "full"


class _Edge(msgspec.Struct):
    spool: _Spool = msgspec.field(default_factory=_Spool)
    events: _Events = _Events()


class _Policy(msgspec.Struct):
    edge: _Edge = msgspec.field(default_factory=_Edge)


def spool_directory(state: StateDirectory) -> Path:
    """The directory of the segments, in the state directory unless the policy says otherwise. It need not exist yet."""
    named = _settings(state).spool.dir
    return Path(named) if named else state.spool


def retention(state: StateDirectory) -> Retention:
    """How long the policy in effect wants events kept."""
    events = _settings(state).events
    return Retention(events.days, events.columns)


def client_addresses(state: StateDirectory) -> Literal["full", "truncated", "hashed"]:
    """How events keep the addresses of clients, as the policy in effect says."""
    return _settings(state).events.client_ip


def _settings(state: StateDirectory) -> _Edge:
    try:
        return msgspec.json.decode(state.current_policy.read_bytes(), type=_Policy).edge
    except (OSError, msgspec.DecodeError):
        # No policy yet, or one that only its owner reads: the defaults are what the edge then goes by, too.
        return _Edge()
