"""docs/reference/metrics.md, made from the tables of metrics: `python -m bartizan.supervisor.reference`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from bartizan._native import metrics_table
from bartizan.supervisor.measures import MEASURES

PAGE: Final = Path("docs/reference/metrics.md")

_INTRODUCTION: Final = """\
# Metrics

Made from `crates/edge/src/metrics.rs` and `src/bartizan/supervisor/measures.py` by `python -m
bartizan.supervisor.reference`; do not edit it. All are in Prometheus' text format.

`bartizan up --monitor 127.0.0.1:9419` listens for whoever watches; nothing listens unless you say so. Whoever reaches
that address may read, so keep it on a private one. It answers GET and HEAD:

| path | |
| --- | --- |
| `/metrics` | All that stands below. |
| `/healthz` | 200 while the supervisor does its work, 503 when starting it again is all that helps. |
| `/readyz` | 200 while an edge serves, 503 while none does or it is about to stop: for load balancers. |

Both answer with a JSON object: `status`, and `problems` by process.
"""

_OF_THE_EDGE: Final = """
## The edge

Also from `bartizan metrics`, `bartizan.Edge.metrics()` and the command `metrics` on `run/edge.sock`.
"""

_OF_THE_SUPERVISOR: Final = """
## Processes, events and key transparency

The numbers of the auditor are there while it runs, from `bartizan transparency auditor serve --monitor` too.
"""

_HEAD: Final = """
| metric | kind | label | |
| --- | --- | --- | --- |
"""


class Metric(msgspec.Struct, frozen=True):
    """A number that the edge counts."""

    name: str
    kind: str
    label: str | None
    help: str


def metrics() -> list[Metric]:
    """Every metric, once for each name."""
    found = msgspec.json.decode(metrics_table(), type=list[Metric])
    return list({metric.name: metric for metric in found}.values())


def markdown() -> str:
    """The page."""
    own = [Metric(measure.name, measure.kind, measure.label, measure.help) for measure in MEASURES]
    return _INTRODUCTION + _OF_THE_EDGE + _table(metrics()) + _OF_THE_SUPERVISOR + _table(own)


def _table(rows: Iterable[Metric]) -> str:
    lines = (f"| `{m.name}` | {m.kind} | {f'`{m.label}`' if m.label else ''} | {m.help} |\n" for m in rows)
    return _HEAD + "".join(lines)


if __name__ == "__main__":
    PAGE.write_text(markdown(), encoding="utf-8")
