"""The edge says what is wrong with origins once, not for each request."""

from __future__ import annotations

import logging

from bartizan.edge.watch import REMIND_S, OriginTrouble, SpoolTrouble, failing, failures, spooled

DOWN = ['zone "shop" http://127.0.0.1:1: connection refused']


def test_failures_are_told_once_then_by_the_minute_with_their_count() -> None:
    trouble = OriginTrouble()
    assert trouble.seen({"connect": 0}, [], 0.0) is None
    first = trouble.seen({"connect": 3}, DOWN, 2.0)
    assert first is not None
    assert first[0] == logging.ERROR
    assert first[1].startswith(f"3 exchanges with an origin failed (connect): {DOWN[0]}.")
    assert trouble.seen({"connect": 10}, DOWN, 4.0) is None
    assert trouble.seen({"connect": 40}, DOWN, 6.0) is None
    again = trouble.seen({"connect": 41}, DOWN, 2.0 + REMIND_S)
    assert again is not None
    assert again[1].startswith("38 exchanges with an origin failed (connect)")


def test_one_failure_is_one_exchange() -> None:
    told = OriginTrouble().seen({"timeout": 1}, [], 0.0)
    assert told is not None
    assert told[1].startswith("1 exchange with an origin failed (timeout): see `bartizan tail`.")


def test_the_end_of_trouble_is_told_once() -> None:
    trouble = OriginTrouble()
    assert trouble.seen({"connect": 1}, DOWN, 0.0) is not None
    assert trouble.seen({"connect": 1}, DOWN, REMIND_S - 1) is None
    assert trouble.seen({"connect": 1}, [], REMIND_S) == (
        logging.INFO,
        "no exchange with an origin has failed for 60 s",
    )
    assert trouble.seen({"connect": 1}, [], 2 * REMIND_S) is None
    assert trouble.seen({"connect": 2}, DOWN, 2 * REMIND_S + 1) is not None


def test_a_status_names_failing_servers_and_counts_failures() -> None:
    status = {
        "failing_origins": [
            {"zone": "shop", "server": "http://127.0.0.1:1", "reason": "connection refused"},
            {"zone": "blog", "server": "unix:/run/app.sock", "reason": None},
        ],
        "metrics": [
            {"name": "bartizan_requests_total", "label": None, "value": 9},
            {"name": "bartizan_origin_errors_total", "label": ["kind", "connect"], "value": 2},
            {"name": "bartizan_origin_errors_total", "label": ["kind", "timeout"], "value": 1},
        ],
    }
    assert failing(status) == [
        'zone "shop" http://127.0.0.1:1: connection refused',
        'zone "blog" unix:/run/app.sock: no answer',
    ]
    assert failures(status) == {"connect": 2, "timeout": 1}


def test_lost_events_are_told_once_then_by_the_minute_with_their_count() -> None:
    trouble = SpoolTrouble()
    assert trouble.seen({"bartizan_spool_refused_rows_total": 0}, "", 0.0) == []
    ((level, text),) = trouble.seen({"bartizan_spool_refused_rows_total": 7}, "No space left on device", 2.0)
    assert level == logging.ERROR
    assert text.startswith("7 events were lost because the disk of the spool refused them: No space left on device.")
    assert trouble.seen({"bartizan_spool_refused_rows_total": 9}, "", 4.0) == []
    ((_, again),) = trouble.seen({"bartizan_spool_refused_rows_total": 10}, "", 2.0 + REMIND_S)
    assert again.startswith("3 events were lost")
    assert trouble.seen({"bartizan_spool_refused_rows_total": 10}, "", 2 + 3 * REMIND_S) == []


def test_events_that_were_sampled_away_are_a_warning_with_the_way_out() -> None:
    counted = {"bartizan_spool_sampled_rows_total": 900, "bartizan_spool_removed_rows_total": 3}
    warning, error = SpoolTrouble().seen(counted, "", 0.0)
    assert (warning[0], error[0]) == (logging.WARNING, logging.ERROR)
    assert "900 events were sampled away" in warning[1]
    assert "3 events that were not shipped were removed" in error[1]
    assert all("max_bytes" in text for _, text in (warning, error))


def test_events_that_wait_for_the_disk_are_a_warning_before_any_is_lost() -> None:
    ((level, text),) = SpoolTrouble().seen({"bartizan_spool_held_up_rows_total": 5}, "", 0.0)
    assert level == logging.WARNING
    assert text.startswith("5 events waited in memory, since the disk held the spool up. None was lost")


def test_counters_of_the_spool_are_found_in_a_status() -> None:
    samples = [("bartizan_requests_total", 9), ("bartizan_spool_sampled_rows_total", 4)]
    status = {"metrics": [{"name": name, "label": None, "value": value} for name, value in samples]}
    assert spooled(status) == {"bartizan_spool_sampled_rows_total": 4}
