"""Work beside: its result, or its error, is there when it is asked for."""

from __future__ import annotations

import threading

import pytest

from bartizan.background import Background


def test_it_runs_beside_and_has_a_result() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def work() -> int:
        begun.set()
        assert may_end.wait(30)
        return 7

    background = Background(work)
    assert begun.wait(30)
    may_end.set()
    assert [background.result(), background.result()] == [7, 7]


def test_what_it_raises_is_raised_where_the_result_is_asked_for() -> None:
    def work() -> None:
        raise OSError(5, "Input/output error")

    background = Background(work)
    with pytest.raises(OSError, match="Input/output error"):
        background.result()
