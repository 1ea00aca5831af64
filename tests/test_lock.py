"""One process for one job."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from bartizan.failure import Failure
from bartizan.lock import owner, sole


def test_the_second_is_refused_by_the_name_of_the_first(tmp_path: Path) -> None:
    file = tmp_path / "x.pid"
    with sole(file, "a thing", "stop it"):
        assert owner(file) == os.getpid()
        with (
            pytest.raises(Failure, match=rf"a thing runs here already \(process {os.getpid()}, .*\); stop it"),
            sole(file, "a thing", "stop it"),
        ):
            pass
    assert owner(file) is None


def test_who_only_asks_keeps_nobody_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.pid"
    asking = [os.open(file, os.O_RDWR | os.O_CREAT, 0o600)]
    fcntl.flock(asking[0], fcntl.LOCK_EX)
    # It has its answer while the other one waits.
    monkeypatch.setattr("bartizan.lock.time", SimpleNamespace(sleep=lambda _: os.close(asking.pop())))
    with sole(file, "a thing", "stop it"):
        assert owner(file) == os.getpid()
    assert asking == []


def test_where_there_can_be_no_lock_there_is_no_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    assert owner(tmp_path / "file" / "x.pid") is None

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert owner(tmp_path / "x.pid") is None
