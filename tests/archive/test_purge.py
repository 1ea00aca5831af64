"""What was to be deleted is gone wherever this machine keeps it, the rest is as before, and what is left is said."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.events.support import (
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

from bartizan.archive import purge as module
from bartizan.archive.purge import Place, purge
from bartizan.archive.reading import Events
from bartizan.archive.spool import SpoolSource
from bartizan.cli import app
from bartizan.durable import replace
from bartizan.events.purging import Scope, scope
from bartizan.failure import Failure
from bartizan.layout import StateDirectory

CLIENT = "203.0.113.7"
MINUTE_NS = 60_000_000_000

ROLLUP = """\
SELECT ZoneName, toString(Minute) AS minute, EdgeResponseStatus, sum(Requests) AS requests,
  sum(EdgeResponseBytes) AS bytes, uniqCombinedMerge(12)(Clients) AS clients,
  quantilesBFloat16WeightedMerge(0.5, 0.9, 0.99)(TimeToFirstByteMs) AS times
FROM requests_per_minute GROUP BY ALL ORDER BY ALL"""
FIREWALL_ROLLUP = """\
SELECT ZoneName, toString(Minute) AS minute, sum(Events) AS events, uniqCombinedMerge(12)(Clients) AS clients
FROM firewall_events_per_minute GROUP BY ALL ORDER BY ALL"""
TOP = """\
SELECT ZoneName, toString(Minute) AS minute,
  arraySort(x -> x.1, approx_top_sumMerge(100)(ClientIP)) AS clients
