"""What the edge process says of its own accord: failing origins, changed certificates, lost events.

A dead origin fails every request; the log says so once, then once a minute with the count, and again when it is over.
Events that are lost or sampled away are told in the same way.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from bartizan.edge.data_plane import Edge

EVERY_S: Final = 2.0
"""How often the watch looks."""

REMIND_S: Final = 60.0
"""How often it repeats that origins still fail."""

_log = logging.getLogger("bartizan.edge")


class Watch:
    """A thread that looks at an edge while the block runs."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._origins = OriginTrouble()
        self._spool = SpoolTrouble()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(EVERY_S):
            try:
                self._look()
            except RuntimeError:
                # The edge stopped between two looks.
                return

    def _look(self) -> None:
        read_again, wrong = self._edge.reload_certificates()
        if read_again:
            _log.info("%d certificates changed on disk and are served from now on", read_again)
        for problem in wrong:
            _log.error("%s", problem)
        status = self._edge.status()
        line = self._origins.seen(failures(status), failing(status), time.monotonic())
        if line is not None:
            _log.log(*line)
        for line in self._spool.seen(spooled(status), str(status["spool_disk_error"]), time.monotonic()):
            _log.log(*line)


class OriginTrouble:
    """Decides when failing origins are worth a line."""

    def __init__(self) -> None:
        self._counted: dict[str, int] = {}
        self._told_at: float | None = None
        self._untold = 0
        self._last_failure = 0.0

    def seen(self, counted: Mapping[str, int], servers: Sequence[str], now: float) -> tuple[int, str] | None:
        """The level and text to log, if any, at the time `now` (seconds), from failures by kind and failing servers."""
        new = {kind: count - self._counted.get(kind, 0) for kind, count in counted.items()}
        fresh = {kind: count for kind, count in new.items() if count > 0}
        self._counted = dict(counted)
        if fresh:
            self._untold += sum(fresh.values())
            self._last_failure = now
            if self._told_at is None or now - self._told_at >= REMIND_S:
                count, self._untold, self._told_at = self._untold, 0, now
                kinds = ", ".join(sorted(fresh))
                plural = "" if count == 1 else "s"
                named = "; ".join(servers) or "see `bartizan tail`"
                return logging.ERROR, (
                    f"{count} exchange{plural} with an origin failed ({kinds}): {named}. The clients got an error "
                    f"page. Is the application running, at the address in `origins`?"
                )
        elif self._told_at is not None and now - self._last_failure >= REMIND_S:
            self._told_at = None
            self._untold = 0
            return logging.INFO, f"no exchange with an origin has failed for {REMIND_S:.0f} s"
        return None


_SAMPLED: Final = (
    "{count} events were sampled away to make room in the spool; those that stay count for them. Are events shipped? "
    "`bartizan doctor` says; `max_bytes` in [edge.spool] is the bound"
)
_REMOVED: Final = (
    "{count} events that were not shipped were removed to make room in the spool. Are events shipped? "
    "`bartizan doctor` says; `max_bytes` in [edge.spool] is the bound"
)
_REFUSED: Final = (
    "{count} events were lost because the disk of the spool refused them: {error}. Requests are served. Make room, "
    "or move the spool with `dir` in [edge.spool]"
)
_HELD_UP: Final = (
    "{count} events waited in memory, since the disk held the spool up. None was lost by that, but a process that is "
    "killed then loses them. A faster disk helps, or a weaker `fsync` in [edge.spool]"
)
_DROPPED: Final = (
    "{count} events were lost because they came faster than the disk of the spool takes them. Requests are served. "
    "A faster disk helps, or a weaker `fsync` in [edge.spool]"
)

_SPOOL_LINES: Final = {
    "bartizan_spool_sampled_rows_total": (logging.WARNING, _SAMPLED),
    "bartizan_spool_removed_rows_total": (logging.ERROR, _REMOVED),
    "bartizan_spool_refused_rows_total": (logging.ERROR, _REFUSED),
    "bartizan_spool_held_up_rows_total": (logging.WARNING, _HELD_UP),
    "bartizan_spool_dropped_total": (logging.ERROR, _DROPPED),
}
"""What is said of each counter of the spool that grows."""


class SpoolTrouble:
    """Decides when events that are lost, sampled away or kept waiting are worth a line."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, int]] = {}

    def seen(self, counted: Mapping[str, int], error: str, now: float) -> list[tuple[int, str]]:
        """Levels and texts to log at the time `now` (seconds), from the counters of the spool and its last error."""
        lines = []
        for name, (level, text) in _SPOOL_LINES.items():
            count = counted.get(name, 0)
            told_at, told = self._told.get(name, (-REMIND_S, 0))
            if count > told and now - told_at >= REMIND_S:
                self._told[name] = (now, count)
                lines.append((level, text.format(count=count - told, error=error or "no reason given")))
        return lines


def spooled(status: Mapping[str, Any]) -> dict[str, int]:
    """The counters of the spool, out of the status of an edge."""
    return {sample["name"]: int(sample["value"]) for sample in status["metrics"] if sample["name"] in _SPOOL_LINES}


def failing(status: Mapping[str, Any]) -> list[str]:
    """The failing servers of a status, each with its zone and the reason."""
    return [
        f'zone "{origin["zone"]}" {origin["server"]}: {origin["reason"] or "no answer"}'
        for origin in status["failing_origins"]
    ]


def failures(status: Mapping[str, Any]) -> dict[str, int]:
    """Failed exchanges with origins by kind, out of the status of an edge."""
    counted: dict[str, int] = {}
    for sample in status["metrics"]:
        if sample["name"] == "bartizan_origin_errors_total":
            label = sample.get("label")
            kind = label[1] if isinstance(label, list) else "failed"
            counted[kind] = counted.get(kind, 0) + int(sample["value"])
    return counted
