"""`bartizan.events.open` reads a state directory, a spool and files alike, and no more of them than is asked for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from tests.archive.support import START_NS, keep_for_years, rows, without_absent
from tests.events.support import count, eventually, firewall_event, needs_chdb, running, write

from bartizan import Failure, events
from bartizan.archive.excerpt import Excerpt
from bartizan.archive.export import export
from bartizan.archive.reading import Events
from bartizan.archive.spool import SpoolSource
from bartizan.layout import StateDirectory


@pytest.fixture
def made(state: StateDirectory) -> list[dict[str, object]]:
    made = rows(60)
    write(state.spool, *(("http_requests", row) for row in made), ("firewall_events", firewall_event(3)))
    return made


def same(found: list[dict[str, Any]], made: list[dict[str, object]]) -> bool:
    return [without_absent(row) for row in found] == [without_absent(row) for row in made]


def test_a_state_directory_and_a_spool_give_their_rows(state: StateDirectory, made: list[dict[str, object]]) -> None:
    for path in (state.path, str(state.spool)):
        book = events.open(path)
        assert book.source == f"the spool {state.spool}"
        requests = book.http_requests()
        assert same(list(requests), made)
        assert same(list(requests), made), "each iteration begins anew"
        assert requests.count() == 60
        assert [row["Action"] for row in book.firewall_events()] == ["block"]
        assert list(book.bartizan_refusals()) == []


@pytest.mark.parametrize("name", ["a.ndjson", "a.ndjson.gz", "a.parquet"])
def test_a_file_gives_what_was_exported(
    state: StateDirectory, made: list[dict[str, object]], tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    export(SpoolSource(state.spool), Excerpt(), file, name.partition(".")[2], lambda _: None)
    book = events.open(file)
    assert book.source == str(file)
    assert same(list(book.http_requests()), made)
    assert same(book.http_requests().to_arrow().cast(by_number(book)).to_pylist(), made)
    with pytest.raises(Failure, match="column Datetime: it is missing, and says when the event was"):
        list(book.firewall_events())


def by_number(book: Events) -> Any:
    """The schema with times as numbers, which Python has no exact type for."""
    import pyarrow as pa

    fields = book.http_requests().schema
    return pa.schema([field.with_type(pa.int64()) if pa.types.is_timestamp(field.type) else field for field in fields])


@needs_chdb
def test_the_event_store_gives_the_same(state: StateDirectory, made: list[dict[str, object]]) -> None:
    keep_for_years(state)
    with running(state):
        eventually(lambda: count(state) == 60, "the rows are in the store")
        book = events.open(state.path)
        assert book.source == "the event store"
        assert same(list(book.http_requests()), made)
        assert same(book.http_requests().to_arrow().cast(by_number(book)).to_pylist(), made)
        narrowed = book.http_requests(
            since=START_NS + 1, until="2026-11-21T16:15:28Z", where="http.response.code eq 404"
        )
        assert same(list(narrowed), [row for row in made[1:15] if row["EdgeResponseStatus"] == 404])
        assert narrowed.count() == len(list(narrowed))
        assert list(book.bartizan_refusals()) == []
        assert book.bartizan_refusals().to_arrow().num_rows == 0
    assert events.open(state.path).source == f"the spool {state.spool}"


def test_times_are_taken_in_each_form(state: StateDirectory, made: list[dict[str, object]]) -> None:
    book = events.open(state.spool)
    moment = datetime(2026, 11, 21, 16, 15, 28, 500_000, tzinfo=UTC)
    for until in (
        moment,
        moment.replace(tzinfo=None),
        moment.astimezone(timezone(timedelta(hours=5, minutes=30))),
        "2026-11-21T16:15:28.5Z",
        "2026-11-21T17:15:28.500+01:00",
        START_NS + 10_500_000_000,
    ):
        assert same(list(book.http_requests(until=until)), made[:15]), until
    assert book.http_requests(since="7d", until=START_NS + 1, columns=["RayID"]).count() <= 1


def test_columns_are_those_that_were_asked_for(state: StateDirectory, made: list[dict[str, object]]) -> None:
    some = events.open(state.spool).http_requests(columns=iter(["EdgeResponseStatus", "RayID"]))
    assert list(some) == [{name: row[name] for name in ("RayID", "EdgeResponseStatus")} for row in made]
    assert some.schema.names == ["RayID", "EdgeResponseStatus"]
    assert some.to_arrow().schema == some.schema


def test_nothing_is_read_before_it_is_asked_for() -> None:
    class Endless:
        name = "a source without end"
        asked = 0

        def rows(self, _: Excerpt) -> Iterator[list[dict[str, object]]]:
            while True:
                self.asked += 1
                yield [{"RayID": str(self.asked)}] * 10

    source = Endless()
    # As much of a source as is needed.
    read = Events(source).http_requests()  # type: ignore[arg-type]
    assert source.asked == 0
    assert len(list(itertools.islice(read, 25))) == 25
    assert source.asked == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"where": "http.hots eq 1"}, 'unknown field "http.hots"'),
        ({"columns": ["RayId"]}, "has no column 'RayId'"),
        ({"columns": []}, "no column is named"),
        ({"since": "noon"}, "'noon' is no time"),
        ({"since": 2, "until": 2}, "nothing lies between them"),
    ],
)
def test_what_makes_no_sense_is_said_at_once(
    state: StateDirectory, made: list[dict[str, object]], arguments: dict[str, Any], said: str
) -> None:
    assert made
    with pytest.raises(Failure, match=said):
        events.open(state.spool).http_requests(**arguments)


def test_what_is_not_there_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="there is neither a directory nor a file"):
        events.open(tmp_path / "none")
    with pytest.raises(Failure, match="there is no spool at"):
        events.open(tmp_path)
