"""The state directory is found by one rule, and is private."""

from __future__ import annotations

from pathlib import Path

import pytest

from bartizan.layout import StateDirectory


def test_the_option_wins_over_the_variable_over_the_site_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BARTIZAN_STATE", str(tmp_path / "variable"))
    site = tmp_path / "sites" / "shop.toml"
    assert StateDirectory.locate(state=tmp_path / "option", site=site).path == tmp_path / "option"
    assert StateDirectory.locate(site=site).path == tmp_path / "variable"
    monkeypatch.delenv("BARTIZAN_STATE")
    assert StateDirectory.locate(site=site).path == tmp_path / "sites" / ".bartizan"
    monkeypatch.chdir(tmp_path)
    assert StateDirectory.locate().path == tmp_path / ".bartizan"


def test_its_directories_are_for_their_owner_only(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / "state")
    state.create()
    state.create()
    made = [state.path, *(path for path in state.path.iterdir())]
    assert {path.stat().st_mode & 0o777 for path in made} == {0o700}
    assert {path.name for path in state.path.iterdir()} == {"policy", "spool", "run", "ca", "acme", "sinks"}
