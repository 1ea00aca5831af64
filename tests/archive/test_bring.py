"""A file's rows come into the event store once, whoever is killed meanwhile, and only if every one of them is a row."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.archive.support import rows, without_absent
from tests.events.support import ask, count, eventually, kill, needs_chdb, running, start, write

from bartizan.archive import bring as module
from bartizan.archive.bring import bring, check
from bartizan.archive.excerpt import Excerpt
from bartizan.archive.export import export
from bartizan.archive.file import FileSource, blocks, gathered, table_of
from bartizan.archive.spool import SpoolSource
from bartizan.archive.store import StoreSource
from bartizan.cli import app
from bartizan.events import imports
from bartizan.failure import Failure
from bartizan.layout import StateDirectory

DAY_NS = 86_400 * 1_000_000_000


def recent(number: int) -> list[dict[str, object]]:
    """Rows of the last two days."""
    now = time.time_ns()
    return [
        {**row, "EdgeStartTimestamp": now - nth * 170 * 1_000_000_000 // (1 + number // 1000), "EdgeEndTimestamp": now}
        for nth, row in enumerate(rows(number))
    ]


def told(_: int) -> None:
    pass


def spooled(state: StateDirectory, events: list[dict[str, object]], file: Path) -> Path:
    """An export of these events, which no owner of `state` ever sees in its spool."""
    write(state.path / "elsewhere", *(("http_requests", row) for row in events))
    form = "parquet" if file.suffix == ".parquet" else "ndjson.gz" if file.suffix == ".gz" else "ndjson"
    export(SpoolSource(state.path / "elsewhere"), Excerpt(), file, form, told)
    return file


def sums(state: StateDirectory) -> tuple[int, Any]:
    (in_rollup,) = ask(state, "SELECT sum(Requests) AS n FROM requests_per_minute")
    return count(state), in_rollup["n"]


@needs_chdb
@pytest.mark.parametrize("name", ["a.ndjson", "a.ndjson.gz", "a.parquet"])
def test_what_export_wrote_comes_back_with_rollups_and_once(
    state: StateDirectory, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK_ROWS", 70)
    events = recent(500)
    file = spooled(state, events, tmp_path / name)
    with running(state):
        checked = check(file, state, None, ignore_unknown=False)
        assert (checked.table, checked.rows, checked.rows_too_old, checked.ignored) == ("http_requests", 500, 0, [])
        done = bring(checked, state, told)
        assert (done.rows, done.rows_before) == (500, 0)
        assert sums(state) == (500, 500)
        again = bring(checked, state, told)
        assert (again.rows, again.rows_before) == (0, 500)
        assert sums(state) == (500, 500)
        back = [without_absent(row) for lot in StoreSource(state.events_socket).rows(Excerpt()) for row in lot]
    assert sorted(back, key=lambda row: row["RayID"]) == [without_absent(row) for row in events]
    assert [file.suffix for file in state.imports.iterdir()] == [".json"]


@needs_chdb
@pytest.mark.slow
def test_killed_at_any_moment_nothing_is_doubled_and_nothing_missing(state: StateDirectory, tmp_path: Path) -> None:
    file = spooled(state, recent(3000), tmp_path / "a.ndjson")
    client = (
        "import sys; from bartizan.archive import bring; bring._BLOCK_ROWS = 40; from bartizan.cli import app; "
        "sys.exit(app.run(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", client, "events", "import", str(file), "--state", str(state.path)]
    owner = start(state)
    try:
        for victim in ("client", "owner", "client", "owner", "owner"):
            before = len(list(state.imports.glob("*.json"))) and arrived(state)
            with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as importing:
                eventually(
                    lambda before=before, importing=importing: (  # type: ignore[misc]
                        arrived(state) > before + 150 or importing.poll() is not None
                    ),
                    "some blocks arrive",
                )
                assert importing.poll() is None
                if victim == "client":
                    importing.send_signal(signal.SIGKILL)
                else:
                    kill(owner)
                    assert importing.wait(60) == 1
            if victim == "owner":
                owner = start(state)
        done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=True)
        assert "had been imported before" in done.stdout
        assert sums(state) == (3000, 3000)
        (distinct,) = ask(state, "SELECT uniqExact(RayID) AS n FROM http_requests")
        assert distinct["n"] == 3000
    finally:
        kill(owner)


def arrived(state: StateDirectory) -> int:
    found = (
        [json.loads(file.read_bytes())["rows"] for file in state.imports.glob("*.json")]
        if state.imports.is_dir()
        else []
    )
    return int(found[0]) if found else 0


@needs_chdb
def test_what_an_owner_had_in_hand_is_inserted_before_anything_else(state: StateDirectory, tmp_path: Path) -> None:
    file = spooled(state, recent(20), tmp_path / "a.ndjson")
    state.create()
    checked = check(file, state, None, ignore_unknown=False)
    (batch,) = [gathered(file, "http_requests", block)[0] for block in blocks(file)]
    name = f"{checked.digest[:32]}-http_requests"
    imports.stage(state.imports, name, 0, 20, batch.native("http_requests") or b"")
    # Of a client that saw another journal.
    imports.stage(state.imports, name, 7, 9, b"no rows of anything")
    with running(state):
        eventually(lambda: sums(state) == (20, 20), "the block is inserted")
        assert bring(checked, state, told).rows_before == 20
    assert [file.suffix for file in state.imports.iterdir()] == [".json"]


def lines(file: Path, *rows: object) -> Path:
    content = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)
    return file


@pytest.mark.parametrize(
    ("name", "rows", "said"),
    [
        (
            "a.ndjson",
            [{"EdgeStartTimestamp": 1}, {"EdgeStartTimestamp": 1, "EdgeResponseStatus": "404"}],
            'a.ndjson, line 2, column EdgeResponseStatus: it is a whole number from 0 to 65535, not the text "404"',
        ),
        (
            "a.ndjson.gz",
            [{"EdgeStartTimestamp": 1}, {"RayID": "1"}],
            "a.ndjson.gz, line 2, column EdgeStartTimestamp: it is missing, and says when the event was",
        ),
        ("a.ndjson", [{"EdgeStartTimestamp": 1}, [1]], "a.ndjson, line 2: it is no JSON object: invalid type"),
        (
            "a.ndjson",
            [{"EdgeStartTimestamp": 1, "Colour": 1}, {"EdgeStartTimestamp": 1, "Taste": 1}],
            "a.ndjson: 'Colour' (line 1), 'Taste' (line 2): no column of http_requests; --ignore-unknown leaves such",
        ),
        ("a.ndjson", [{"Colour": 1}], "the columns of a.ndjson are those of no event table; say with --table which"),
        (
            "a.ndjson",
            [{"Datetime": 1, "RayID": "1", "Colour": "red"}],
            "those of firewall_events and bartizan_refusals; say with --table which one is meant",
        ),
        ("a.ndjson", [], "a.ndjson is empty: it holds no row"),
        ("b.ndjson", [], "there is no file missing.ndjson"),
    ],
)
def test_what_is_no_row_is_named_and_nothing_is_imported(
    state: StateDirectory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    rows: list[object],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    lines(tmp_path / name, *rows)
    named = "missing.ndjson" if name == "b.ndjson" else name
    assert app.run(["events", "import", named, "--state", str(state.path)]) == 1
    assert said in capsys.readouterr().err
    assert not state.imports.exists()


def test_a_file_that_is_cut_off_is_said(state: StateDirectory, tmp_path: Path) -> None:
    for name in ("a.ndjson.gz", "a.parquet"):
        file = spooled(state, rows(50), tmp_path / name)
        file.write_bytes(file.read_bytes()[:-20])
        with pytest.raises(Failure, match=r"is cut off or damaged|is no Parquet file that can be read"):
            check(file, state, "http_requests", ignore_unknown=False)


def test_a_type_of_parquet_that_is_another_is_named(state: StateDirectory, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    file = tmp_path / "a.parquet"
    times = pa.array([1_795_277_718, 1_795_277_719], pa.timestamp("s", tz="UTC"))
    pa.parquet.write_table(pa.table({"EdgeStartTimestamp": times, "ClientIP": ["192.0.2.1", "here"]}), file)
    with pytest.raises(Failure, match=r'a.parquet, line 2, column ClientIP: it is an IP address, not the text "here"'):
        check(file, state, None, ignore_unknown=False)


def test_names_of_others_are_left_out_when_asked_and_said(state: StateDirectory, tmp_path: Path) -> None:
    file = lines(
        tmp_path / "logpush.ndjson",
        {"EdgeStartTimestamp": "2026-11-21T16:15:18Z", "RayID": "1", "WorkerSubrequest": False, "RequestHeaders": {}},
        {"EdgeStartTimestamp": 1_000_000_000, "RayID": "2"},
    )
    assert table_of(file) == "http_requests"
    checked = check(file, state, None, ignore_unknown=True)
    assert (checked.rows, checked.rows_too_old, checked.ignored) == (2, 1, ["WorkerSubrequest"])
    (batch,) = FileSource(file).rows(Excerpt())
    assert [row["RayID"] for row in batch] == ["1", "2"]


@needs_chdb
def test_the_command_says_what_came(state: StateDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = lines(
        tmp_path / "old.ndjson", {"EdgeStartTimestamp": time.time_ns() - 40 * DAY_NS, "RayID": "1", "Colour": 1}
    )
    words = ["events", "import", str(old), "--state", str(state.path)]
    assert app.run([*words, "--ignore-unknown"]) == 1
    assert "no event owner is running" in capsys.readouterr().err
    with running(state):
        assert app.run([*words, "--ignore-unknown"]) == 0
        assert capsys.readouterr().out == (
            "imported 1 row of http_requests\n"
            "1 rows are older than events are kept ([events] retention_days): the event store drops them again\n"
            "left out: Colour\n"
        )
        assert app.run([*words, "--ignore-unknown", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {
            "file": str(old), "table": "http_requests", "rows": 0, "rows_before": 1, "rows_too_old": 1,
            "ignored": ["Colour"],
        }  # fmt: skip


@needs_chdb
def test_a_name_that_leads_elsewhere_is_refused(state: StateDirectory) -> None:
    from bartizan.events import control

    with running(state):
        for name in ("", "../x", "0" * 32 + "-../../x", "0" * 31 + "-http_requests"):
            with pytest.raises(Failure, match="is no name of an import"):
                control.take_import(state.events_socket, name)
    assert not (state.path / "x.json").exists()
