"""The event owner as a process, with the real engine."""

from __future__ import annotations

import random
import socket
import stat
import subprocess
import sys
import threading
import time

import msgspec
import pytest
from tests.events.sinks.delivery import kill_within_an_insert
from tests.events.support import (
    SECOND_NS,
    ask,
    count,
    eventually,
    firewall_event,
    kill,
    name_sinks,
    needs_chdb,
    request,
    running,
    sink_status,
    start,
    write,
)

from bartizan._native import SpoolWriter
from bartizan.events import control
from bartizan.events.engine import QUERIES_AT_ONCE, Engine, Limits, QueryRefused
from bartizan.events.journal import Entry
from bartizan.failure import Failure
from bartizan.layout import StateDirectory

WITHOUT_CHDB = """
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "chdb" else find(name, *rest)
from bartizan.events.__main__ import main
raise SystemExit(main())
"""


@needs_chdb
def test_events_are_found_with_the_types_they_were_written_with(state: StateDirectory) -> None:
    values = request(
        1,
        EdgeStartTimestamp=1_709_210_096_007_000_001,
        ClientIP="2001:db8::1",
        SecurityActions=["log", "block"],
        EdgeResponseCompressionRatio=2.5,
        EdgeResponseBytes=2**60,
        ClientRequestPath="/\u00fc\n'\\",
    )
    # An old event would be dropped by its retention at once; the time is checked on its own.
    stored = values | {"EdgeStartTimestamp": time.time_ns() // SECOND_NS * SECOND_NS + 7_000_001}
    write(state.spool, ("http_requests", stored), ("firewall_events", firewall_event(1)))
    with running(state):
        eventually(lambda: count(state) == 1 and count(state, "firewall_events") == 1, "both rows are stored")
        (row,) = ask(
            state,
            "SELECT *, toUnixTimestamp64Nano(EdgeStartTimestamp) AS ns FROM http_requests "
            "WHERE ClientIP = '2001:db8::1'",
        )
        for column in (
            "RayID",
            "ClientRequestPath",
            "SecurityActions",
            "EdgeResponseCompressionRatio",
            "EdgeResponseBytes",
        ):
            assert row[column] == values[column], column
        assert row["ns"] == stored["EdgeStartTimestamp"]
        assert (row["OriginIP"], row["OriginResponseStatus"], row["SecurityRuleIDs"]) == ("", 0, [])
        (event,) = ask(state, "SELECT Action, RuleID, BartizanPolicyVersion AS version FROM firewall_events")
        assert event == {"Action": "block", "RuleID": "a" * 32, "version": 3}


@needs_chdb
def test_what_is_written_while_it_runs_is_found(state: StateDirectory) -> None:
    with running(state):
        writer = SpoolWriter(state.spool)
        for number in range(3):
            writer.push("http_requests", request(number))
            eventually(lambda number=number: count(state) == number + 1, "the row is stored")  # type: ignore[misc]
        writer.close()
        # A row is found a moment before the journal says that it arrived.
        eventually(lambda: control.status(state.events_socket).rows_shipped == 3, "the journal has all three")
        status = control.status(state.events_socket)
        assert (status.engine, status.problem) == ("chdb", "")


@needs_chdb
@pytest.mark.slow
def test_a_killed_owner_neither_loses_nor_doubles_a_row(state: StateDirectory) -> None:
    total, seed = 60_000, 20260321
    chance = random.Random(seed)
    now = time.time_ns()
    # Over three days, so that one insert fills three partitions and can be cut in between.
    rows = [
        ("http_requests", request(number, EdgeStartTimestamp=now - number % 3 * 86_400 * SECOND_NS))
        for number in range(total)
    ]
    write(state.spool, *rows, segment_bytes=1 << 20)
    journal = state.sinks / "chdb" / "journal.json"

    def entry() -> Entry:
        try:
            return msgspec.json.decode(journal.read_bytes(), type=Entry)
        except FileNotFoundError:
            return Entry(1)

    kill_within_an_insert(state, entry)
    for _ in range(7):
        process = start(state)
        before = entry().rows
        deadline = time.monotonic() + 30
        # Into the middle of an insert: a range is in hand that is not the one this process began with.
        while time.monotonic() < deadline and not ((now_in := entry()).in_hand and now_in.rows > before):
            if now_in.rows == total:
                break
        time.sleep(chance.uniform(0, 0.03))
        kill(process)
    with running(state):
        eventually(lambda: entry().rows == total, "all is shipped", 90)
        (answer,) = ask(
            state, "SELECT count() AS n, uniqExact(RayID) AS rays, min(RayID) AS a, max(RayID) AS z FROM http_requests"
        )
        rolled_up = ask(
            state,
            "SELECT (SELECT sum(Requests) FROM requests_per_minute) AS minutes, "
            "(SELECT sum(entry.2) FROM (SELECT arrayJoin(approx_top_sumMerge(100)(ClientRequestPath)) AS entry "
            "FROM requests_top_per_minute)) AS top",
        )
    assert answer == {"n": total, "rays": total, "a": f"{0:016x}", "z": f"{total - 1:016x}"}
    assert rolled_up == [{"minutes": total, "top": total}]


@needs_chdb
def test_a_second_owner_is_refused_by_name(state: StateDirectory) -> None:
    with running(state) as process:
        with pytest.raises(AssertionError) as refused:
            start(state)
        assert f"an event owner runs here already (process {process.pid}, {state.path}" in str(refused.value)
        assert count(state) == 0


@needs_chdb
def test_queries_only_read_and_stop_at_their_limits(state: StateDirectory) -> None:
    write(state.spool, ("http_requests", request(1)))
    with running(state):
        eventually(lambda: count(state) == 1, "the row is stored")

        def refused(sql: str, limits: Limits | None = None) -> str:
            with pytest.raises(Failure) as failure:
                control.query(state.events_socket, sql, "CSV", limits)
            return str(failure.value)

        assert "queries only read" in refused("TRUNCATE TABLE http_requests")
        assert "file() reaches outside" in refused("SELECT file('/etc/passwd')")
        assert "s3() reaches outside" in refused("SELECT * FROM s3('http://127.0.0.1:1/x')")
        assert "readonly" in refused("SELECT * FROM http_requests SETTINGS readonly = 0")
        assert "longer than its limit of 0.3 s" in refused("SELECT sleep(2)", Limits(seconds=0.3))
        assert "more than its limit of 50 MB" in refused(
            "SELECT groupArray(number) FROM numbers(100000000)", Limits(memory_bytes=50_000_000)
        )
        assert "larger than 1 MB" in refused("SELECT number FROM numbers(10000000)", Limits(result_bytes=1_000_000))
        assert "'http_requets'" in refused("SELECT * FROM http_requets")
        assert "a query may take from 0.1 to 3600 s, not 0" in refused("SELECT 1", Limits(seconds=0))
        assert "a query may take from 0.1 to 3600 s, not 3601" in refused("SELECT 1", Limits(seconds=3601))
        assert "a query may take from 0.1 to 3600 s, not 1e-09" in refused("SELECT 1", Limits(seconds=1e-9))
        assert count(state) == 1


def test_so_many_queries_run_at_once_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the engine's own part: it may not be opened by a process that forks."""
    monkeypatch.setattr("bartizan.events.engine._ROOM_S", 0.05)
    engine = object.__new__(Engine)
    engine._room = threading.BoundedSemaphore(QUERIES_AT_ONCE)
    engine._table_functions = frozenset()
    begun, over = threading.Semaphore(0), threading.Event()

    def run(*_: object) -> bytes:
        begun.release()
        over.wait(30)
        return b"1\n"

    monkeypatch.setattr(engine, "_query", run)
    threads = [
        threading.Thread(target=engine.query, args=("SELECT 1", "CSV", Limits())) for _ in range(QUERIES_AT_ONCE)
    ]
    for thread in threads:
        thread.start()
    assert all(begun.acquire(timeout=30) for _ in threads)
    with pytest.raises(QueryRefused, match="4 queries run already; try again when one of them is done"):
        engine.query("SELECT 1", "CSV", Limits())
    over.set()
    for thread in threads:
        thread.join()
    assert engine.query("SELECT 1", "CSV", Limits()) == b"1\n"


@needs_chdb
def test_an_answer_comes_in_the_format_asked_for(state: StateDirectory) -> None:
    with running(state):
        sql = "SELECT number AS n, 'a' AS s FROM numbers(2)"
        assert control.query(state.events_socket, sql, "CSVWithNames") == b'"n","s"\n0,"a"\n1,"a"\n'
        assert control.query(state.events_socket, sql, "JSONEachRow") == b'{"n":0,"s":"a"}\n{"n":1,"s":"a"}\n'
        parquet = control.query(state.events_socket, sql, "Parquet")
        assert (parquet[:4], parquet[-4:]) == (b"PAR1", b"PAR1")
        broken = control.query(state.events_socket, "SELECT unhex('ff') AS x", "JSONEachRow")
        assert msgspec.json.decode(broken) == {"x": "\ufffd"}


@needs_chdb
def test_a_column_that_an_older_release_did_not_have_is_added(state: StateDirectory) -> None:
    with running(state):
        pass
    # An older release: the same table without two columns.
    older = f"""\
import chdb
connection = chdb.connect({str(state.analytics / "chdb")!r})
for column in ("BartizanOutcome", "JA3Hash"):
    connection.query(f"ALTER TABLE bartizan.http_requests DROP COLUMN {{column}}")
connection.close()
"""
    subprocess.run([sys.executable, "-c", older], check=True)
    write(state.spool, ("http_requests", request(1, JA3Hash="t13d")))
    with running(state):
        eventually(lambda: count(state) == 1, "the row is stored")
        assert ask(state, "SELECT JA3Hash, BartizanOutcome FROM http_requests") == [
            {"JA3Hash": "t13d", "BartizanOutcome": "ok"}
        ]


@needs_chdb
def test_the_socket_takes_questions_one_after_another_and_is_its_owners(state: StateDirectory) -> None:
    with running(state):
        assert stat.S_IMODE(state.events_socket.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rb") as answers:
            connection.connect(str(state.events_socket))
            for question, answer in (
                (b"{", {"ok": False}),
                (
                    b'{"command":"dance"}',
                    {"ok": False, "error": "there is no command 'dance'; use query, import, purge, status or stop"},
                ),
                (b'{"command":"query","sql":"SELECT 1","format":"CSV"}', {"ok": True, "bytes": 2}),
            ):
                connection.sendall(question + b"\n")
                reply = msgspec.json.decode(answers.readline())
                assert reply | answer == reply
                assert answers.read(reply.get("bytes", 0)) == (b"1\n" if reply["ok"] else b"")


def test_without_the_engine_it_runs_says_so_and_stops(state: StateDirectory) -> None:
    write(state.spool, ("http_requests", request(1)))
    process = start(state, program=WITHOUT_CHDB)
    try:
        status = control.status(state.events_socket)
        assert (status.engine, status.rows_shipped) == ("none", 0)
        with pytest.raises(Failure, match=r"pip install 'bartizan\[analytics\]'"):
            control.query(state.events_socket, "SELECT 1", "CSV")
        control.stop(state.events_socket)
        _, log = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "events stay in the spool" in log
    finally:
        if process.poll() is None:
            kill(process)


@needs_chdb
def test_a_damaged_journal_stops_its_sink_alone_with_one_sentence(state: StateDirectory) -> None:
    name_sinks(state, copy={"type": "files", "dir": str(state.path / "copy"), "every_s": 0.1})
    write(state.spool, ("http_requests", request(1)))
    (state.sinks / "chdb").mkdir()
    journal = state.sinks / "chdb" / "journal.json"
    journal.write_text("{")
    with running(state):
        eventually(lambda: sink_status(state, "copy").rows == 1, "the other sink has the row")
        eventually(lambda: "is damaged" in sink_status(state, "chdb").problem, "the sink says what is wrong")
        assert f"the shipping journal {journal} is damaged" in sink_status(state, "chdb").problem
        assert count(state) == 0
        journal.unlink()
        eventually(lambda: sink_status(state, "chdb").rows == 1, "removing the journal is the way out")


@needs_chdb
def test_the_journal_of_an_older_release_is_moved_over(state: StateDirectory) -> None:
    write(state.spool, ("http_requests", request(1)))
    (segment,) = state.spool.glob("*.spool")
    state.analytics.mkdir()
    edge = (state.spool / "edge-id").read_text().strip()
    before = Entry(1, place=(1, segment.stat().st_size), edge=edge, rows=7)
    (state.analytics / "shipped.json").write_bytes(msgspec.json.encode(before))
    with running(state):
        assert sink_status(state, "chdb").rows == 7
        write(state.spool, ("http_requests", request(2)))
        eventually(lambda: sink_status(state, "chdb").rows == 8, "it goes on where the older release was")
        assert count(state) == 1
    assert not (state.analytics / "shipped.json").exists()
