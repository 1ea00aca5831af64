"""The versions of a state directory, for those who list them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from bartizan.layout import StateDirectory
from bartizan.policy.effect import has_versions, open_versions

__all__ = ["Entry", "history"]


class Entry(msgspec.Struct, frozen=True):
    """A version as people see it. `diagnostics` is what the edge said about it."""

    id: int
    created_at: datetime
    author: str
    message: str
    digest: str
    status: str
    diagnostics: list[Any]


def history(state: StateDirectory) -> list[Entry]:
    """Every version, newest first. A store that is not there has none, and is not made by asking."""
    if not has_versions(state):
        return []
    with open_versions(state) as versions:
        return [
            Entry(
                each.id,
                each.created_at,
                each.author,
                each.message,
                each.digest,
                each.status,
                msgspec.json.decode(each.diagnostics),
            )
            for each in versions.all()
        ]
