from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.events.support import firewall_event, request, write

from bartizan.cli.tail import rfc3339, tail
from bartizan.failure import Failure
from bartizan.layout import StateDirectory

TIME = 1_709_210_096_007_000_001


def show(place: StateDirectory, **options: object) -> None:
    settings: dict[str, object] = {
        "site": None,
        "state": place.path,
        "table": "http_requests",
        "action": None,
        "zone": None,
        "status": None,
        "where": None,
        "columns": None,
        "limit": 10,
        "no_follow": True,
        "json": False,
    }
    assert tail(**(settings | options)) == 0  # type: ignore[arg-type]


def test_a_line_says_what_happened(state: StateDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = {"EdgeResponseStatus": 403, "SecurityAction": "block", "SecurityActions": ["block"]}
    row = request(1, EdgeStartTimestamp=TIME, EdgeTimeToFirstByteMs=2, ClientRequestURI="/a\x1b[2J", **blocked)
    write(state.spool, ("http_requests", row))
    show(state)
    assert capsys.readouterr().out == (
        "12:34:56.007 403 block    203.0.113.1     GET  shop.example /a\\x1b[2J 2ms   ok      0000000000000001\n"
    )


def test_json_has_every_field_and_readable_times(state: StateDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    event = firewall_event(1, Datetime=TIME)
    write(state.spool, ("firewall_events", event), ("http_requests", request(2)))
    show(state, table="firewall_events", json=True)
    (line,) = capsys.readouterr().out.splitlines()
    assert msgspec.json.decode(line) == event | {"Datetime": "2024-02-29T12:34:56.007000001Z"}


def test_columns_are_chosen(state: StateDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    write(state.spool, *(("http_requests", request(number)) for number in range(3)))
    show(state, columns="RayID, ClientIP", limit=1)
    show(state, columns="RayID", limit=1, json=True)
    assert capsys.readouterr().out == '0000000000000002 203.0.113.2\n{"RayID":"0000000000000002"}\n'


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"table": "nope"}, "no table 'nope'; the tables are http_requests, firewall_events, bartizan_refusals"),
        ({"columns": "RayID,Nope"}, "table http_requests has no column 'Nope'"),
        ({"status": "4x"}, "give a status as 404, or a class as 4xx"),
        ({"status": "999"}, "give a status as 404"),
        ({"table": "bartizan_refusals", "zone": "shop"}, "--zone: events of table bartizan_refusals have no column"),
        ({"table": "bartizan_refusals", "action": "block"}, "--action: events of table bartizan_refusals have no"),
    ],
)
def test_what_cannot_be_shown_is_said(state: StateDirectory, options: dict[str, object], complaint: str) -> None:
    with pytest.raises(Failure, match=complaint):
        show(state, **options)


def test_a_state_directory_that_is_not_there_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=rf"no spool at {tmp_path}/nowhere/spool"):
        show(StateDirectory(tmp_path / "nowhere"), no_follow=False)


def test_the_site_file_says_where_the_events_are(
    state: StateDirectory, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write(tmp_path / ".bartizan" / "spool", ("http_requests", request(7)))
    show(state, state=None, site=tmp_path / "shop.toml", columns="RayID")
    assert capsys.readouterr().out == "0000000000000007\n"


def test_a_spool_that_is_not_there_yet_is_waited_for_aloud(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "bartizan.cli", "tail", "--state", str(tmp_path), "--columns", "RayID"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PYTHONUNBUFFERED": "1"}, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert process.stderr.readline() == f"bartizan tail: waiting for the first event in {tmp_path}/spool\n"
            write(tmp_path / "spool", ("http_requests", request(1)))
            assert process.stdout.readline() == "0000000000000001\n"
        finally:
            process.send_signal(signal.SIGINT)


def test_a_state_directory_without_a_spool_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=rf"no spool at {tmp_path}/spool"):
        show(StateDirectory(tmp_path))


def test_a_spool_of_a_newer_release_is_refused_by_name(state: StateDirectory) -> None:
    write(state.spool, ("http_requests", request(1)))
    (segment,) = state.spool.glob("*.spool")
    content = bytearray(segment.read_bytes())
    content[8] = 2
    segment.write_bytes(content)
    with pytest.raises(Failure, match="format version 2 and this build reads version 1"):
        show(state)


def test_it_follows_until_interrupted(state: StateDirectory) -> None:
    write(state.spool, ("http_requests", request(1)))
    words = [sys.executable, "-m", "bartizan.cli", "tail", "--state", str(state.path), "--columns", "RayID"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as process:
        assert isinstance(process.stdout, io.TextIOWrapper)
        assert process.stdout.readline() == "0000000000000001\n"
        write(state.spool, ("http_requests", request(2)))
        assert process.stdout.readline() == "0000000000000002\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def test_times_are_utc_with_nine_decimals() -> None:
    assert rfc3339(TIME) == "2024-02-29T12:34:56.007000001Z"
    assert rfc3339("2024-02-29 12:34:56.007000001") == "2024-02-29 12:34:56.007000001"


def test_a_rule_chooses_among_requests(state: StateDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        request(1, ClientIP="192.0.2.1", ClientRequestPath="/a", ClientRequestURI="/a"),
        request(2, ClientIP="192.0.2.2", ClientRequestPath="/b", ClientRequestURI="/a/../b"),
        request(3, ClientIP="192.0.2.3", ClientRequestPath="/b", ClientRequestURI="/b", EdgeResponseStatus=503),
    ]
    write(state.spool, *(("http_requests", row) for row in rows))
    wanted = 'ip.src in {192.0.2.2/31} and http.request.uri.path eq "/b" and not http.response.code ge 500'
    show(state, where=wanted, columns="RayID")
    assert capsys.readouterr().out == f"{2:016x}\n"


@pytest.mark.parametrize(
    ("table", "where", "error"),
    [
        ("http_requests", 'http.request.body.raw contains "x"', "http.request.body.raw has no column in http_requests"),
        ("http_requests", "http.hots eq 1", "http.host"),
        ("http_requests", "ip.src eq 192.0.2.1", "ip.src: events have the addresses of clients truncated"),
        ("firewall_events", "ssl", "is about http_requests and not firewall_events"),
    ],
)
def test_a_rule_about_what_events_do_not_hold_is_refused(
    state: StateDirectory, table: str, where: str, error: str
) -> None:
    write(state.spool, ("http_requests", request(1)))
    state.policy.mkdir(parents=True, exist_ok=True)
    state.current_policy.write_text('{"format":1,"version":1,"edge":{"events":{"client_ip":"truncated"}}}')
    with pytest.raises(Failure, match=re.escape(error)):
        show(state, table=table, where=where)
