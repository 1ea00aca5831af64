"""Rows of the event store, asked of its owner in windows of time, so that neither holds more than one window.

First it is asked how many rows there are in each minute, then the rows of so many minutes at a time as fit a window; of
a minute that has more than fit, of each second of it, and so on. The rows come in the order of time. A window is a
question of its own: what merges meanwhile in the store changes nothing, and what comes meanwhile is in it or not.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from bartizan.archive.excerpt import Excerpt
from bartizan.archive.rows import Lines, arrow_tables
from bartizan.events import control, schema
from bartizan.events.engine import Limits
from bartizan.events.tail import Row

WINDOW_ROWS: Final = 16_384
"""Rows of a window: some 20 MB of JSON, 80 MB where every column has a value. One that is too large is halved."""

_UNITS_NS: Final = (60_000_000_000, 1_000_000_000, 1_000_000, 1)
"""A window ends between two of these; where the rows of one do not fit, between two of the next."""

_LAST_NS: Final = 2**63 - 1
"""In the year 2262; the store has no later time."""

_LIMITS: Final = Limits(seconds=600.0)
_NUMBERS: Final = frozenset({"bool", "uint16", "uint32", "uint64", "int64"})

_ROW = msgspec.json.Decoder(dict[str, Any])


class Window(NamedTuple):
    """Moments in nanoseconds, the last one not in it, and how many rows there were when it was asked."""

    start_ns: int
    end_ns: int
    rows: int


class StoreSource:
    """The rows that the owner at that socket has. Raises Failure where none answers, or the store is not installed."""

    def __init__(self, socket_file: Path) -> None:
        self._socket_file = socket_file

    @property
    def name(self) -> str:
        """What it is, for people."""
        return "the event store"

    def count(self, excerpt: Excerpt) -> int | None:
        """How many rows there are now."""
        sql = f"SELECT count() FROM {_from(excerpt, _condition(excerpt))}"  # noqa: S608  a table of ours
        return int(self._ask(sql, "TabSeparated"))

    def lines(self, excerpt: Excerpt) -> Iterator[Lines]:
        """The rows as NDJSON; the store's 0 is 0, its empty texts and lists are left out."""
        for answer in self._windows_of(excerpt, f"{_object(excerpt, _rfc3339, _document)} AS line", "TSVRaw"):
            yield Lines(answer.count(b"\n"), answer)

    def rows(self, excerpt: Excerpt) -> Iterator[list[Row]]:
        """The rows as dicts; the store's 0 is 0, its empty texts and lists are left out."""
        for answer in self._windows_of(excerpt, f"{_object(excerpt, _nanoseconds, _text)} AS line", "TSVRaw"):
            yield [_ROW.decode(line) for line in answer.splitlines()]

    def batches(self, excerpt: Excerpt) -> Iterator[Any]:
        """The rows as Arrow record batches; what is absent is as the store has it: 0, the empty text or list."""
        arrow = arrow_tables()
        import pyarrow as pa

        of = arrow.schema([(column.name, column.type) for column in excerpt.chosen])
        selected = ", ".join(_arrow(column) for column in excerpt.chosen)
        for answer in self._windows_of(excerpt, selected, "ArrowStream"):
            with pa.ipc.open_stream(io.BytesIO(answer)) as stream:
                yield from stream.read_all().cast(of).combine_chunks().to_batches()

    def _windows_of(self, excerpt: Excerpt, selected: str, output_format: str) -> Iterator[bytes]:
        moment = schema.identifier(excerpt.definition.time)
        for window in self.windows(excerpt):
            yield from self._rows_of(window, excerpt, moment, selected, output_format)

    def _rows_of(
        self, window: Window, excerpt: Excerpt, moment: str, selected: str, output_format: str
    ) -> Iterator[bytes]:
        start_ns, end_ns, rows = window
        # In a question of its own, whose names are those of columns and not of what is selected here.
        within = [*_condition(excerpt), _within(moment, start_ns, end_ns)]
        inner = f"SELECT * FROM {_from(excerpt, within)} ORDER BY {moment}"  # noqa: S608  a table of ours
        try:
            answer = self._ask(f"SELECT {selected} FROM ({inner})", output_format)  # noqa: S608  columns of ours
        except control.TooLarge:
            middle_ns = (start_ns + end_ns) // 2
            if middle_ns == start_ns:
                raise
            # Rows are as long as visitors make them.
            for half in (Window(start_ns, middle_ns, rows), Window(middle_ns, end_ns, rows)):
                yield from self._rows_of(half, excerpt, moment, selected, output_format)
            return
        if answer:
            yield answer

    def windows(self, excerpt: Excerpt) -> Iterator[Window]:
        """Windows that have all rows of the excerpt, in the order of time."""
        yield from self._split(excerpt, excerpt.since_ns or 0, excerpt.until_ns or _LAST_NS, 0)

    def _split(self, excerpt: Excerpt, start_ns: int, end_ns: int, depth: int) -> Iterator[Window]:
        moment, unit = schema.identifier(excerpt.definition.time), _UNITS_NS[depth]
        sql = (
            f"SELECT intDiv(toUnixTimestamp64Nano({moment}), {unit}) AS unit, count() FROM "  # noqa: S608  as above
            f"{_from(excerpt, [*_condition(excerpt), _within(moment, start_ns, end_ns)])} GROUP BY unit ORDER BY unit"
        )
        window = Window(start_ns, start_ns, 0)
        for line in self._ask(sql, "TabSeparated").splitlines():
            number, rows = map(int, line.split())
            first, behind = max(start_ns, number * unit), min(end_ns, (number + 1) * unit)
            if window.rows and window.rows + rows > WINDOW_ROWS:
                yield window
                window = Window(first, first, 0)
            if rows > WINDOW_ROWS and depth + 1 < len(_UNITS_NS):
                yield from self._split(excerpt, first, behind, depth + 1)
                window = Window(behind, behind, 0)
            else:
                window = Window(window.start_ns if window.rows else first, behind, window.rows + rows)
        if window.rows:
            yield window

    def _ask(self, sql: str, output_format: str) -> bytes:
        return control.query(self._socket_file, sql, output_format, _LIMITS)


