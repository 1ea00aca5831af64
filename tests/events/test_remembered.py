"""What the event store remembers of its inserts: that it has the rows, or takes them again."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from proofs.cut_insert import RENAMES, SHIM
from tests.events.support import (
    ask,
    count,
    eventually,
    kill,
    launch,
    needs_chdb,
    request,
    running,
    sink_status,
    write,
)

from bartizan._native import SpoolReader
from bartizan.config.sinks import DATASETS
from bartizan.durable import replace
from bartizan.events.engine import Engine, Limits
from bartizan.events.journal import Entry, Range
from bartizan.events.remembered import Remembered
from bartizan.layout import StateDirectory

ROLLED_UP = "SELECT sum(Requests) AS n FROM requests_per_minute"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The directory of a table that remembers nothing."""
    made = tmp_path / "store" / "abc" / "abcdef"
    (made / "deduplication_logs").mkdir(parents=True)
    return made


def note(table: Path, *lines: str, file: int = 1) -> Path:
    log = table / "deduplication_logs" / f"deduplication_log_{file}.txt"
    with log.open("a") as opened:
        opened.writelines(line.replace(" ", "\t") + "\n" for line in lines)
    return log


def forgotten(table: Path) -> list[str]:
    return [insert.identifier for insert in Remembered(table.parents[2]).forget_unkept()]


def test_an_insert_without_its_rows_is_forgotten_once(table: Path) -> None:
    (table / "20261121_1_1_0").mkdir()
    (table / "tmp_insert_20261122_2_2_0").mkdir()
    log = note(table, "1 20261121_1_1_0 a", "1 20261122_2_2_0 b")
    assert forgotten(table) == ["b"]
    assert log.read_text().endswith("1\t20261122_2_2_0\tb\n2\t20261122_2_2_0\tb\n")
    assert forgotten(table) == []


@pytest.mark.parametrize("kept", ["20261121_1_9_2", "20261121_3_3_0_11", "20261121_1_9_2_11"])
def test_rows_that_were_merged_or_changed_are_there(table: Path, kept: str) -> None:
    (table / kept).mkdir()
    note(table, "1 20261121_3_3_0 a")
    assert forgotten(table) == []


@pytest.mark.parametrize("other", ["20261121_4_9_2", "20261122_1_9_2", "delete_tmp_20261121_1_9_2", "detached"])
def test_rows_of_others_are_not_taken_for_them(table: Path, other: str) -> None:
    (table / other).mkdir()
    note(table, "1 20261121_3_3_0 a")
    assert forgotten(table) == ["a"]


def test_logs_are_read_in_the_order_of_their_numbers(table: Path) -> None:
    note(table, "1 20261121_1_1_0 a", file=9)
    newest = note(table, "2 20261121_1_1_0 a", "1 20261121_2_2_0 b", file=10)
    assert forgotten(table) == ["b"]
    assert newest.read_text().endswith("2\t20261121_2_2_0\tb\n")


def test_what_a_power_cut_left_of_a_line_goes(table: Path) -> None:
    (table / "20261121_1_1_0").mkdir()
    log = note(table, "1 20261121_1_1_0 a")
    whole = log.read_bytes()
    log.write_bytes(whole + b"1\t2026112")
    assert forgotten(table) == []
    assert log.read_bytes() == whole


def test_a_look_concerns_what_was_noted_since_the_last(table: Path) -> None:
    remembered = Remembered(table.parents[2])
    assert remembered.unkept() == []
    note(table, "1 20261121_1_1_0 a")
    assert [insert.part for insert in remembered.unkept()] == ["20261121_1_1_0"]
    note(table, "1 20261121_2_2_0 b")
    assert [insert.part for insert in remembered.unkept()] == ["20261121_2_2_0"]
    assert remembered.unkept() == []


