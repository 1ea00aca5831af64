"""The examinations of `bartizan doctor`: each looks at one thing and says what it found and the way out.

Nothing is changed, and nothing outside this machine is asked.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

import msgspec

from bartizan.control import ask
from bartizan.layout import StateDirectory
from bartizan.lock import owner

LOW_BYTES: Final = 1 << 30
"""Less free space than this is a problem: the spool alone may take four times as much."""

SOON: Final = timedelta(days=14)
"""A certificate that expires within this time is worth a note."""


class Finding(msgspec.Struct, frozen=True):
    """What one examination found. A `problem` stands in the way of running; a `note` is worth knowing."""

    subject: str
    verdict: Literal["ok", "note", "problem"]
    text: str
    way_out: str = ""


def examine(site: Path, state: StateDirectory) -> list[Finding]:
    """All findings, in the order in which a person would mend them."""
    running = owner(state.edge_lock) is not None
    return [
        _python(),
        _native_module(),
        _state_directory(state),
        _disk(state),
        *_site(site, state, running=running),
        *_certificates(state),
        _analytics(),
        *_processes(state),
    ]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", "ok", f"{version} at {sys.executable}")


def _native_module() -> Finding:
    try:
        import bartizan._native as native
    except ImportError as error:
        return Finding(
            "native module", "problem", str(error), "install Bartizan again; from a checkout: make native-release"
        )
    return Finding("native module", "ok", str(native.__file__))


def _state_directory(state: StateDirectory) -> Finding:
    path = state.path
    if not _exists(path):
        parent = _nearest(path)
        if parent.is_dir() and os.access(parent, os.W_OK | os.X_OK):
            return Finding("state", "note", f"{path} is not there yet", "`bartizan up` makes it")
        return Finding("state", "problem", f"{path} cannot be made: {_why_not(parent)}", "name another: --state DIR")
    if not path.is_dir():
        return Finding("state", "problem", f"{path} is no directory", "name another: --state DIR")
    mode = path.stat().st_mode & 0o777
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return Finding(
            "state", "problem", f"no right to use {path}", f"chown it to the user that runs Bartizan: {path}"
        )
    if mode & 0o077:
        return Finding(
            "state",
            "problem",
            f"{path} is open to others (mode {mode:o}): it holds keys and requests",
            f"chmod 700 {path}",
        )
    return Finding("state", "ok", f"{path}")


def _exists(path: Path) -> bool:
    """Whether there is such a path, as far as this user may know."""
    return os.path.exists(path)  # noqa: PTH110  pathlib raises PermissionError until Python 3.12


def _nearest(path: Path) -> Path:
    """The path, or the nearest of its ancestors that is there."""
    return next(each for each in (path, *path.parents) if _exists(each))


def _why_not(parent: Path) -> str:
    return f"no right to write in {parent}" if parent.is_dir() else f"{parent} is no directory"


def _disk(state: StateDirectory) -> Finding:
    place = _nearest(state.path)
    free = shutil.disk_usage(place).free
    text = f"{free / (1 << 30):.1f} GiB free on the disk of {place}"
    if free < LOW_BYTES:
        return Finding("disk", "problem", text, "make room, or move the state directory with --state")
    return Finding("disk", "ok", text)


def _site(site: Path, state: StateDirectory, *, running: bool) -> Iterator[Finding]:
    if not site.exists():
        yield Finding("site file", "problem", f"there is no {site}", "`bartizan init ORIGIN` writes one")
        return
    from bartizan.config.load import load
    from bartizan.policy.check import check

    checked = check(site, state)
    errors = sum(problem.severity == "error" for problem in checked.problems)
    if errors:
        yield Finding("site file", "problem", f"{site} has {errors} mistakes", f"`bartizan check {site}` lists them")
    else:
        yield Finding("site file", "ok", f"{site}: {checked.zones} zones, {checked.rules} rules")
    loaded = load(site, state.rule_sets).site
    if loaded is None or running:
        return
    yield from _descriptors(loaded.edge.limits)
    for listener in [*loaded.edge.listen, *loaded.edge.listen_tls]:
        yield _address(listener if isinstance(listener, str) else listener.address)


def _descriptors(limits: dict[str, int]) -> Iterator[Finding]:
    """Whether the edge may open as many files as it may serve connections: one to the client, one to the origin."""
    from bartizan.config.native import limits as known

    connections = limits.get("connections", next(limit.default for limit in known() if limit.name == "connections"))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < 2 * connections:
        text = f"{most:,} open files are allowed here, which is less than the {connections:,} connections need"
        yield Finding(
            "open files", "note", text, f"raise the hard limit (LimitNOFILE={2 * connections}), or lower `connections`"
        )


def _address(address: str) -> Finding:
    """Whether an address can be bound now."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, int(port)))
    except (OSError, ValueError, OverflowError) as error:
        code = error.errno if isinstance(error, OSError) else None
        match code:
            case errno.EADDRINUSE:
                return Finding(
                    "address", "problem", f"{address} is in use", f"`ss -ltnp 'sport = :{port}'` says by whom"
                )
            case errno.EACCES:
                way_out = "run as root, or: setcap cap_net_bind_service=+ep $(readlink -f $(which python3))"
                return Finding("address", "problem", f"no right to bind {address}", way_out)
            case _:
                return Finding("address", "problem", f"{address} cannot be bound: {error}", "see `ip address`")
    return Finding("address", "ok", f"{address} is free")


