"""The edge under test: the native data plane in this process, on free ports, one at a time."""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.client import PATIENCE_S

from bartizan import _native

Document = dict[str, Any]


def rule(expression: str, action: str = "block", **more: Any) -> Document:
    """A rule of a policy document."""
    name = hashlib.sha256(f"{action} {expression}".encode()).hexdigest()[:32]
    return {"id": name, "expression": expression, "action": action, **more}


def zone(origin: str | list[str], /, name: str = "shop", **more: Any) -> Document:
    """A zone of a policy document that serves `shop.test`."""
    urls = [origin] if isinstance(origin, str) else origin
    made: Document = {
        "name": name,
        "hosts": ["shop.test"],
        "default": True,
        "origin": {"servers": [{"url": url, "weight": 1} for url in urls]},
    }
    origin_settings = more.pop("origin", {})
    made.update(copy.deepcopy(more))
    made["origin"] |= origin_settings
    return made


class RunningEdge:
    """A started edge and where it listens."""

    def __init__(self, document: Document, options: Document | None = None) -> None:
        """Starts an edge with the policy `document`."""
        self.document = document
        self.native = _native.Edge(json.dumps(options or {}).encode())
        self.native.start(json.dumps(document).encode())
        ports = [(int(address.rsplit(":", 1)[1]), tls) for address, tls in self.native.listening()]
        self.port = next((port for port, tls in ports if not tls), 0)
        self.tls_port = next((port for port, tls in ports if tls), 0)

    def apply(self, document: Document) -> Document:
        """Swaps the policy; the report."""
        report: Document = json.loads(self.native.apply(json.dumps(document).encode()))
        return report

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric, 0 where it was never counted."""
        wanted = name + ("{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}" if labels else "")
        for line in self.native.metrics().splitlines():
            if line.startswith(wanted + " "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def counted(self, value: float, name: str, **labels: str) -> float:
        """The metric once it is `value`: what ends with an answer, or with none, is counted behind that.

        As it is where it does not come to be that.
        """
        end = time.monotonic() + PATIENCE_S
        while (found := self.metric(name, **labels)) != value and time.monotonic() < end:
            time.sleep(0.01)
        return found

    def stop(self, grace_s: float = 0.0) -> None:
        """Stops it."""
        self.native.shutdown(grace_s)


StartEdge = Callable[..., RunningEdge]


@pytest.fixture
def start_edge(tmp_path: Path) -> Iterator[StartEdge]:
    """Starts an edge: `start_edge(zone(...), ..., edge={...}, **document)`. Stopped when the test ends."""
    started: list[RunningEdge] = []

    def start(
        *zones: Document, edge: Document | None = None, options: Document | None = None, **document: Any
    ) -> RunningEdge:
        whole: Document = {
            "format": 1,
            "version": 1,
            "edge": {
                "listen": [{"address": "127.0.0.1:0"}],
                "threads": 2,
                "spool": {"dir": str(tmp_path / "spool")},
                **(edge or {}),
            },
            "zones": list(zones),
            **document,
        }
        running = RunningEdge(whole, options)
        started.append(running)
        return running

    yield start
    for running in started:
        running.stop()