@needs_chdb
def test_what_was_remembered_before_it_was_there_is_inserted_again(state: StateDirectory) -> None:
    write(state.spool, *(("http_requests", request(number)) for number in range(50)))
    with running(state):
        eventually(lambda: sink_status(state, "chdb").rows == 50, "all is stored")
    # As the owner leaves it that is killed between a line in a log and the rename: in hand, remembered, and not there.
    batch = SpoolReader(state.spool, "oldest").next_batch()
    assert batch is not None
    replace(state.sinks / "chdb" / "journal.json", msgspec.json.encode(Entry(1, in_hand=Range(*batch.range))))
    for part in (state.analytics / "chdb").glob("store/*/*/20*_1_1_*"):
        shutil.rmtree(part)
    with running(state):
        eventually(lambda: sink_status(state, "chdb").rows == 50, "the batch in hand is stored")
        assert count(state) == 50
        assert ask(state, ROLLED_UP) == [{"n": 50}]


@needs_chdb
@pytest.mark.parametrize(
    ("number", "call", "said"),
    [
        # The second part that is put in place is the one of a rollup.
        (2, RENAMES, "1 inserts are called done and are not there"),
        (1, "write *tmp_insert_*/data.bin", "the disk refused what the event store wrote (writes: 1)"),
        (3, "write *tmp_insert_*/columns.txt", "the disk refused what the event store wrote (writes: 1)"),
        (1, "write *deduplication_log_*.txt", "the disk refused what the event store wrote (writes: 1)"),
    ],
)
def test_an_owner_whose_store_loses_what_it_writes_starts_anew(
    state: StateDirectory, tmp_path: Path, number: int, call: str, said: str
) -> None:
    shim, plan = tmp_path / "cut_insert.so", tmp_path / "plan"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", shim, SHIM, "-ldl"], check=True)
    plan.write_bytes(struct.pack("qq", number, 1))
    write(state.spool, *(("http_requests", request(number)) for number in range(50)))
    process = launch(state, environment={"LD_PRELOAD": str(shim), "CUT_AT": str(plan), "CUT_ONLY": call})
    try:
        _, log = process.communicate(timeout=120)
    finally:
        kill(process)
    assert process.returncode == 1
    assert said in log
    with running(state):
        eventually(lambda: sink_status(state, "chdb").rows == 50, "the batch in hand is stored")
        assert count(state) == 50
        assert ask(state, ROLLED_UP) == [{"n": 50}]


MERGES = """\
import struct, sys
from pathlib import Path
from bartizan._native import SpoolReader
from bartizan.config.sinks import DATASETS
from bartizan.events.engine import Engine
from bartizan.events.sinks.contract import SinkFailed

store, plan, *spools = map(Path, sys.argv[1:])
engine = Engine(store)
for spool in spools:
    engine.insert(SpoolReader(spool, "oldest").next_batch(), spool.name, DATASETS)
with plan.open("r+b") as file:  # as it is mapped, not made anew
    file.write(struct.pack("qq", 1, 1))
try:
    engine._run("OPTIMIZE TABLE bartizan.http_requests FINAL")
except Exception as error:
    print(error, file=sys.stderr)
engine.tidy()
print(engine.unsound)
"""


@needs_chdb
def test_a_merge_whose_write_fails_keeps_the_rows(tmp_path: Path) -> None:
    store, shim, plan = tmp_path / "store", tmp_path / "cut_insert.so", tmp_path / "plan"
    spools = [tmp_path / "first", tmp_path / "second"]
    for half, spool in enumerate(spools):
        write(spool, *(("http_requests", request(number)) for number in range(50 * half, 50 * half + 50)))
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", shim, SHIM, "-ldl"], check=True)
    plan.write_bytes(bytes(16))
    layer = {"LD_PRELOAD": str(shim), "CUT_AT": str(plan), "CUT_ONLY": "write *tmp_merge_*"}
    command: list[str | Path] = [sys.executable, "-c", MERGES, store, plan, *spools]
    merged = subprocess.run(command, env=os.environ | layer, capture_output=True, text=True, check=False)
    assert "the disk refused what the event store wrote" in merged.stdout, merged.stderr
    counted = "SELECT (SELECT count() FROM http_requests), (SELECT sum(Requests) FROM requests_per_minute)"
    for _ in range(2):
        engine = Engine(store)
        try:
            assert engine.query(counted, "TSV", Limits()) == b"100\t100\n"
            # As the journal has it done where the owner ended before it knew.
            for spool in spools:
                batch = SpoolReader(spool, "oldest").next_batch()
                assert batch is not None
                engine.insert(batch, spool.name, DATASETS)
        finally:
            engine.close()
