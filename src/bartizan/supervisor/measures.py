"""What the supervisor measures: the table of its metrics, and the text of a scrape.

The edge counts for itself (crates/edge/src/metrics.rs) and the event owner says how its sinks are; this page adds what
only the supervisor sees, the processes, and puts it into one text in Prometheus' exposition format 0.0.4.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple


class Measure(NamedTuple):
    """A metric: its exposed name, whether it only grows, the key of its label, and what it means."""

    name: str
    kind: Literal["counter", "gauge"]
    label: str
    help: str


class Sample(NamedTuple):
    """A number of a measure, with the value of its label."""

    measure: Measure
    label: str
    value: float


UP: Final = Measure("bartizan_process_up", "gauge", "process", "1 while the process answers, 0 while it does not.")
RESTARTS: Final = Measure(
    "bartizan_process_restarts_total", "counter", "process", "How often the supervisor started the process again."
)
RESIDENT: Final = Measure(
    "bartizan_process_resident_memory_bytes", "gauge", "process", "Memory that the process has in RAM, in bytes."
)
CPU: Final = Measure(
    "bartizan_process_cpu_seconds_total",
    "counter",
    "process",
    "User and system time that the process took, in seconds.",
)
DESCRIPTORS: Final = Measure("bartizan_process_open_fds", "gauge", "process", "Files and sockets the process has open.")
THREADS: Final = Measure("bartizan_process_threads", "gauge", "process", "Threads of the process.")
SHIPPED: Final = Measure(
    "bartizan_events_shipped_rows_total", "counter", "sink", "Event rows that arrived in the sink, since it was set up."
)
FAILING: Final = Measure(
    "bartizan_events_sink_failing", "gauge", "sink", "1 while the sink takes no events, 0 while it does."
)
REFUSED: Final = Measure(
    "bartizan_events_refused_rows_total",
    "counter",
    "sink",
    "Event rows that the sink refused for good; they are in its dead-letter file.",
)
BEHIND: Final = Measure(
    "bartizan_events_behind_bytes", "gauge", "sink", "Bytes of the spool that the sink does not have yet."
)
LAST_SHIPPED: Final = Measure(
    "bartizan_events_last_shipped_timestamp_seconds",
    "gauge",
    "sink",
    "When rows last arrived in the sink, in seconds since the epoch; 0 if none did since the event owner started.",
)

AUDITED: Final = Measure(
    "bartizan_transparency_last_epoch", "gauge", "namespace", "The newest epoch that the auditor has signed."
)
VERIFIED: Final = Measure(
    "bartizan_transparency_verified_epoch", "gauge", "namespace", "The epoch up to which every proof is good."
)
VERIFIED_AT: Final = Measure(
    "bartizan_transparency_verified_timestamp_seconds",
    "gauge",
    "namespace",
    "When that epoch was verified, in seconds since the epoch.",
)
WAITING: Final = Measure(
    "bartizan_transparency_waiting_epochs",
    "gauge",
    "namespace",
    "Epochs that wait for their proof or are being verified.",
)
UNPROVED: Final = Measure(
    "bartizan_transparency_refused_epochs",
    "gauge",
    "namespace",
    "Epochs whose proof is not good: the log has broken its promise.",
)
TURNED_AWAY: Final = Measure(
    "bartizan_transparency_refused_requests_total",
    "counter",
    "reason",
    "Requests that the auditor refused since it started.",
)

FOUND: Final = Measure(
    "bartizan_transparency_findings",
    "gauge",
    "kind",
    "What the monitor ever found that no honest auditor and log can bring about.",
)
UNASKED: Final = Measure(
    "bartizan_transparency_monitor_failures",
    "gauge",
    "process",
    "Auditors, logs and webhooks that gave the monitor no answer in its last look.",
)
LOOKED: Final = Measure(
    "bartizan_transparency_monitor_timestamp_seconds",
    "gauge",
    "process",
    "When the monitor last looked, in seconds since the epoch; 0 if it has not yet.",
)

MEASURES: Final = (
    UP, RESTARTS, RESIDENT, CPU, DESCRIPTORS, THREADS, SHIPPED, REFUSED, BEHIND, FAILING, LAST_SHIPPED,
    AUDITED, VERIFIED, VERIFIED_AT, WAITING, UNPROVED, TURNED_AWAY, FOUND, UNASKED, LOOKED,
)  # fmt: skip
"""All of them, in the order of the text and of docs/reference/metrics.md."""

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def of_process(name: str, pid: int | None, restarts: int, *, answers: bool, proc: Path = Path("/proc")) -> list[Sample]:
    """What can be said of a process from outside it; of one that does not run, that it does not."""
    samples = [Sample(UP, name, answers), Sample(RESTARTS, name, restarts)]
    if pid is None:
        return samples
    try:
        # The name in parentheses may hold spaces and parentheses, so the fields are counted from its end (proc(5)).
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
        open_files = sum(1 for _ in (proc / str(pid) / "fd").iterdir())
    except OSError:
        # It ended between two looks.
        return samples
    return [
        *samples,
        Sample(RESIDENT, name, int(fields[21]) * _PAGE),
        Sample(CPU, name, (int(fields[11]) + int(fields[12])) / _TICKS),
        Sample(DESCRIPTORS, name, open_files),
        Sample(THREADS, name, int(fields[17])),
    ]


def text(samples: Iterable[Sample]) -> str:
    """The samples in the exposition format, each measure once, with its help."""
    found: dict[Measure, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.measure, []).append(sample)
    return "".join(line for measure in MEASURES for line in _lines(measure, found.get(measure, ())))


def _lines(measure: Measure, samples: Sequence[Sample]) -> Iterator[str]:
    if not samples:
        return
    yield f"# HELP {measure.name} {measure.help}\n# TYPE {measure.name} {measure.kind}\n"
    for sample in samples:
        yield f'{measure.name}{{{measure.label}="{_escaped(sample.label)}"}} {sample.value:.15g}\n'


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def of_auditor(status: Mapping[str, Any]) -> Iterator[Sample]:
    """What the auditor's status says of its namespaces."""
    for namespace in status["namespaces"]:
        name, epochs = namespace["name"], namespace["epochs"]
        if namespace["last_epoch"] is not None:
            yield Sample(AUDITED, name, namespace["last_epoch"])
            yield Sample(VERIFIED, name, namespace["verified_to"])
            yield Sample(VERIFIED_AT, name, namespace["verified_at"] / 1000)
        yield Sample(WAITING, name, epochs["waiting"] + epochs["claimed"])
        yield Sample(UNPROVED, name, epochs["refused"])
    for reason, number in status["refused"].items():
        yield Sample(TURNED_AWAY, reason, number)


def of_monitor(status: Mapping[str, Any]) -> Iterator[Sample]:
    """What the monitor's status says of its looks."""
    for kind, number in status["findings"].items():
        yield Sample(FOUND, kind, number)
    yield Sample(UNASKED, "monitor", len(status["failures"]))
    yield Sample(LOOKED, "monitor", (status["looked"] or 0) / 1000)


def of_events(status: Mapping[str, Any]) -> Iterator[Sample]:
    """What the event owner's status says of its sinks."""
    for sink in status["sinks"]:
        name = sink["name"]
        yield Sample(SHIPPED, name, sink["rows"])
        yield Sample(REFUSED, name, sink["rows_refused"])
        yield Sample(BEHIND, name, sink["behind_bytes"])
        yield Sample(FAILING, name, bool(sink["problem"]))
        yield Sample(LAST_SHIPPED, name, sink["last_shipped_ns"] / 1e9)