def _certificates(state: StateDirectory) -> Iterator[Finding]:
    try:
        document = msgspec.json.decode(state.current_policy.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, msgspec.DecodeError) as error:
        way_out = "chown it to the user that runs Bartizan, or `bartizan apply`"
        yield Finding("policy", "problem", f"{state.current_policy} cannot be read: {error}", way_out)
        return
    files = sorted(
        {
            files["certificate_file"]
            for zone in document["zones"]
            for files in zone.get("tls", {}).get("certificates", [])
        }
    )
    wrong = 0
    for file in files:
        finding = _certificate(Path(file))
        if finding is not None:
            wrong += 1
            yield finding
    if files and not wrong:
        yield Finding("certificates", "ok", f"{len(files)} in use, none expires within {SOON.days} days")


def _certificate(file: Path) -> Finding | None:
    from cryptography import x509

    try:
        expires = x509.load_pem_x509_certificates(file.read_bytes())[0].not_valid_after_utc
    except (OSError, ValueError) as error:
        return Finding(
            "certificate", "problem", f"{file} cannot be read: {error}", "put a PEM file there; then it is reread"
        )
    left = expires - datetime.now(UTC)
    if left < timedelta(0):
        return Finding("certificate", "problem", f"{file} expired on {expires:%Y-%m-%d}", "put a new one in its place")
    if left < SOON:
        return Finding("certificate", "note", f"{file} expires on {expires:%Y-%m-%d}", "put a new one in its place")
    return None


def _analytics() -> Finding:
    if find_spec("chdb") is None:
        return Finding(
            "analytics",
            "note",
            "chDB is not installed: `query` cannot answer; `tail` and `ray` can",
            "pip install 'bartizan[analytics]'",
        )
    return Finding("analytics", "ok", "chDB is installed")


def _processes(state: StateDirectory) -> Iterator[Finding]:
    supervised = owner(state.supervisor_lock) is not None
    if not supervised:
        yield Finding("supervisor", "note", "not running", "`bartizan up` starts everything")
    for name, file in (
        ("supervisor", state.supervisor_socket),
        ("edge", state.edge_socket),
        ("events", state.events_socket),
    ):
        try:
            reply = ask(file, {"command": "status"}, timeout_s=3.0)
        except (OSError, ValueError) as error:
            yield Finding(
                name, "problem", f"does not answer on {file}: {error}", "`bartizan up` logs say more; restart it"
            )
            continue
        if reply is None:
            if name != "supervisor" and supervised:
                text = "not running, though the supervisor is"
                yield Finding(name, "problem", text, "the log of `bartizan up` says why; it is started again")
            continue
        yield from _told(name, reply)


def _sink(sink: dict[str, str | int]) -> Finding:
    """Whether a sink takes events; until it does, they wait in the spool."""
    subject = f"sink {sink['name']}"
    if sink["problem"]:
        way_out = sink["way_out"] or "the log of `bartizan up` says more"
        return Finding(
            subject, "problem", f"takes no events: {sink['problem']}", f"{way_out}; events wait in the spool"
        )
    if sink["rows_refused"]:
        text = f"refused {sink['rows_refused']} events for good"
        return Finding(
            subject, "note", text, f"they are in sinks/{sink['name']}/dead-letter.ndjson of the state directory"
        )
    return Finding(subject, "ok", f"has {sink['rows']} events")


def _spool(status: dict[str, object]) -> Iterator[Finding]:
    """What became of events between the edge and its disk, since it was started."""
    from bartizan.edge.watch import spooled

    counted = spooled(status)
    refused = counted.get("bartizan_spool_refused_rows_total", 0)
    dropped = counted.get("bartizan_spool_dropped_total", 0)
    removed = counted.get("bartizan_spool_removed_rows_total", 0)
    sampled = counted.get("bartizan_spool_sampled_rows_total", 0)
    held_up = counted.get("bartizan_spool_held_up_rows_total", 0)
    faster = "a faster disk, or a weaker `fsync` in [edge.spool]"
    if refused:
        text = f"the disk refused {refused} events since the edge was started: {status.get('spool_disk_error', '')}"
        yield Finding("spool", "problem", text, "make room, or move the spool with `dir` in [edge.spool]")
    if dropped:
        text = f"{dropped} events came faster than the disk takes them since the edge was started, and are lost"
        yield Finding("spool", "problem", text, faster)
    elif held_up:
        text = f"{held_up} events waited in memory for the disk since the edge was started; none was lost by that"
        yield Finding("spool", "note", text, faster)
    bound = "have them shipped faster, or raise `max_bytes` in [edge.spool]"
    if removed:
        yield Finding("spool", "problem", f"{removed} events were removed unshipped to make room", bound)
    if sampled:
        text = f"{sampled} events were sampled away to make room; those that stay count for them"
        yield Finding("spool", "note", text, bound)
    if not refused + dropped + removed + sampled + held_up:
        yield Finding("spool", "ok", "no event was lost or sampled away since the edge was started")


def _told(name: str, reply: dict[str, object]) -> Iterator[Finding]:
    match name, reply:
        case "supervisor", {"processes": list(processes)}:
            for process in processes:
                if process["restarts"]:
                    text = f"{process['name']} was started again {process['restarts']} times: {process['last_end']}"
                    yield Finding(name, "note", text, "its last words are in the log of `bartizan up`")
            yield Finding(name, "ok", "running")
        case "events", {"status": {"problem": str(problem), "sinks": list(sinks)}}:
            yield (
                Finding(name, "note", problem, "events wait in the spool")
                if problem
                else Finding(name, "ok", "running")
            )
            yield from map(_sink, sinks)
        case "edge", {"policy_version": version, "connections": connections, "metrics": list()}:
            yield Finding(name, "ok", f"serves policy version {version} to {connections} connections")
            yield from _spool(reply)
        case _:
            yield Finding(name, "ok", "running")
