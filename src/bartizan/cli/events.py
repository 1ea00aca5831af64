"""`bartizan events export`, `import` and `purge`: events taken out, brought back and given up."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec

from bartizan.archive import export as exporting
from bartizan.archive import purge as purging
from bartizan.archive.bring import bring, check
from bartizan.archive.excerpt import excerpt, moment
from bartizan.archive.reading import store_answers
from bartizan.archive.rows import Source
from bartizan.archive.spool import SpoolSource
from bartizan.archive.store import StoreSource
from bartizan.cli.printable import printable
from bartizan.cli.waiting import progressing, waiting
from bartizan.events.location import client_addresses, spool_directory
from bartizan.events.purging import Scope, scope
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.policy.apply import author


def export(
    *,
    file: Path | None,
    table: str,
    format: str | None,  # noqa: A002  the option's name
    since: str | None,
    until: str | None,
    where: str | None,
    columns: str | None,
    from_: str | None,
    force: bool,
    site: Path | None,
    state: Path | None,
    json: bool,
) -> int:
    """Writes the rows, then says how many. Raises Failure, and then there is no file."""
    now_ns = time.time_ns()
    installation = StateDirectory.locate(state=state, site=site)
    wanted = excerpt(
        table,
        since_ns=None if since is None else moment(since, now_ns),
        until_ns=None if until is None else moment(until, now_ns),
        where=where,
        columns=None if columns is None else tuple(name.strip() for name in columns.split(",") if name.strip()),
        addresses=client_addresses(installation),
    )
    file_format = exporting.format_of(file, format)
    if file is not None and file.exists() and not force:
        raise Failure(f"{file} is there already; name another file, or replace it with --force")
    if file is None and file_format != "ndjson" and sys.stdout.isatty():
        raise Failure(f"{file_format} is no text; name a file, or redirect the output")
    source = _source(installation, from_)
    with progressing(f"writing {table}", source.count(wanted)) as came:
        exported = exporting.export(source, wanted, file, file_format, came)
    # Beside the events, not among them.
    out = sys.stdout if file is not None else sys.stderr
    if json:
        out.write(msgspec.json.encode(exported).decode() + "\n")
    elif file is not None or out.isatty():
        rows = f"{exported.rows:,} row{'' if exported.rows == 1 else 's'} of {table} from {exported.source}"
        out.write(f"{rows}: {exported.bytes:,} bytes{'' if file is None else f' in {file}'}\n")
    return 0


def bring_in(
    *, file: Path, table: str | None, ignore_unknown: bool, site: Path | None, state: Path | None, json: bool
) -> int:
    """Checks all of the file, then brings its rows in and says how many. Raises Failure."""
    installation = StateDirectory.locate(state=state, site=site)
    with waiting(f"checking {file}"):
        checked = check(file, installation, table, ignore_unknown=ignore_unknown)
    with progressing(f"importing {checked.table}", checked.rows) as came:
        imported = bring(checked, installation, came)
    if json:
        sys.stdout.write(msgspec.json.encode(imported).decode() + "\n")
        return 0
    sys.stdout.write(f"imported {imported.rows:,} row{'' if imported.rows == 1 else 's'} of {checked.table}\n")
    if imported.rows_before:
        sys.stdout.write(f"{imported.rows_before:,} rows of this file had been imported before\n")
    if imported.rows_too_old:
        sys.stdout.write(
            f"{imported.rows_too_old:,} rows are older than events are kept ([events] retention_days): the event store "
            "drops them again\n"
        )
    if imported.ignored:
        sys.stdout.write(f"left out: {', '.join(map(printable, imported.ignored))}\n")
    return 0


def purge(
    *,
    before: str | None,
    zone: str | None,
    client: str | None,
    yes: bool,
    site: Path | None,
    state: Path | None,
    json: bool,
) -> int:
    """Deletes the events once that is confirmed; 1 if something is left. Raises Failure."""
    installation = StateDirectory.locate(state=state, site=site)
    if not installation.path.is_dir():
        raise Failure(f"there is no state directory {installation.path}; name it with --state")
    moment_ns = None if before is None else moment(before, time.time_ns())
    wanted = scope(before_ns=moment_ns, zone=zone, client=client)
    purging.check_address(wanted, installation)
    if not yes:
        _confirm(wanted, installation)
    with progressing("deleting, and looking through the files of sinks", purging.files(installation)) as came:
        purged = purging.purge(wanted, installation, author=author(), came=came)
    if json:
        report = {**msgspec.structs.asdict(purged), "complete": purged.is_complete}
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        for place in purged.places:
            sys.stdout.write(f"{place.name}: {place.rows:,} row{'' if place.rows == 1 else 's'} deleted\n")
            for more in filter(None, (place.left, place.elsewhere)):
                sys.stdout.write(f"  {more}\n")
    return 0 if purged.is_complete else 1


def _confirm(wanted: Scope, installation: StateDirectory) -> None:
    """Asks, having said what is about to go. Raises Failure where the answer is not yes, or nobody can answer."""
    if not sys.stdin.isatty():
        raise Failure("it would delete for good, and nobody is there to ask; say --yes")
    counts = purging.found(wanted, installation)
    if counts is not None:
        listed = ", ".join(f"{rows:,} of {table}" for table, rows in counts.items())
        sys.stderr.write(f"the event store has {listed}\n")
    sys.stderr.write(f"delete the {printable(wanted.shown)} here, for good? Type yes: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != "yes":
        raise Failure("nothing was deleted")


def _source(installation: StateDirectory, named: str | None) -> Source:
    if named == "store" or (named is None and store_answers(installation)):
        return StoreSource(installation.events_socket)
    return SpoolSource(spool_directory(installation))
