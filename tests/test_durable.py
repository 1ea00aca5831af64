"""Files that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from bartizan.durable import replace, replace_many


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
