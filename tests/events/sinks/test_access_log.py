"""The combined access log: the form that log analysers read, each request once."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from tests.events.sinks.delivery import batches, deliver_under_kills, put
from tests.events.support import request, write

from bartizan.config.sinks import AccessLog
from bartizan.events.sinks.access_log import AccessLogSink
from bartizan.events.sinks.contract import SinkFailed
from bartizan.layout import StateDirectory

COMBINED = re.compile(
    r'(\S+) - - \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}|-) (\d+|-) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"'
)


def one_line(state: StateDirectory, directory: Path, **values: object) -> str:
    write(state.spool, ("http_requests", request(7, **values)))
    ((batch, token),) = batches(state)
    AccessLogSink(AccessLog(file=str(directory / "access.log")), directory).insert(batch, token)
    return (directory / "access.log").read_text()


def test_a_line_is_in_the_combined_format(state: StateDirectory, tmp_path: Path) -> None:
    assert one_line(
        state,
        tmp_path,
        EdgeStartTimestamp=1_709_210_096_999_999_999,
        ClientIP="2001:db8::7",
        ClientRequestURI="/a?b=1",
        ClientRequestProtocol="HTTP/2",
        EdgeResponseStatus=404,
        EdgeResponseBodyBytes=612,
        ClientRequestReferer="https://shop.example/",
        ClientRequestUserAgent="curl/8",
    ) == ('2001:db8::7 - - [29/Feb/2024:12:34:56 +0000] "GET /a?b=1 HTTP/2" 404 612 "https://shop.example/" "curl/8"\n')


def test_what_a_client_sends_can_end_neither_a_quoted_part_nor_a_line(state: StateDirectory, tmp_path: Path) -> None:
    agent = 'x" 200 1 "\n127.0.0.1 - - [forged] \\'
    line = one_line(state, tmp_path, ClientRequestUserAgent=agent, ClientRequestReferer="\r\x7f")
    assert line.count("\n") == 1
    match = COMBINED.fullmatch(line.rstrip("\n"))
    assert match is not None
    assert match[7] == r"x\" 200 1 \"\x0a127.0.0.1 - - [forged] \\"
    assert match[6] == r"\x0d\x7f"


def test_a_batch_given_again_is_in_the_file_once(state: StateDirectory, tmp_path: Path) -> None:
    put(state, range(10))
    ((batch, token),) = batches(state)
    log = tmp_path / "access.log"
    AccessLogSink(AccessLog(file=str(log)), tmp_path).insert(batch, token)
    whole = log.read_text()
    # The process ended in the middle of the batch, or before it noted that it arrived.
    for cut in (0, 100, len(whole)):
        log.write_text(whole[:cut])
        AccessLogSink(AccessLog(file=str(log)), tmp_path).insert(batch, token)
        assert log.read_text() == whole
    # Rotated away: what comes goes to a new file.
    log.rename(tmp_path / "access.log.1")
    AccessLogSink(AccessLog(file=str(log)), tmp_path).insert(batch, "another")
    assert log.read_text() == whole == (tmp_path / "access.log.1").read_text()


def test_standard_output_gets_the_lines(
    state: StateDirectory, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    put(state, range(3))
    ((batch, token),) = batches(state)
    AccessLogSink(AccessLog(), tmp_path).insert(batch, token)
    lines = capfdbinary.readouterr().out.decode().splitlines()
    assert len(lines) == 3
    assert all(map(COMBINED.fullmatch, lines))


def test_a_pipe_gets_the_lines_again_where_a_batch_is_repeated(state: StateDirectory, tmp_path: Path) -> None:
    put(state, range(3))
    ((batch, token),) = batches(state)
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    for _ in range(2):
        AccessLogSink(AccessLog(file=str(tmp_path / "pipe")), tmp_path).insert(batch, token)
    assert len(os.read(reader, 65_536).splitlines()) == 6
    os.close(reader)


def test_a_file_that_cannot_be_written_is_named(state: StateDirectory, tmp_path: Path) -> None:
    put(state, range(1))
    ((batch, token),) = batches(state)
    with pytest.raises(SinkFailed, match=r"cannot write to .*/missing/access.log: No such file or directory"):
        AccessLogSink(AccessLog(file=str(tmp_path / "missing" / "access.log")), tmp_path).insert(batch, token)


def test_every_request_has_one_line_after_kills_at_random_points(state: StateDirectory, tmp_path: Path) -> None:
    put(state, range(12_000), segment_bytes=1 << 18)
    log = tmp_path / "access.log"
    deliver_under_kills(state, 12_000, "log", {"type": "access_log", "file": str(log)}, kills=4)
    numbers = [int(found[1]) for found in re.finditer(r'\?n=(\d+)"', log.read_text())]
    assert sorted(numbers) == list(range(12_000))
