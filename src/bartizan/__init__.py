"""Bartizan: a self-hosted application-security and privacy edge.

    import bartizan

    bartizan.Edge({"format": 1, ...}).serve()

The names here are the Python API; everything else is reached through the command `bartizan`. They are imported on first
use, so that a command which needs none of them pays for none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bartizan.edge import Edge
    from bartizan.failure import Failure
    from bartizan.rules import Request

__all__ = ["Edge", "Failure", "Request", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name == "Edge":
        from bartizan.edge import Edge

        return Edge
    if name == "Failure":
        from bartizan.failure import Failure

        return Failure
    if name == "Request":
        from bartizan.rules import Request

        return Request
    raise AttributeError(f"module 'bartizan' has no attribute {name!r}")
