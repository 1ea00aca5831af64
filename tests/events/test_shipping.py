from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import pytest
from tests.events.support import request, write

from bartizan._native import SpoolBatch, SpoolReader
from bartizan.events.dead_letter import DeadLetter
from bartizan.events.journal import Journal, Range
from bartizan.events.shipping import Shipper
from bartizan.events.sinks.contract import FULL_BYTES, FULL_ROWS, RowsRefused, SinkFailed


class Shelf:
    """A sink that keeps what it gets, and fails when told to, before or after keeping it."""

    batch_rows = FULL_ROWS
    batch_bytes = FULL_BYTES
    pause_s = 0.0

    def __init__(self) -> None:
        self.kept: dict[str, list[object]] = {}
        self.calls: list[str] = []
        self.fail_before = False
        self.fail_after = False
        self.refuses: set[object] = set()

    def insert(self, batch: SpoolBatch, token: str) -> None:
        self.calls.append(token)
        if self.fail_before:
            raise SinkFailed("the shelf is full")
        rows = [row["RayID"] for _, row in batch.rows() if row["RayID"] not in self.refuses]
        assert self.kept.setdefault(token, rows) == rows, "one token, two contents"
        if self.fail_after:
            raise SinkFailed("the answer was lost")
        if self.refuses:
            raise RowsRefused(
                [
                    (table, line, "not wanted")
                    for table, line in batch.json_rows()
                    if json.loads(line)["RayID"] in self.refuses
                ]
            )

    def close(self) -> None:
        pass

    @property
    def rays(self) -> list[object]:
        return [ray for rows in self.kept.values() for ray in rows]


def shipper_of(spool: Path, journal: Journal, sink: Shelf) -> Shipper:
    return Shipper(spool, journal, sink, DeadLetter(spool.parent / "dead-letter.ndjson"))


def rays(numbers: range) -> list[object]:
    return [f"{number:016x}" for number in numbers]


def ship_all(shipper: Shipper) -> int:
    total = 0
    while (shipped := shipper.ship()) is not None:
        total += shipped
    return total


def put(spool: Path, numbers: range) -> None:
    write(spool, *(("http_requests", request(number)) for number in numbers), segment_bytes=65_536)


def test_every_row_arrives_once_and_in_order(tmp_path: Path) -> None:
    put(tmp_path / "spool", range(1000))
    put(tmp_path / "spool", range(1000, 2000))
    shelf = Shelf()
    shipper = shipper_of(tmp_path / "spool", Journal(tmp_path / "j"), shelf)
    assert ship_all(shipper) == 2000
    assert shelf.rays == rays(range(2000))
    assert len(shelf.kept) == len(shelf.calls) >= 2, "a batch is of one segment"
    put(tmp_path / "spool", range(2000, 2010))
    assert ship_all(shipper) == 10
    assert (shelf.rays, shipper.rows) == (rays(range(2010)), 2010)


def test_a_spool_that_does_not_exist_yet_is_waited_for(tmp_path: Path) -> None:
    shelf = Shelf()
    shipper = shipper_of(tmp_path / "spool", Journal(tmp_path / "j"), shelf)
    assert shipper.ship() is None
    put(tmp_path / "spool", range(3))
    assert ship_all(shipper) == 3


@pytest.mark.parametrize("moment", ["fail_before", "fail_after"])
@pytest.mark.parametrize("restart", [False, True])
def test_a_batch_that_failed_is_sent_again_as_it_was(tmp_path: Path, moment: str, *, restart: bool) -> None:
    put(tmp_path / "spool", range(10))
    shelf = Shelf()
    shipper = shipper_of(tmp_path / "spool", Journal(tmp_path / "j"), shelf)
    setattr(shelf, moment, True)
    with pytest.raises(SinkFailed):
        shipper.ship()
    setattr(shelf, moment, False)
    # More has come meanwhile: the batch must not grow by it.
    put(tmp_path / "spool", range(10, 20))
    if restart:
        shipper = shipper_of(tmp_path / "spool", Journal(tmp_path / "j"), shelf)
    assert ship_all(shipper) == 20
    assert shelf.calls[0] == shelf.calls[1]
    assert shelf.rays == rays(range(20))


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    put(tmp_path / "spool", range(10))
    first, second = Shelf(), Shelf()
    ship_all(shipper_of(tmp_path / "spool", Journal(tmp_path / "j"), first))
    put(tmp_path / "spool", range(10, 15))
    ship_all(shipper_of(tmp_path / "spool", Journal(tmp_path / "j"), second))
    assert (first.rays, second.rays) == (rays(range(10)), rays(range(10, 15)))


def test_a_batch_in_hand_whose_segment_is_gone_is_told_and_passed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = tmp_path / "spool"
    put(spool, range(10))
    shelf = Shelf()
    shelf.fail_before = True
    with pytest.raises(SinkFailed):
        shipper_of(spool, Journal(tmp_path / "j"), shelf).ship()
    put(spool, range(10, 20))
    min(spool.glob("*.spool")).unlink()
    shelf.fail_before = False
    assert ship_all(shipper_of(spool, Journal(tmp_path / "j"), shelf)) == 10
    assert shelf.rays == rays(range(10, 20))
    assert "cannot be read again" in caplog.text
    assert "was removed before it was read" in caplog.text


