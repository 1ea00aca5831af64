"""`bartizan status`: what runs here, since when, and with which policy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from bartizan.control import Message, ask
from bartizan.layout import StateDirectory


def status(*, site: Path | None, state: Path | None, json: bool) -> int:
    """Prints what each process says of itself. 0: an edge serves; 1: none does."""
    installation = StateDirectory.locate(state=state, site=site)
    supervisor = _answer(installation.supervisor_socket)
    edge = _answer(installation.edge_socket)
    events = _answer(installation.events_socket)
    auditor = _answer(installation.auditor_socket)
    serves = edge is not None and bool(edge.get("ok"))
    if json:
        # The metrics are many, and `bartizan metrics` has them.
        shown = None if edge is None else {name: value for name, value in edge.items() if name != "metrics"}
        report: dict[str, Any] = {"ok": serves, "supervisor": supervisor, "edge": shown, "events": events}
        if auditor is not None:
            report["transparency"] = auditor
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        rows = [*_supervisor(supervisor), *_edge(edge), *_events(events), *_auditor(auditor)]
        sys.stdout.write("".join(f"{name:<13}{text}\n" for name, text in rows))
    return 0 if serves else 1


def _answer(socket: Path) -> Message | None:
    """What the process says; None where there is none, and why not where it does not say."""
    try:
        return ask(socket, {"command": "status"})
    except (OSError, ValueError) as error:
        return {"ok": False, "error": str(error)}


def _supervisor(told: Message | None) -> Iterator[tuple[str, str]]:
    if told is None or not told["ok"]:
        yield "supervisor", _silent(told)
        return
    yield "supervisor", f"process {told['pid']}, up {duration(told['uptime_s'])}"
    for process in told["processes"]:
        if process["restarts"]:
            yield "", f"{process['name']} was started again {process['restarts']} times: {process['last_end']}"


def _edge(told: Message | None) -> Iterator[tuple[str, str]]:
    if told is None or not told["ok"]:
        yield "edge", _silent(told)
        return
    zones = told["zones"]
    yield "edge", f"policy version {told['policy_version']}, {zones:,} zone{_s(zones)}, up {duration(told['uptime_s'])}"
    yield "", ", ".join(f"{'https' if tls else 'http'}://{address}" for address, tls in told["listening"])
    connections = told["connections"]
    yield "", f"{connections:,} connection{_s(connections)} on {told['threads']} thread{_s(told['threads'])}"
    for origin in told["failing_origins"]:
        yield "", f'zone "{origin["zone"]}" {origin["server"]} fails: {origin["reason"] or "no answer"}'


def _events(told: Message | None) -> Iterator[tuple[str, str]]:
    if told is None or not told["ok"]:
        yield "events", _silent(told)
        return
    status: dict[str, Any] = told["status"]
    yield "events", f"{status['rows_shipped']:,} events stored, {status['rows_dropped_by_edge']:,} dropped by the edge"
    if status["problem"]:
        yield "", status["problem"]
    for sink in status["sinks"]:
        yield "", f"sink {sink['name']} ({sink['type']}): {_progress(sink)}"
        if sink["problem"]:
            yield "", f"sink {sink['name']} takes no events: {sink['problem']}"


def _auditor(told: Message | None) -> Iterator[tuple[str, str]]:
    """Nothing where none runs: few installations have one."""
    if told is None:
        return
    if not told["ok"]:
        yield "transparency", _silent(told)
        return
    name = "transparency"
    for namespace in told["status"]["namespaces"]:
        waiting = namespace["epochs"]["waiting"] + namespace["epochs"]["claimed"]
        refused = namespace["epochs"]["refused"]
        wrong = f", {refused:,} refused" if refused else ""
        verified = "no epoch" if namespace["verified_to"] is None else f"verified to epoch {namespace['verified_to']:,}"
        yield name, f"{namespace['name']}: {verified}, {waiting:,} wait{wrong}"
        name = ""
    if name:
        yield name, "no namespace yet"


def _progress(sink: dict[str, Any]) -> str:
    refused = f", {sink['rows_refused']:,} refused" if sink["rows_refused"] else ""
    return f"{sink['rows']:,} events{refused}, {sink['behind_bytes'] / 1e6:,.1f} MB behind"


def _silent(told: Message | None) -> str:
    return "not running" if told is None else f"does not answer: {told['error']}"


def _s(number: int) -> str:
    return "" if number == 1 else "s"


def duration(seconds: float) -> str:
    """Seconds as people say them, in the two largest units."""
    whole = int(seconds)
    parts = [(whole // 86_400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    first = next((place for place, (number, _) in enumerate(parts) if number), len(parts) - 1)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2])
