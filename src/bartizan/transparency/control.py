"""What the auditor and the monitor have in common as processes: where settings stand, what a control socket knows."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from bartizan.config.transparency import Transparency
from bartizan.control import Message
from bartizan.failure import Failure
from bartizan.layout import StateDirectory

__all__ = ["answer", "in_effect"]


def in_effect(state: StateDirectory) -> Transparency:
    """The section of the policy in effect. Raises Failure where there is none that can be read."""
    file = state.current_transparency
    try:
        return msgspec.json.decode(file.read_bytes(), type=Transparency)
    except (OSError, msgspec.MsgspecError) as error:
        raise Failure(f"{file} cannot be understood ({error}); run: bartizan apply") from error


def answer(message: Message, status: Callable[[], msgspec.Struct], stop: Callable[[], None]) -> Message:
    """The reply to a command of a control socket."""
    match message.get("command"):
        case "status":
            try:
                return {"ok": True, "status": msgspec.to_builtins(status())}
            except SQLAlchemyError as error:
                return {"ok": False, "error": f"the database cannot be used: {error}"}
        case "stop":
            stop()
            return {"ok": True}
        case unknown:
            return {"ok": False, "error": f"there is no command {unknown!r}; use status or stop"}
