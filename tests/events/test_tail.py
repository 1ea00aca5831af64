from __future__ import annotations

import threading

from tests.events.support import firewall_event, request, write

from bartizan._native import SpoolWriter
from bartizan.events.tail import Row, Selection, coming, newest
from bartizan.layout import StateDirectory


def rays(rows: list[Row]) -> list[int]:
    return [int(str(row["RayID"]), 16) for row in rows]


def test_the_newest_are_found_across_segments(state: StateDirectory) -> None:
    for first in range(0, 30, 10):
        write(state.spool, *(("http_requests", request(number)) for number in range(first, first + 10)))
    assert rays(newest(state.spool, Selection(), 25)[0]) == list(range(5, 30))
    assert rays(newest(state.spool, Selection(), 3)[0]) == [27, 28, 29]
    assert rays(newest(state.spool, Selection(), 99)[0]) == list(range(30))
    assert newest(state.spool, Selection(), 0)[0] == []


def test_a_selection_narrows_by_zone_action_and_status(state: StateDirectory) -> None:
    blocked = {"EdgeResponseStatus": 403, "SecurityActions": ["log", "block"]}
    write(
        state.spool,
        ("http_requests", request(0)),
        ("http_requests", request(1, **blocked)),
        ("http_requests", request(2, ZoneName="blog")),
        ("http_requests", request(3, EdgeResponseStatus=404)),
        ("firewall_events", firewall_event(1)),
        ("firewall_events", firewall_event(1, Action="log")),
    )

    def found(selection: Selection) -> list[int]:
        return rays(newest(state.spool, selection, 10)[0])

    assert found(Selection(zone="shop")) == [0, 1, 3]
    assert found(Selection(action="block")) == [1]
    assert found(Selection(status="404")) == [3]
    assert found(Selection(status="4xx")) == [1, 3]
    assert found(Selection(status="4xx", zone="blog")) == []
    assert len(found(Selection("firewall_events"))) == 2
    assert len(found(Selection("firewall_events", action="log"))) == 1


def test_what_comes_follows_what_was_there_without_a_seam(state: StateDirectory) -> None:
    write(state.spool, *(("http_requests", request(number)) for number in range(5)))
    rows, place = newest(state.spool, Selection(), 2)
    stream = coming(state.spool, Selection(), place)
    writer = SpoolWriter(state.spool)

    def push() -> None:
        for number in range(5, 8):
            writer.push("http_requests", request(number))

    pushing = threading.Timer(0.2, push)
    pushing.start()
    rows += [next(stream) for _ in range(3)]
    assert rays(rows) == [3, 4, 5, 6, 7]
    pushing.join()
    writer.close()


def test_a_directory_without_segments_has_no_events(state: StateDirectory) -> None:
    assert newest(state.path / "nowhere", Selection(), 5) == ([], None)
