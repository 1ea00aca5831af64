"""A process that dies young waits longer each time."""

from __future__ import annotations

from bartizan.supervisor.backoff import FIRST_S, HEALTHY_S, LAST_S, Backoff


def test_the_wait_doubles_to_its_end() -> None:
    backoff = Backoff()
    waits = [backoff.after(0.1) for _ in range(10)]
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, LAST_S, LAST_S]


def test_a_long_life_forgives() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.after(0.1)
    assert backoff.after(HEALTHY_S) == FIRST_S
