"""docs/reference/metrics.md, made from the table of metrics: `python -m bartizan.edge.reference`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from bartizan._native import metrics_table

PAGE: Final = Path("docs/reference/metrics.md")

_INTRODUCTION: Final = """\
# Metrics

Made from `crates/edge/src/metrics.rs` by `python -m bartizan.edge.reference`; do not edit it. `bartizan metrics`,
`bartizan.Edge.metrics()` and the command `metrics` on `run/edge.sock` give them in Prometheus' text format.

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
    rows = [f"| `{m.name}` | {m.kind} | {f'`{m.label}`' if m.label else ''} | {m.help} |\n" for m in metrics()]
    return _INTRODUCTION + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(markdown(), encoding="utf-8")