def test_a_damaged_row_is_told_and_the_others_arrive(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = tmp_path / "spool"
    put(spool, range(10))
    segment = min(spool.glob("*.spool"))
    content = bytearray(segment.read_bytes())
    at = content.index(f"{4:016x}".encode())
    content[at] ^= 1
    segment.write_bytes(content)
    put(spool, range(10, 12))
    shelf = Shelf()
    assert ship_all(shipper_of(spool, Journal(tmp_path / "j"), shelf)) == 11
    assert shelf.rays == [*rays(range(4)), *rays(range(5, 12))]
    assert "is damaged and left out" in caplog.text


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("segments", [1, 3, 6])
def test_a_spool_that_begins_anew_is_shipped_from_its_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, segments: int, *, restart: bool
) -> None:
    spool = tmp_path / "spool"
    for start in range(0, 50, 10):
        put(spool, range(start, start + 10))
    shelf = Shelf()
    shipper = shipper_of(spool, Journal(tmp_path / "j"), shelf)
    assert ship_all(shipper) == 50
    shutil.rmtree(spool)
    assert shipper.ship() is None
    if restart:
        shipper = shipper_of(spool, Journal(tmp_path / "j"), shelf)
        assert shipper.ship() is None
    for start in range(50, 50 + 10 * segments, 10):
        put(spool, range(start, start + 10))
    assert ship_all(shipper) == 10 * segments
    assert shelf.rays == rays(range(50 + 10 * segments))
    assert caplog.text.count("begins anew; it is shipped from its start") == 1
    put(spool, range(900, 910))
    assert ship_all(shipper_of(spool, Journal(tmp_path / "j"), shelf)) == 10


class FullOnce(Journal):
    """A journal whose first note meets a full disk."""

    failed = False

    def take(self, batch: Range) -> None:
        if not self.failed:
            self.failed = True
            raise OSError(errno.ENOSPC, "No space left on device")
        super().take(batch)


def test_no_batch_is_sent_that_the_journal_does_not_name(tmp_path: Path) -> None:
    put(tmp_path / "spool", range(10))
    shelf = Shelf()
    journal = FullOnce(tmp_path / "j")
    shipper = shipper_of(tmp_path / "spool", journal, shelf)
    with pytest.raises(OSError, match="No space left"):
        shipper.ship()
    shelf.fail_after = True
    with pytest.raises(SinkFailed):
        shipper.ship()
    # The process ends here; the next one must send the same range, whatever has come meanwhile.
    shelf.fail_after = False
    put(tmp_path / "spool", range(10, 20))
    assert ship_all(shipper_of(tmp_path / "spool", Journal(tmp_path / "j"), shelf)) == 20
    assert shelf.calls[0] == shelf.calls[1]
    assert shelf.rays == rays(range(20))


def test_a_batch_in_hand_that_cannot_be_read_for_a_moment_is_not_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = tmp_path / "spool"
    put(spool, range(10))
    shelf = Shelf()
    shelf.fail_before = True
    with pytest.raises(SinkFailed):
        shipper_of(spool, Journal(tmp_path / "j"), shelf).ship()
    shelf.fail_before = False
    shipper = shipper_of(spool, Journal(tmp_path / "j"), shelf)

    class NoDescriptors:
        @staticmethod
        def read_range(*_: object) -> SpoolBatch:
            raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as context:
        context.setattr("bartizan.events.shipping.SpoolReader", NoDescriptors)
        with pytest.raises(OSError, match="Too many open files"):
            shipper.ship()
    assert SpoolReader.segments(spool)
    assert ship_all(shipper) == 10
    assert shelf.rays == rays(range(10))


class CutAfterRefusal(Journal):
    """A journal of a process that ends when rows are with the dead letters and before it notes so."""

    def arrived(self, *_: object, **__: object) -> None:
        raise OSError(errno.EIO, "the process ends here")


def test_rows_that_are_refused_for_good_are_put_aside_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path / "spool", range(10))
    shelf = Shelf()
    shelf.refuses = set(rays(range(3, 5)))
    with pytest.raises(OSError, match="ends here"):
        shipper_of(tmp_path / "spool", CutAfterRefusal(tmp_path / "j"), shelf).ship()
    journal = Journal(tmp_path / "j")
    shipper = shipper_of(tmp_path / "spool", journal, shelf)
    assert ship_all(shipper) == 10
    put(tmp_path / "spool", range(10, 12))
    shelf.refuses = set(rays(range(11, 12)))
    assert ship_all(shipper) == 2
    letters = [json.loads(line) for line in (tmp_path / "dead-letter.ndjson").read_text().splitlines()]
    assert [letter["row"]["RayID"] for letter in letters] == rays(range(3, 5)) + rays(range(11, 12))
    assert {(letter["table"], letter["reason"]) for letter in letters} == {("http_requests", "not wanted")}
    assert [letter["batch"] for letter in letters] == [shelf.calls[0], shelf.calls[0], shelf.calls[2]]
    assert (journal.entry.rows, journal.entry.refused) == (9, 3)
    assert "2 rows were refused for good (not wanted)" in caplog.text
    assert (tmp_path / "dead-letter.ndjson").stat().st_mode & 0o777 == 0o600
