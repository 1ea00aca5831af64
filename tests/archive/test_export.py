"""Exports hold the rows that were asked for, in each form and from each source, and are whole or not there."""

from __future__ import annotations

import io
import itertools
import json
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.archive.support import START_NS, keep_for_years, ndjson, rows, without_absent
from tests.events.support import count, eventually, firewall_event, needs_chdb, running, write

from bartizan.archive import export as module
from bartizan.archive import store
from bartizan.archive.excerpt import Excerpt
from bartizan.archive.export import export
from bartizan.archive.rows import Lines
from bartizan.archive.spool import SpoolSource
from bartizan.archive.store import StoreSource
from bartizan.cli import app
from bartizan.events.engine import Limits
from bartizan.failure import Failure
from bartizan.layout import StateDirectory

SECOND_NS = 1_000_000_000


def parquet(file: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet

    table = pa.parquet.read_table(file)
    for nth, column in enumerate(table.schema):
        if pa.types.is_timestamp(column.type):
            times = [f"{time.isoformat().partition('+')[0]}Z" for time in table.column(nth).to_pylist() if time]
            assert len(times) == table.num_rows or column.name not in ("EdgeStartTimestamp", "EdgeEndTimestamp")
            table = table.set_column(nth, column.name, table.column(nth).cast(pa.int64()))
    found: list[dict[str, Any]] = table.to_pylist()
    return found


@pytest.fixture
def spool(state: StateDirectory) -> SpoolSource:
    write(state.spool, *(("http_requests", row) for row in rows(100)), ("firewall_events", firewall_event(3)))
    return SpoolSource(state.spool)


def told(_: int) -> None:
    pass


def test_each_form_of_the_spool_has_the_same_rows(spool: SpoolSource, tmp_path: Path) -> None:
    by_form = {}
    for file_format in module.FORMATS:
        file = tmp_path / f"requests.{file_format}"
        exported = export(spool, Excerpt(), file, file_format, told)
        assert (exported.rows, exported.bytes) == (100, file.stat().st_size)
        by_form[file_format] = parquet(file) if file_format == "parquet" else ndjson(file)
    assert by_form["ndjson"] == by_form["ndjson.gz"]
    assert by_form["ndjson"][1]["EdgeStartTimestamp"] == "2026-11-21T16:15:18.700000001Z"
    assert by_form["ndjson"][0]["RequestHeaders"] == {"accept": "*/*"}
    assert by_form["parquet"][0]["RequestHeaders"] == '{"accept":"*/*"}'
    otherwise = ("EdgeStartTimestamp", "EdgeEndTimestamp", "RequestHeaders")
    same = [
        (without_absent({**line, **{name: row[name] for name in otherwise}}), without_absent(row))
        for line, row in zip(by_form["ndjson"], by_form["parquet"], strict=True)
    ]
    assert [line for line, _ in same] == [row for _, row in same]
    assert [row["EdgeStartTimestamp"] for row in by_form["parquet"]] == [row["EdgeStartTimestamp"] for row in rows(100)]


def test_rows_are_chosen_by_time_and_expression_and_columns_by_name(spool: SpoolSource, tmp_path: Path) -> None:
    chosen = Excerpt(
        since_ns=START_NS + 7 * SECOND_NS,
        until_ns=START_NS + 35 * SECOND_NS + 50,
        where="http.response.code eq 404",
        columns=("RayID", "EdgeResponseStatus", "SecurityActions"),
    )
    wanted = [
        {name: row[name] for name in ("RayID", "EdgeResponseStatus", "SecurityActions")}
        for row in rows(100)[10:50]
        if row["EdgeResponseStatus"] == 404
    ]
    export(spool, chosen, tmp_path / "some.ndjson", "ndjson", told)
    assert ndjson(tmp_path / "some.ndjson") == wanted
    export(spool, chosen, tmp_path / "some.parquet", "parquet", told)
    assert parquet(tmp_path / "some.parquet") == wanted


def test_other_tables_are_exported_and_nothing_is_a_file_too(spool: SpoolSource, tmp_path: Path) -> None:
    assert export(spool, Excerpt("firewall_events"), tmp_path / "a.ndjson", "ndjson", told).rows == 1
    assert ndjson(tmp_path / "a.ndjson")[0]["Description"] == "no scanners"
    for file_format in module.FORMATS:
        none = tmp_path / f"none.{file_format}"
        assert export(spool, Excerpt("bartizan_refusals"), none, file_format, told).rows == 0
        assert (parquet(none) if file_format == "parquet" else ndjson(none)) == []


@needs_chdb
def test_the_store_gives_what_the_spool_gives_in_windows_and_in_order(
    state: StateDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three in one nanosecond, many in one second, and minutes with few.
    crowded = rows(300, step_ns=1_000_003) + rows(40, step_ns=31 * SECOND_NS) + rows(3, step_ns=0)
    for number, row in enumerate(crowded):
        row["RayID"] = f"{number:016x}"
    write(state.spool, *(("http_requests", row) for row in crowded))
    monkeypatch.setattr(store, "WINDOW_ROWS", 25)
    keep_for_years(state)
    with running(state):
        eventually(lambda: count(state) == len(crowded), "the rows are in the store")
        source = StoreSource(state.events_socket)
        windows = list(source.windows(Excerpt()))
        assert max(window.rows for window in windows) <= 25 + 3
        assert sum(window.rows for window in windows) == len(crowded) == source.count(Excerpt())
        assert all(before.end_ns <= after.start_ns for before, after in itertools.pairwise(windows))
        export(source, Excerpt(), tmp_path / "all.ndjson", "ndjson", told)
        export(source, Excerpt(), tmp_path / "all.parquet", "parquet", told)
        some = Excerpt(since_ns=START_NS + 1, where="http.response.code eq 500", columns=("RayID",))
        export(source, some, tmp_path / "some.ndjson", "ndjson", told)
        plain = [row for lot in source.rows(Excerpt()) for row in lot]
    export(SpoolSource(state.spool), Excerpt(), tmp_path / "spool.ndjson", "ndjson", told)

    def by_ray(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted((without_absent(row) for row in found), key=lambda row: str(row["RayID"]))

    of_store = ndjson(tmp_path / "all.ndjson")
    assert by_ray(of_store) == by_ray(ndjson(tmp_path / "spool.ndjson"))
    times = [row["EdgeStartTimestamp"] for row in of_store]
    assert times == sorted(times)
    assert by_ray(plain) == by_ray(crowded)
    assert by_ray(parquet(tmp_path / "all.parquet")) == by_ray(crowded)
    assert sorted(row["RayID"] for row in ndjson(tmp_path / "some.ndjson")) == sorted(
        str(row["RayID"])
        for row in crowded
        if row["EdgeResponseStatus"] == 500 and row["EdgeStartTimestamp"] != START_NS
    )


@needs_chdb
def test_a_window_that_is_too_large_is_halved(
    state: StateDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = [{**row, "ClientRequestReferer": "x" * 10_000} for row in rows(60, step_ns=1_000_000)]
    write(state.spool, *(("http_requests", row) for row in long))
    monkeypatch.setattr(store, "_LIMITS", Limits(result_bytes=150_000))
    keep_for_years(state)
    with running(state):
        eventually(lambda: count(state) == 60, "the rows are in the store")
        source = StoreSource(state.events_socket)
        assert [window.rows for window in source.windows(Excerpt())] == [60]
        assert len(list(source.lines(Excerpt()))) > 4
        assert export(source, Excerpt(), tmp_path / "all.ndjson", "ndjson", told).rows == 60
        monkeypatch.setattr(store, "_LIMITS", Limits(result_bytes=5_000))
        with pytest.raises(Failure, match="the answer is larger than 0 MB"):
            export(source, Excerpt(), tmp_path / "one.ndjson", "ndjson", told)
    found = ndjson(tmp_path / "all.ndjson")
    assert [row["RayID"] for row in found] == [row["RayID"] for row in long]
    assert not (tmp_path / "one.ndjson").exists()


def test_what_is_damaged_in_the_spool_is_said(
    spool: SpoolSource, state: StateDirectory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (segment,) = state.spool.glob("*.spool")
    content = bytearray(segment.read_bytes())
    content[content.index(b"/p/51"[:4], len(content) // 2)] ^= 1
    segment.write_bytes(content)
    assert export(spool, Excerpt(), tmp_path / "a.ndjson", "ndjson", told).rows == 99
    (said,) = caplog.messages
    assert "is damaged and left out" in said


class Broken(SpoolSource):
    """Fails behind its first lines."""

    def lines(self, excerpt: Excerpt) -> Iterator[Lines]:
        yield from super().lines(excerpt)
        raise Failure("the event owner ended")

    def batches(self, excerpt: Excerpt) -> Iterator[Any]:
        yield from super().batches(excerpt)
        raise Failure("the event owner ended")


@pytest.mark.parametrize("file_format", module.FORMATS)
def test_an_export_that_breaks_off_leaves_what_was_there(
    spool: SpoolSource, state: StateDirectory, tmp_path: Path, file_format: str
) -> None:
    assert spool.name == f"the spool {state.spool}"
    file = tmp_path / "requests"
    file.write_text("before")
    with pytest.raises(Failure, match="the event owner ended"):
        export(Broken(state.spool), Excerpt(), file, file_format, told)
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("requests", "before")]


@pytest.mark.parametrize("file_format", ["ndjson.gz", "parquet"])
def test_into_standard_output_the_end_is_missing_where_it_broke_off(
    spool: SpoolSource, state: StateDirectory, monkeypatch: pytest.MonkeyPatch, file_format: str
) -> None:
    class Output:
        buffer = io.BytesIO()

    assert spool.count(Excerpt()) is None
    monkeypatch.setattr(sys, "stdout", Output)
    with pytest.raises(Failure):
        export(Broken(state.spool), Excerpt(), None, file_format, told)
    written = Output.buffer.getvalue()
    if file_format == "parquet":
        assert not written[4:].endswith(b"PAR1")
    else:
        unpacker = zlib.decompressobj(31)
        unpacker.decompress(written)
        assert not unpacker.eof


def test_what_a_killed_export_left_is_removed_by_the_next(spool: SpoolSource, tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from bartizan import durable\n"
        "with durable.replacing(Path(sys.argv[1])) as file:\n"
        "    file.write(b'half'); file.flush(); print('now', flush=True); time.sleep(60)"
    )
    file = tmp_path / "requests.ndjson"
    (tmp_path / ".mine.999999999.1").write_text("not ours")
    with subprocess.Popen([sys.executable, "-c", program, str(file)], stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"now\n"
        killed.send_signal(signal.SIGKILL)
    assert len(list(tmp_path.iterdir())) == 2
    export(spool, Excerpt(), file, "ndjson", told)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".mine.999999999.1", "requests.ndjson"]


def test_the_command_writes_and_says_what(
    spool: SpoolSource, state: StateDirectory, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    file = tmp_path / "requests.jsonl"
    common = ["events", "export", "--state", str(state.path)]
    assert app.run([*common, str(file), "--until", "2026-11-21T16:15:28Z"]) == 0
    size = file.stat().st_size
    assert capfdbinary.readouterr().out.decode() == (
        f"15 rows of http_requests from {spool.name}: {size:,} bytes in {file}\n"
    )
    assert app.run([*common, str(file), "--until", "2026-11-21T16:15:28Z", "--force", "--json"]) == 0
    assert json.loads(capfdbinary.readouterr().out) == {
        "table": "http_requests", "source": spool.name, "file": str(file), "format": "ndjson", "rows": 15,
        "bytes": size,
    }  # fmt: skip
    assert app.run([*common, "--columns", "RayID, Action", "--table", "firewall_events", "--json"]) == 0
    shown = capfdbinary.readouterr()
    assert shown.out == b'{"RayID":"0000000000000003","Action":"block"}\n'
    assert json.loads(shown.err)["rows"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["there.ndjson"], "there.ndjson is there already; name another file, or replace it with --force"),
        (["requests.csv"], "the ending of requests.csv names no format; use .ndjson, .ndjson.gz or .parquet"),
        (["missing/a.ndjson"], "there is no directory missing; make it first"),
        (["a.ndjson", "--columns", "RayId"], "table http_requests has no column 'RayId'; docs/reference/events.md"),
        (["a.ndjson", "--columns", ","], "no column is named"),
        (["a.ndjson", "--since", "yesterday"], "'yesterday' is no time; give one as 2026-11-21T16:15:18Z"),
        (["a.ndjson", "--since", "1969-01-01"], "1969-01-01T00:00:00 is before 1970"),
        (["a.ndjson", "--since", "1h", "--until", "2h"], "the time to begin with is not before the time to end with"),
        (["a.ndjson", "--where", "http.hots eq 1"], 'unknown field "http.hots"'),
        (["a.ndjson", "--where", "ssl", "--table", "firewall_events"], "is about http_requests and not firewall_ev"),
        (["a.ndjson", "--from", "store"], "no event owner is running"),
    ],
)
def test_what_cannot_be_exported_is_said(
    spool: SpoolSource,
    state: StateDirectory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    assert spool.count(Excerpt()) is None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.ndjson").write_text("")
    assert app.run(["events", "export", "--state", str(state.path), *words]) == 1
    assert said in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["there.ndjson"]


def test_without_a_spool_there_is_nothing_to_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["events", "export", str(tmp_path / "a.ndjson"), "--state", str(tmp_path / "none")]) == 1
    assert f"there is no spool at {tmp_path}/none/spool" in capsys.readouterr().err
