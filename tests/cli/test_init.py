"""`bartizan init` writes a site file that can be applied as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from bartizan.cli.init import init
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.policy.check import check


@pytest.mark.parametrize(
    ("origin", "hosts"),
    [
        ("http://127.0.0.1:8001", []),
        ("https://app.internal", ["shop.example", "*.shop.example"]),
        ("unix:/run/app.sock", []),
        ("http://[::1]:8001/", []),
    ],
)
def test_the_file_has_no_mistake(origin: str, hosts: list[str], tmp_path: Path) -> None:
    file = tmp_path / "bartizan.toml"
    assert init(origin=origin.rstrip("/"), host=hosts, file=file, force=False) == 0
    checked = check(file, StateDirectory(tmp_path / ".bartizan"))
    assert [str(problem) for problem in checked.problems] == []
    assert (checked.zones, checked.rules) == (1, 4)


def test_an_existing_file_is_replaced_only_when_asked(tmp_path: Path) -> None:
    file = tmp_path / "bartizan.toml"
    file.write_text("mine")
    with pytest.raises(Failure, match="exists; choose another name with --file, or replace it with --force"):
        init(origin="http://127.0.0.1:1", host=[], file=file, force=False)
    assert file.read_text() == "mine"
    assert init(origin="http://127.0.0.1:1", host=[], file=file, force=True) == 0
    assert "http://127.0.0.1:1" in file.read_text()


@pytest.mark.parametrize("origin", ["127.0.0.1:8001", "ftp://x", "http://", "http://x:99999", "unix:relative", ""])
def test_what_is_no_address_is_refused(origin: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="is no address of an application; write http"):
        init(origin=origin, host=[], file=tmp_path / "x.toml", force=False)
    assert list(tmp_path.iterdir()) == []


def test_an_origin_with_a_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"has a path; an origin is an address only: http://127.0.0.1:8001"):
        init(origin="http://127.0.0.1:8001/app", host=[], file=tmp_path / "x.toml", force=False)
