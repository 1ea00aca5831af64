"""`bartizan up`: check and apply the site file, then run everything."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final, NoReturn

from bartizan import __version__
from bartizan.cli.problems import show, total
from bartizan.durable import remove_abandoned
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.log import Keys
from bartizan.policy.apply import Applied, author
from bartizan.policy.apply import apply as apply_site
from bartizan.policy.effect import create
from bartizan.supervisor.lines import Journal, Json, Lines, Text
from bartizan.supervisor.monitor import Monitor
from bartizan.supervisor.supervisor import UPGRADE, Supervisor, sole_supervisor
from bartizan.supervisor.systemd import PRIVATE_VARIABLES, Notifier
from bartizan.supervisor.takeover import reap

ADOPTED: Final = "BARTIZAN_ADOPTED"
"""Environment variable: the processes that this one started before an upgrade."""


def up(*, site: Path, state: Path | None, monitor: str | None, json: bool) -> int:
    """Run until SIGTERM or Ctrl-C. 0: stopped when asked; 1: it could not start, and has said why."""
    # A name of a zone or a file that this locale cannot write is shown, not refused.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    lines = _lines(json=json)
    try:
        return _up(site, state, monitor, lines, json=json)
    except Failure as failure:
        if not json:
            raise
        lines.write("supervisor", "critical", str(failure))
        return 1


def _up(site: Path, state: Path | None, monitor: str | None, lines: Lines, *, json: bool) -> int:
    if not site.exists():
        raise Failure(
            f"there is no site file {site}; `bartizan init http://127.0.0.1:8001` writes one for your application"
        )
    directory = StateDirectory.locate(state=state, site=site)
    create(directory)
    for place in (directory.ca, directory.ca / "leaves", directory.acme, directory.acme / "certificates"):
        if place.exists():
            remove_abandoned(place)
    notifier = Notifier()
    for variable in PRIVATE_VARIABLES:
        os.environ.pop(variable, None)
    reap(int(process) for process in os.environ.pop(ADOPTED, "").split())
    with sole_supervisor(directory):
        _apply_first(site, directory, lines, json=json)

        def announce(edge: dict[str, Any]) -> None:
            if json:
                lines.write("supervisor", "info", "serving", what_serves(edge))
                return
            with suppress(OSError):
                sys.stdout.write(banner(site, directory, edge))
                sys.stdout.flush()

        supervisor = Supervisor(
            directory,
            lines,
            apply=lambda: _apply_again(site, directory, lines, json=json),
            announce=announce,
            notifier=notifier,
        )
        with ExitStack() as open_for_watchers:
            if monitor is not None:
                watched = open_for_watchers.enter_context(Monitor(monitor, supervisor.sources()))
                host = monitor.rpartition(":")[0]
                lines.write("supervisor", "info", f"watchers may ask http://{host}:{watched.port}/metrics")
            code = supervisor.run()
    if code == UPGRADE:
        _start_anew(notifier, supervisor.pids())
    return code


def _start_anew(notifier: Notifier, children: Sequence[int]) -> NoReturn:
    """Starts the program that is installed now, in this same process: its children and its place under systemd stay."""
    environment = {**os.environ, **notifier.variables, ADOPTED: " ".join(map(str, children))}
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606  as we were started


def _lines(*, json: bool) -> Lines:
    if json:
        return Json(sys.stdout)
    if "JOURNAL_STREAM" in os.environ and not sys.stdout.isatty():
        return Journal(sys.stdout)
    return Text(sys.stdout, colour=sys.stdout.isatty())


def _apply_first(site: Path, state: StateDirectory, lines: Lines, *, json: bool) -> None:
    """Applies the site file, or says why the last good policy is served instead.

    Raises Failure where the file has mistakes, which somebody at the keyboard can mend, or nothing was ever applied.
    """
    try:
        applied = apply_site(site, state, message="bartizan up", author=author(), ask_edge=False)
    except (Failure, OSError) as error:
        # After a reboot with a full disk or the store's server still away, the edge must come up all the same.
        if not state.current_policy.exists():
            raise
        lines.write("supervisor", "error", f"{site} could not be applied: {error}; the last good policy is served")
        return
    _show(applied, lines, json=json)
    if applied.outcome in ("invalid", "refused"):
        raise Failure(f"{site} has {total(applied.problems)}; nothing was started")


def banner(site: Path, state: StateDirectory, edge: dict[str, Any]) -> str:
    """What a person reads first: where it listens, for whom, and what to do next."""
    addresses = edge["listening"]
    zones = edge["zones"]
    rows = [
        ("serving", ", ".join(f"{'https' if tls else 'http'}://{address}" for address, tls in addresses)),
        ("site file", f"{site} (version {edge['policy_version']}, {zones} zone{'' if zones == 1 else 's'})"),
        ("state", str(state.path)),
    ]
    authority = state.ca / "ca.pem"
    if authority.exists() and any(tls for _, tls in addresses):
        rows.append(("development CA", f"{authority} (trust it to open https:// without a warning)"))
    # Most commands know no site file: what they find from here must be what this one runs.
    option = "" if StateDirectory.locate().path == state.path else f" --state {state.path}"
    rows += [
        ("next", f"bartizan tail{option}   shows requests as they come"),
        ("", f"bartizan apply {site}{option}   puts a changed site file into effect"),
        ("", f"bartizan doctor {site}{option}   says what is not as it should be"),
        ("", "Ctrl-C   finishes the requests in hand and stops"),
    ]
    body = "".join(f"  {label:<15} {text}\n" for label, text in rows)
    return f"\nBartizan {__version__}\n{body}\n"


def what_serves(edge: dict[str, Any]) -> Keys:
    """The banner for programs."""
    return {
        "policy_version": edge["policy_version"],
        "zones": edge["zones"],
        "listening": [{"address": address, "tls": tls} for address, tls in edge["listening"]],
    }


def _apply_again(site: Path, state: StateDirectory, lines: Lines, *, json: bool) -> None:
    try:
        applied = apply_site(site, state, message="SIGHUP", author=author())
        _show(applied, lines, json=json)
    except Exception as error:  # noqa: BLE001  a signal that asks for an apply must not end what it asks
        said = str(error) if isinstance(error, Failure) else f"{type(error).__name__}: {error}"
        lines.write("supervisor", "error", f"{site} could not be applied: {said}; the policy in effect stays")
        return
    if applied.outcome in ("invalid", "refused"):
        text = f"{site} has {total(applied.problems)}; the policy in effect stays"
        lines.write("supervisor", "error", text)
    elif applied.outcome == "unchanged":
        lines.write("supervisor", "info", f"{site} has not changed since version {applied.version}")


def _show(applied: Applied, lines: Lines, *, json: bool) -> None:
    if not json:
        show(applied.problems)
        return
    for problem in applied.problems:
        lines.write("supervisor", problem.severity, str(problem))
