"""What is shown while a command takes its time."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from bartizan.cli import waiting as module
from bartizan.cli.waiting import progressing, waiting


class Screen(io.StringIO):
    """A terminal that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if "the lists" in text:
            self.written.set()
        return super().write(text)


def test_what_takes_long_is_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(module, "PATIENCE_S", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    with waiting("reading the lists"):
        assert screen.written.wait(30)
    assert "reading the lists" in screen.getvalue()


def test_what_is_quick_or_goes_to_no_terminal_shows_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with waiting("reading the lists"):
        pass
    assert capsys.readouterr().err == ""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(module, "PATIENCE_S", 600.0)
    with waiting("reading the lists"):
        pass
    assert screen.getvalue() == ""


def test_progress_is_shown_on_a_terminal_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with progressing("reading the lists", 10) as came:
        came(3)
    assert capsys.readouterr().err == ""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(module, "PATIENCE_S", 0.0)
    monkeypatch.setattr(module, "_LOOK_S", 0.001)
    monkeypatch.setenv("TERM", "xterm")
    with progressing("reading the lists", 10) as came:
        came(7)
        assert screen.written.wait(30)
    assert "reading the lists" in screen.getvalue()