def _from(excerpt: Excerpt, conditions: list[str]) -> str:
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"{schema.identifier(excerpt.table)}{where}"


def _condition(excerpt: Excerpt) -> list[str]:
    """What narrows, as SQL; the time is last narrowed by the window, and here for those who count."""
    moment = schema.identifier(excerpt.definition.time)
    conditions = []
    if excerpt.since_ns is not None:
        conditions.append(f"{moment} >= {_moment(excerpt.since_ns)}")
    if excerpt.until_ns is not None:
        conditions.append(f"{moment} < {_moment(excerpt.until_ns)}")
    rule = excerpt.rule
    if rule is not None:
        conditions.append(f"({rule.sql})")
    return conditions


def _within(moment: str, start_ns: int, end_ns: int) -> str:
    return f"{moment} >= {_moment(start_ns)} AND {moment} < {_moment(end_ns)}"


def _moment(nanoseconds: int) -> str:
    return f"fromUnixTimestamp64Nano({nanoseconds:d}, 'UTC')"


def _object(excerpt: Excerpt, timestamp: Any, document: Any) -> str:
    """SQL for a row as a JSON object, whose members `timestamp` and `document` write where a column is such a one."""
    members = []
    for column in excerpt.chosen:
        name, label = schema.identifier(column.name), f',"{column.name}":'
        match column.type:
            case kind if kind in _NUMBERS:
                members.append(f"'{label}', toString({name})")
            case "float64":
                members.append(f"'{label}', toJSONString({name})")
            case "labels":
                members.append(f"if(empty({name}), '', concat('{label}', toJSONString({name})))")
            case "timestamp":
                members.append(f"if(toUnixTimestamp64Nano({name}) = 0, '', concat('{label}', {timestamp(name)}))")
            case "json":
                members.append(f"if({name} = '', '', concat('{label}', {document(name)}))")
            case _:
                members.append(f"if({name} = '', '', concat('{label}', {_text(name)}))")
    return f"concat('{{', substring(concat('', {', '.join(members)}), 2), '}}')"


def _rfc3339(name: str) -> str:
    return f"""concat('"', replaceOne(toString({name}), ' ', 'T'), 'Z"')"""


def _nanoseconds(name: str) -> str:
    return f"toString(toUnixTimestamp64Nano({name}))"


def _text(name: str) -> str:
    # What a visitor sent need not be UTF-8, and JSON must be.
    return f"toJSONString(toValidUTF8({name}))"


def _document(name: str) -> str:
    return f"if(isValidJSON({name}), {name}, {_text(name)})"


def _arrow(column: schema.Column) -> str:
    name = schema.identifier(column.name)
    if column.type == "labels":
        return f"arrayMap(label -> toValidUTF8(label), {name}) AS {name}"
    is_text = column.type not in {*_NUMBERS, "float64", "timestamp"}
    return f"toValidUTF8({name}) AS {name}" if is_text else name
