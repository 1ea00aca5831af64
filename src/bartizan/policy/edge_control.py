"""The edge's control socket, as seen by those who change its policy.

One JSON object on a line each way. `{"command": "apply", "file": PATH}` makes the edge read, compile and swap in the
document at PATH; it answers `{"ok": true, "version": 12, "changed_zones": 1, "compile_ms": 3.1, "diagnostics": []}` or
`{"ok": false, "diagnostics": [...]}` and then keeps the policy that it had.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from bartizan.config.native import Diagnostic
from bartizan.control import ask
from bartizan.failure import Failure

__all__ = ["Reply", "apply"]

_ANSWER_S = 60.0
"""How long the edge may compile. A thousand zones take it well under a second."""


class Reply(msgspec.Struct, frozen=True):
    """What the edge says to a policy."""

    ok: bool
    version: int | None = None
    changed_zones: int | None = None
    compile_ms: float | None = None
    diagnostics: list[Diagnostic] = []
    error: str | None = None


def apply(edge_socket: Path, file: Path, version: int) -> Reply | None:
    """Asks the edge to take the policy in a file; None where no edge is running.

    Raises Failure where one runs and gives no answer that can be understood: then it is not known which policy is in
    effect.
    """
    request = {"command": "apply", "file": str(file)}
    try:
        answer = ask(edge_socket, request, timeout_s=_ANSWER_S)
        reply = None if answer is None else msgspec.convert(answer, Reply)
    except OSError as error:
        message = f"the edge at {edge_socket} gives no answer ({error}); look at its log, then apply again"
        raise Failure(message) from error
    except (ValueError, msgspec.MsgspecError) as error:  # not JSON, not an object, or not a reply
        message = f"the edge at {edge_socket} gives an answer of another Bartizan; restart it, then apply again"
        raise Failure(message) from error
    if reply is not None and not reply.ok and not reply.diagnostics:
        raise Failure(f"the edge cannot apply the policy: {reply.error or 'it does not say why'}; look at its log")
    if reply is not None and reply.ok and reply.version != version:
        raise Failure(f"the edge has taken version {reply.version}, not {version}; another apply ran; apply again")
    return reply
