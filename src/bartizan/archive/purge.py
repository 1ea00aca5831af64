"""Events deleted wherever this machine keeps them: spool, event store with its rollups, file sinks, dead letters.

What was sent elsewhere is beyond reach, and is named. The audit log has it first, without the address of a client: it
is kept for ever, and would then be what is left of whoever asked to be forgotten.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

import msgspec

from bartizan._native import purge_spool
from bartizan.archive.rows import MISSING_ARROW
from bartizan.config.sinks import AccessLog, Chdb, Files, Sink
from bartizan.durable import replace
from bartizan.events import control, schema
from bartizan.events.dead_letter import locked
from bartizan.events.location import client_addresses, spool_directory
from bartizan.events.purging import Scope
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.policy.effect import open_versions

_HASHED: Final = ip_network("100::/64")
"""Where hashed addresses are (RFC 6666)."""

_GZIP_LEVEL: Final = 6

_SUFFIXES: Final = (".ndjson", ".ndjson.gz", ".parquet")
"""How files of sinks end."""


class Place(msgspec.Struct):
    """A place that was looked through, or that is beyond reach."""

    name: str
    rows: int = 0
    """Rows that were deleted."""
    left: str = ""
    """What is there still, and the way to have it gone; empty if nothing is."""
    elsewhere: str = ""
    """What it was given and sent on, which no command here can delete; empty if there is nothing of that kind."""


class Purged(msgspec.Struct):
    """What a purge came to."""

    scope: str
    places: list[Place]

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left in any place of this machine."""
        return not any(place.left for place in self.places)


def check_address(scope: Scope, state: StateDirectory) -> None:
    """Raises Failure where events do not have addresses as they are, and the client is given by its own."""
    if scope.client is None:
        return
    address, kept = ip_address(scope.client), client_addresses(state)
    if kept == "hashed" and address not in _HASHED:
        raise Failure(
            f'events have no {address}: [events] client_ip = "hashed", by a key that is overwritten each day. Give the '
            "pseudonym that an event of the client shows (100::...), or delete by --before"
        )
    network = ip_network((address, 24 if address.version == 4 else 48), strict=False)
    if kept == "truncated" and address != network.network_address:
        raise Failure(
            f'events have no {address}: [events] client_ip = "truncated" keeps {network.network_address} for all '
            f"clients of {network}. To delete the events of all of them, give that address"
        )


def found(scope: Scope, state: StateDirectory) -> dict[str, int] | None:
    """How many rows of each table the event store has; None where none runs."""
    counts = {}
    for table in schema.tables():
        condition = scope.condition(table)
        if condition is None:
            continue
        sql = f"SELECT count() FROM {schema.identifier(table.name)} WHERE {condition}"  # noqa: S608  ours
        try:
            counts[table.name] = int(control.query(state.events_socket, sql, "TabSeparated"))
        except Failure:
            return None
    return counts


def purge(scope: Scope, state: StateDirectory, *, author: str, came: Callable[[int], None]) -> Purged:
    """Deletes the events; `came` is told of each file that was looked through. Raises Failure where a place fails.

    What was deleted before stays deleted, and running it again deletes the rest.
    """
    with open_versions(state) as versions:
        kept_out = msgspec.structs.replace(scope, client=None)
        target = kept_out.shown + (" of one client" if scope.client is not None else "")
        details: dict[str, object] = {"before_ns": scope.before_ns, "zone": scope.zone}
        versions.about_to(author, "purge", target, details)
    # The spool first: what no sink has yet then never reaches one.
    places = [_spool(scope, state), _store(scope, state)]
    for name, sink in _sinks(state).items():
        places += _of_sink(name, sink, scope, came)
    refused = (_dead_letters(file, scope) for file in _dead_letter_files(state))
    places += [place for place in refused if place is not None]
    return Purged(scope.shown, places)


def files(state: StateDirectory) -> int:
    """How many files of sinks a purge looks through."""
    return sum(len(list(_files_of(sink))) for sink in _sinks(state).values() if isinstance(sink, Files))


def _spool(scope: Scope, state: StateDirectory) -> Place:
    directory = spool_directory(state)
    try:
        rows, _, waiting = purge_spool(directory, scope.before_ns, scope.zone, scope.client)
    except OSError as error:
        raise Failure(f"{error.args[-1]}; run the purge again when that is mended") from error
    left = (
        f"{waiting:,} rows are in segments that are being written, read or shipped; run the purge again in a minute"
        if waiting
        else ""
    )
    return Place(f"the spool {directory}", rows, left)


def _store(scope: Scope, state: StateDirectory) -> Place:
    try:
        has_store = control.status(state.events_socket).engine != "none"
    except Failure:
        has_rows = (state.analytics / "chdb").is_dir()
        return Place("the event store", 0, "start `bartizan up`, then run the purge again" if has_rows else "")
    if not has_store:
        has_rows = (state.analytics / "chdb").is_dir()
        return Place("the event store", 0, "it is switched off; switch it on and purge again" if has_rows else "")
    return Place("the event store and its rollups", sum(control.purge(state.events_socket, scope).values()))


def _sinks(state: StateDirectory) -> dict[str, Sink]:
    try:
        return msgspec.json.decode(state.current_sinks.read_bytes(), type=dict[str, Sink])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        raise Failure(f"{state.current_sinks} cannot be understood ({error}); run: bartizan apply") from error