FROM requests_per_minute_top GROUP BY ALL ORDER BY ALL""".replace("requests_per_minute_top", "requests_top_per_minute")
TOP_OF_HOURS = TOP.replace("Minute", "Hour").replace("per_minute", "per_hour")


def told(_: int) -> None:
    pass


def events() -> list[tuple[str, dict[str, object]]]:
    """Requests and acting rules of three clients and two zones, one each ten seconds of the last hour and before."""
    start_ns = time.time_ns() // MINUTE_NS * MINUTE_NS - 60 * MINUTE_NS
    made: list[tuple[str, dict[str, object]]] = []
    for number in range(240):
        what = {
            "ZoneName": ("shop", "blog")[number % 2],
            "ClientIP": (CLIENT, "203.0.113.8", "2001:db8::1")[number % 3],
        }
        at = start_ns + number * 10_000_000_000
        row = request(
            number, EdgeStartTimestamp=at, EdgeResponseBytes=number, EdgeTimeToFirstByteMs=number % 50, **what
        )
        made.append(("http_requests", row))
        if number % 5 == 0:
            made.append(("firewall_events", firewall_event(number, Datetime=at, **what)))
    refusal = {"Datetime": start_ns, "Reason": "overload", "ClientIP": CLIENT, "SampleInterval": 1}
    return [*made, ("bartizan_refusals", refusal)]


def is_meant(table: str, row: dict[str, Any], wanted: Scope) -> bool:
    moment = row["EdgeStartTimestamp" if table == "http_requests" else "Datetime"]
    return (
        (wanted.before_ns is None or moment < wanted.before_ns)
        and wanted.zone in (None, row.get("ZoneName"))
        and wanted.client in (None, row["ClientIP"])
    )


def in_store(state: StateDirectory, *rows: tuple[str, dict[str, object]]) -> None:
    # Rows are found before the insert of which they are is over, and each rollup has them at its own time.
    eventually(lambda: sink_status(state, "chdb").rows == len(rows), "the rows are in the store and its rollups", 60)


def rays(state: StateDirectory, table: str) -> list[str]:
    return sorted(str(row["RayID"]) for row in ask(state, f"SELECT RayID FROM {table}"))  # noqa: S608


def of(rows: list[tuple[str, dict[str, object]]], table: str) -> list[str]:
    return sorted(str(row["RayID"]) for name, row in rows if name == table)


@needs_chdb
@pytest.mark.slow
@pytest.mark.parametrize("by", ["client", "client and zone", "zone", "before", "before and zone"])
def test_rows_and_rollups_are_those_of_a_store_that_never_had_them(state: StateDirectory, by: str) -> None:
    made = events()
    middle = int(made[150][1].get("EdgeStartTimestamp") or made[150][1]["Datetime"])  # type: ignore[call-overload]
    wanted = scope(
        before_ns=middle if "before" in by else None,
        zone="shop" if "zone" in by else None,
        client=CLIENT if "client" in by else None,
    )
    left = [(table, row) for table, row in made if not is_meant(table, row, wanted)]
    assert len(made) - len(left) > 20
    other = StateDirectory(state.path / "o")
    write(state.spool, *made)
    other.create()
    write(other.spool, *left)
    with running(state), running(other):
        in_store(state, *made)
        in_store(other, *left)
        done = purge(wanted, state, author="me", came=told)
        assert done.places[1] == Place("the event store and its rollups", len(made) - len(left))
        for table in ("http_requests", "firewall_events"):
            assert rays(state, table) == rays(other, table) == of(left, table)
        assert count(state, "bartizan_refusals") == count(other, "bartizan_refusals")
        for question in (ROLLUP, FIREWALL_ROLLUP, TOP):
            assert ask(state, question) == ask(other, question)
            assert len(ask(other, question)) > 10
        assert ask(state, TOP_OF_HOURS) == ask(other, TOP_OF_HOURS) != []
        again = purge(wanted, state, author="me", came=told)
        assert again.places[1].rows == 0
        assert ask(state, ROLLUP) == ask(other, ROLLUP)
        assert ask(state, TOP_OF_HOURS) == ask(other, TOP_OF_HOURS)
    assert not state.purge.exists()


@needs_chdb
def test_a_purge_that_was_cut_short_is_completed_by_the_next_owner(state: StateDirectory) -> None:
    made = events()
    write(state.spool, *made)
    wanted = scope(before_ns=None, zone=None, client=CLIENT)
    owner = start(state)
    in_store(state, *made)
    kill(owner)
    # As an owner leaves it that was killed between the two.
    replace(state.purge, b'{"client":"' + CLIENT.encode() + b'"}')
    with running(state):
        left = [row for row in made if not is_meant(*row, wanted)]
        eventually(lambda: not state.purge.exists(), "the purge is completed")
        assert count(state) == len(of(left, "http_requests"))
        for question in (TOP, TOP_OF_HOURS):
            (top,) = ask(state, f"SELECT countIf(has(clients.1, '{CLIENT}')) AS n FROM ({question})")  # noqa: S608
            assert top["n"] == 0


def files_of(directory: Path) -> str:
    """All that stands in the files of a directory, unpacked."""
    import pyarrow.parquet

    found = ""
    for file in sorted(path for path in directory.rglob("*") if path.is_file()):
        if file.suffix == ".gz":
            found += gzip.decompress(file.read_bytes()).decode()
        elif file.suffix == ".parquet":
            found += str(pyarrow.parquet.read_table(file, partitioning=None).to_pylist())
        elif "analytics" not in file.parts:
            found += file.read_bytes().decode(errors="replace")
    return found


@pytest.mark.parametrize("form", [{"format": "ndjson"}, {"compression": "gzip"}, {"format": "parquet"}])
def test_files_of_sinks_keep_the_other_rows(state: StateDirectory, tmp_path: Path, form: dict[str, str]) -> None:
    made = events()
    target = tmp_path / "export"
    files = {"type": "files", "dir": str(target), "every_s": 0.01, **form}
    name_sinks(
        state,
        files=files,
        log={"type": "syslog", "address": "127.0.0.1:1"},
        lines={"type": "access_log", "file": str(tmp_path / "access.log")},
        chdb={"type": "chdb", "enabled": False},
    )
    write(state.spool, *made, segment_bytes=20_000)
    with running(state):
        eventually(lambda: sink_status(state, "files").rows == len(made), "the files are written", 60)
    before = len(list(target.rglob("*.*")))
    assert before >= 3
    assert CLIENT in files_of(target)
    wanted = scope(before_ns=None, zone=None, client=CLIENT)
    looked: list[int] = []
    assert module.files(state) == before
    done = purge(wanted, state, author="me", came=looked.append)
    places = {place.name: place for place in done.places}
    rows = sum(is_meant(*row, wanted) for row in made)
    assert places[f"the files of sink files in {target}"] == Place(f"the files of sink files in {target}", rows)
    beyond = "what it was sent is beyond reach: delete it where this sink sends events"
    assert places["sink log (syslog)"] == Place("sink log (syslog)", elsewhere=beyond)
    lines = f"its lines are in {tmp_path}/access.log, which is not changed while it is written: rotate and remove that"
    assert places["sink lines (access_log)"] == Place("sink lines (access_log)", left=lines)
    assert not done.is_complete
    assert sum(looked) == before
    assert CLIENT not in files_of(target)
    assert files_of(target).count("203.0.113.8") >= sum(row["ClientIP"] == "203.0.113.8" for _, row in made)
    earlier = scope(before_ns=time.time_ns() + MINUTE_NS, zone=None, client=None)
    purge(earlier, state, author="me", came=told)
    assert list(target.rglob("*.*")) == []


def test_the_spool_and_refused_rows_keep_the_others(state: StateDirectory) -> None:
    made = events()
    write(state.spool, *made, segment_bytes=20_000)
    replace(state.spool / "shipping", b'{"format":1,"sinks":[]}')
    letters = state.sinks / "s" / "dead-letter.ndjson"
    letters.parent.mkdir()
    row = {"EdgeStartTimestamp": "2026-11-21T16:15:18.000000000Z", "ZoneName": "shop"}
    refused = [
        json.dumps({"batch": "b", "table": "http_requests", "reason": "r", "row": {**row, "ClientIP": client}}) + "\n"
        for client in (CLIENT, "203.0.113.8")
    ]
    letters.write_text("".join(refused))
    wanted = scope(before_ns=None, zone="shop", client=CLIENT)
    done = purge(wanted, state, author="me", came=told)
    gone = sum(is_meant(*each, wanted) for each in made)
    assert done.places == [
        Place(f"the spool {state.spool}", gone),
        Place("the event store", 0),
        Place("dead letters of sink s", 1),
    ]
    assert done.is_complete
    assert letters.read_text() == refused[1]
    book = Events(SpoolSource(state.spool))
    left = [row for row in made if not is_meant(*row, wanted)]
    assert [str(row["RayID"]) for row in book.http_requests()] == [
        str(r["RayID"]) for t, r in left if t == "http_requests"
    ]
    assert book.bartizan_refusals().count() == 1


def test_what_an_edge_still_writes_is_said_to_be_there(state: StateDirectory) -> None:
    from bartizan._native import SpoolWriter

    writer = SpoolWriter(state.spool)
    assert writer.push("http_requests", request(1, ClientIP=CLIENT))
    eventually(lambda: writer.rows_written == 1, "it is written")
    done = purge(scope(before_ns=None, zone=None, client=CLIENT), state, author="me", came=told)
    assert done.places[0].left.startswith("1 rows are in segments that are being written, read or shipped")
    assert not done.is_complete
    writer.close()


def test_the_audit_log_has_it_first_and_not_the_address(state: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no disk")

    monkeypatch.setattr(module, "purge_spool", fail)
    with pytest.raises(Failure, match="no disk; run the purge again when that is mended"):
        purge(scope(before_ns=120_000_000_001, zone="shop", client=CLIENT), state, author="me", came=told)
    with sqlite3.connect(state.store) as store:
        rows = store.execute("SELECT actor, action, target, details FROM audit_log").fetchall()
    store.close()
    assert rows == [
        (
            "me",
            "purge",
            "events of zone shop from before 1970-01-01T00:02:00Z of one client",
            '{"before_ns":120000000000,"zone":"shop"}',
        )
    ]


def policy(state: StateDirectory, client_ip: str) -> None:
    replace(state.current_policy, json.dumps({"edge": {"events": {"client_ip": client_ip}}}).encode())


@pytest.mark.parametrize(
    ("client_ip", "words", "said"),
    [
        ("full", [], "say which events: give --before, --zone or --client"),
        ("full", ["--client", "here"], "'here' is no IP address"),
        ("full", ["--before", "soon"], "'soon' is no time"),
        ("full", ["--client", CLIENT], "it would delete for good, and nobody is there to ask; say --yes"),
        ("hashed", ["--client", CLIENT, "--yes"], 'events have no 203.0.113.7: [events] client_ip = "hashed"'),
        ("truncated", ["--client", CLIENT, "--yes"], "keeps 203.0.113.0 for all clients of 203.0.113.0/24"),
        ("truncated", ["--client", "2001:db8::1", "--yes"], "keeps 2001:db8:: for all clients of 2001:db8::/48"),
    ],
)
def test_what_cannot_be_purged_is_said(
    state: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    client_ip: str,
    words: list[str],
    said: str,
) -> None:
    policy(state, client_ip)
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    assert app.run(["events", "purge", "--state", str(state.path), *words]) == 1
    assert said in capsys.readouterr().err
    assert not state.store.exists()


@pytest.mark.parametrize(("client_ip", "client"), [("hashed", "100::1:2:3:4"), ("truncated", "203.0.113.0")])
def test_an_address_as_events_have_it_is_taken(state: StateDirectory, client_ip: str, client: str) -> None:
    policy(state, client_ip)
    write(state.spool, ("http_requests", request(1, ClientIP=client)), ("http_requests", request(2)))
    replace(state.spool / "shipping", b'{"format":1,"sinks":[]}')
    assert app.run(["events", "purge", "--state", str(state.path), "--client", client, "--yes"]) == 0
    assert Events(SpoolSource(state.spool)).http_requests().count() == 1


class Person(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_person_is_asked_and_told(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(state.spool, ("http_requests", request(1, ClientIP=CLIENT)), ("http_requests", request(2)))
    replace(state.spool / "shipping", b'{"format":1,"sinks":[]}')
    words = ["events", "purge", "--state", str(state.path), "--client", f"::ffff:{CLIENT}"]
    monkeypatch.setattr(sys, "stdin", Person("no\n"))
    assert app.run(words) == 1
    said = capsys.readouterr()
    assert "delete the events of the client 203.0.113.7 here, for good? Type yes: " in said.err
    assert said.err.endswith("nothing was deleted\n")
    monkeypatch.setattr(sys, "stdin", Person("yes\n"))
    assert app.run(words) == 0
    assert capsys.readouterr().out == f"the spool {state.spool}: 1 row deleted\nthe event store: 0 rows deleted\n"
    assert app.run([*words, "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "scope": "events of the client 203.0.113.7",
        "places": [
            {"name": f"the spool {state.spool}", "rows": 0, "left": "", "elsewhere": ""},
            {"name": "the event store", "rows": 0, "left": "", "elsewhere": ""},
        ],
        "complete": True,
    }


def test_a_state_directory_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["events", "purge", "--zone", "shop", "--yes", "--state", str(tmp_path / "none")]) == 1
    assert "there is no state directory" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
