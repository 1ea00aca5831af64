from __future__ import annotations

import pytest
from tests.events.support import count, eventually, firewall_event, needs_chdb, request, running, write

from bartizan.events.ray import find
from bartizan.failure import Failure
from bartizan.layout import StateDirectory


def test_a_request_is_found_in_the_spool_with_the_rules_that_acted(state: StateDirectory) -> None:
    write(
        state.spool,
        ("http_requests", request(1)),
        ("firewall_events", firewall_event(2, Action="log")),
        ("firewall_events", firewall_event(2)),
        ("http_requests", request(2, EdgeResponseStatus=403)),
    )
    found = find(state.spool, state.events_socket, f"{2:016x}-LOC")
    assert found is not None
    assert (found.ray_id, found.source) == (f"{2:016x}", "spool")
    assert found.request["EdgeResponseStatus"] == 403
    assert [row["Action"] for row in found.firewall_events] == ["log", "block"]
    plain = find(state.spool, state.events_socket, f"{1:016x}")
    assert plain is not None
    assert plain.firewall_events == []


def test_old_segments_are_searched_when_no_owner_answers(state: StateDirectory) -> None:
    for number in range(5):
        write(state.spool, ("http_requests", request(number)))
    found = find(state.spool, state.events_socket, f"{0:016x}")
    assert found is not None
    assert found.request["RayID"] == f"{0:016x}"


def test_what_never_was_is_not_found(state: StateDirectory) -> None:
    write(state.spool, ("http_requests", request(1)))
    assert find(state.spool, state.events_socket, "ffffffffffffffff") is None


@pytest.mark.parametrize("text", ["", "a b", "' OR 1", "x" * 65, "a-b-c"])
def test_what_is_no_ray_id_is_refused(state: StateDirectory, text: str) -> None:
    with pytest.raises(Failure, match="no Ray ID"):
        find(state.spool, state.events_socket, text)


@needs_chdb
def test_what_the_spool_no_longer_has_is_in_the_event_store(state: StateDirectory) -> None:
    write(state.spool, ("http_requests", request(7, SecurityActions=["block"])), ("firewall_events", firewall_event(7)))
    with running(state):
        eventually(lambda: count(state) == 1 and count(state, "firewall_events") == 1, "both rows are stored")
        for segment in state.spool.glob("*.spool"):
            segment.unlink()
        found = find(state.spool, state.events_socket, f"{7:016x}")
        assert found is not None
        assert (found.source, found.request["SecurityActions"]) == ("event store", ["block"])
        assert [row["Description"] for row in found.firewall_events] == ["no scanners"]
        assert find(state.spool, state.events_socket, f"{8:016x}") is None