def _of_sink(name: str, sink: Sink, scope: Scope, came: Callable[[int], None]) -> Iterator[Place]:
    kind = str(type(sink).__struct_config__.tag)
    if isinstance(sink, Chdb):
        return
    if isinstance(sink, Files):
        rows = 0
        for file in _files_of(sink):
            rows += _purge_file(file, file.parent.name, scope)
            came(1)
        yield Place(f"the files of sink {name} in {sink.dir}", rows)
        return
    place = Place(f"sink {name} ({kind})")
    if isinstance(sink, AccessLog) and sink.file is not None:
        place.left = f"its lines are in {sink.file}, which is not changed while it is written: rotate and remove that"
    else:
        place.elsewhere = "what it was sent is beyond reach: delete it where this sink sends events"
    yield place


def _files_of(sink: Files) -> Iterator[Path]:
    for table in schema.tables():
        directory = Path(sink.dir) / table.name
        if directory.is_dir():
            yield from sorted(file for file in directory.iterdir() if file.name.endswith(_SUFFIXES))


def _purge_file(file: Path, table: str, scope: Scope) -> int:
    """Writes a file anew without the rows that are meant, or removes it where no others are; how many rows went."""
    judge = _Judge(scope, schema.table(table))
    try:
        if file.suffix == ".parquet":
            return _purge_parquet(file, judge)
        content = file.read_bytes()
        is_packed = file.suffix == ".gz"
        lines = (gzip.decompress(content) if is_packed else content).splitlines(keepends=True)
        kept = [line for line in lines if not judge.means(line)]
        if len(kept) < len(lines):
            whole = b"".join(kept)
            _put(file, gzip.compress(whole, _GZIP_LEVEL, mtime=0) if is_packed else whole, len(kept))
    except (OSError, EOFError, msgspec.DecodeError) as error:
        raise Failure(f"{file} cannot be purged ({error}); run the purge again when that is mended") from error
    return len(lines) - len(kept)


def _purge_parquet(file: Path, judge: _Judge) -> int:
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        raise Failure(MISSING_ARROW) from error
    rows = pa.parquet.read_table(file, partitioning=None)
    times = rows.column(judge.time).cast(pa.int64()).to_pylist()
    others = [
        rows.column(name).to_pylist() if name in rows.column_names else [None] * len(times) for name in judge.named
    ]
    mask = [not judge.fits(when, list(values)) for when, *values in zip(times, *others, strict=True)]
    if not all(mask):
        kept = rows.filter(pa.array(mask, pa.bool_()))
        content = io.BytesIO()
        pa.parquet.write_table(kept, content, compression="zstd")
        _put(file, content.getvalue(), kept.num_rows)
    return mask.count(False)


def _put(file: Path, content: bytes, rows: int) -> None:
    if rows:
        replace(file, content, mode=file.stat().st_mode & 0o777)
    else:
        file.unlink()


class _Judge:
    """Says which rows of a table are meant."""

    def __init__(self, scope: Scope, table: schema.Table) -> None:
        self.time = table.time
        wanted = {"ZoneName": scope.zone, "ClientIP": scope.client}
        self._wanted = {name: value for name, value in wanted.items() if value is not None}
        self.named = list(self._wanted)
        self._before_ns = scope.before_ns
        seconds = 0 if scope.before_ns is None else scope.before_ns // 1_000_000_000
        # Times of NDJSON are all of one length and in UTC, so that they compare as text.
        self._before = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.000000000Z"

    def fits(self, when_ns: int | None, values: list[str | None]) -> bool:
        """Whether the row with these values of the columns `time` and `named` is meant."""
        is_before = self._before_ns is None or (when_ns or 0) < self._before_ns
        return is_before and values == list(self._wanted.values())

    def means(self, line: bytes | msgspec.Raw) -> bool:
        """Whether the row that is this JSON object is meant. Raises msgspec.DecodeError."""
        row = msgspec.json.decode(line, type=dict[str, object])
        is_before = self._before_ns is None or str(row.get(self.time, "")) < self._before
        return is_before and all(row.get(name) == value for name, value in self._wanted.items())


class _Letter(msgspec.Struct):
    table: str
    row: msgspec.Raw


def _dead_letter_files(state: StateDirectory) -> list[Path]:
    return sorted(state.sinks.glob("*/dead-letter.ndjson*")) if state.sinks.is_dir() else []


def _dead_letters(file: Path, scope: Scope) -> Place | None:
    """Deletes what is meant from rows that a sink refused."""
    judges = {table.name: _Judge(scope, table) for table in schema.tables() if scope.condition(table) is not None}
    try:
        with locked(file) as handle:
            lines = handle.read().splitlines(keepends=True)
            letters = [msgspec.json.decode(line, type=_Letter) for line in lines]
            kept = [
                line
                for line, letter in zip(lines, letters, strict=True)
                if letter.table not in judges or not judges[letter.table].means(letter.row)
            ]
            if len(kept) == len(lines):
                return None
            replace(file, b"".join(kept))
    except (OSError, msgspec.DecodeError) as error:
        raise Failure(f"{file} cannot be purged ({error}); remove it, or run the purge again") from error
    return Place(f"dead letters of sink {file.parent.name}", len(lines) - len(kept))
