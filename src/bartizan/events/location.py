"""Where an installation keeps its spool: in the state directory, unless the policy in effect says otherwise."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bartizan.layout import StateDirectory


class _Spool(msgspec.Struct):
    dir: str | None = None


class _Edge(msgspec.Struct):
    spool: _Spool = msgspec.field(default_factory=_Spool)


class _Policy(msgspec.Struct):
    edge: _Edge = msgspec.field(default_factory=_Edge)


def spool_directory(state: StateDirectory) -> Path:
    """The directory of the segments. It need not exist yet."""
    try:
        document = msgspec.json.decode(state.current_policy.read_bytes(), type=_Policy)
    except (OSError, msgspec.DecodeError):
        # No policy yet, or one that only its owner reads: the default is where the edge then writes, too.
        return state.spool
    return Path(document.edge.spool.dir) if document.edge.spool.dir else state.spool
