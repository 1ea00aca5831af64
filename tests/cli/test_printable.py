from __future__ import annotations

import pytest

from bartizan.cli.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/größe?q=“x”", "/größe?q=“x”"),
        ("\x1b[2Jclear", "\\x1b[2Jclear"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\x9b31m", "\\x9b31m"),
        ("", ""),
    ],
)
def test_what_would_steer_a_terminal_is_shown_as_it_is_written(text: str, shown: str) -> None:
    assert printable(text) == shown
