"""How long an edge may take to finish the requests in hand, before whoever waits for it thinks that it hangs."""

from __future__ import annotations

from typing import Final

import msgspec

from bartizan.config.native import limits
from bartizan.layout import StateDirectory

_LIMIT: Final = "drain_timeout_ms"

_MARGIN_S: Final = 10.0
"""To close what the drain left, write its events and leave."""


class _Edge(msgspec.Struct):
    limits: dict[str, int] = {}


class _Policy(msgspec.Struct):
    edge: _Edge = msgspec.field(default_factory=_Edge)


def edge_grace_s(state: StateDirectory) -> float:
    """Seconds that an edge of this state directory may take to leave: its policy's `drain_timeout_ms`, and a margin."""
    default = next(limit.default for limit in limits() if limit.name == _LIMIT)
    try:
        policy = msgspec.json.decode(state.current_policy.read_bytes(), type=_Policy)
    except (OSError, msgspec.MsgspecError):
        policy = _Policy()
    return policy.edge.limits.get(_LIMIT, default) / 1000 + _MARGIN_S
