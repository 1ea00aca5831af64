"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bartizan.durable import remove_abandoned, replace, replace_many, sync, write, write_through


def test_a_file_is_replaced_with_the_mode_that_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "file"
    replace(file, b"one")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"one", 0o600)
    replace(file, b"two", 0o644)
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"two", 0o644)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "file"
    replace(file, b"one")
    with pytest.raises(TypeError):
        replace(file, "text")  # type: ignore[arg-type]
    assert file.read_bytes() == b"one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace(tmp_path / "missing" / "file", b"one")


def test_many_files_are_put_in_place(tmp_path: Path) -> None:
    replace_many({tmp_path / name: name.encode() for name in ("a", "b")})
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == {"a": b"a", "b": b"b"}
    assert {entry.stat().st_mode & 0o777 for entry in tmp_path.iterdir()} == {0o600}


def test_what_the_killed_left_half_written_is_removed_and_nothing_else(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = [f".ca.key.{ended.pid}.140737", f".current.json.{ended.pid}.1"]
    kept = ["current.json", f".current.json.{os.getpid()}.1", ".hidden", ".a.b.c"]
    for name in left + kept:
        (tmp_path / name).touch()
    remove_abandoned(tmp_path)
    assert {entry.name for entry in tmp_path.iterdir()} == set(kept)


def test_a_file_is_written_in_pieces(tmp_path: Path) -> None:
    write(tmp_path / "file", (str(number).encode() * 10_000 for number in range(3)))
    sync(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"0" * 10_000 + b"1" * 10_000 + b"2" * 10_000
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_files_made_where_writes_go_through_have_that_too(tmp_path: Path) -> None:
    # False on a file system that has no such attribute; there it stays so.
    write_through(tmp_path)
    made = tmp_path / "made"
    made.write_bytes(b"one")
    assert [write_through(path) for path in (tmp_path, made)] == [False, False]
    with pytest.raises(FileNotFoundError):
        write_through(tmp_path / "missing")
