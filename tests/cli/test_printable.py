from __future__ import annotations

import json

import pytest

from bartizan.cli.printable import printable, printable_json, printable_lines


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


@pytest.mark.parametrize("text", ["/größe", "\x1b[2J", "\x9b31m\x7f", "\u202egnp.exe", "a\nb", "\U000e0041"])
def test_json_says_the_same_without_what_would_steer_a_terminal(text: str) -> None:
    shown = printable_json(json.dumps({"a": text}, ensure_ascii=False) + "\n" + json.dumps([text], ensure_ascii=False))
    first, second = shown.split("\n")
    assert (json.loads(first), json.loads(second)) == ({"a": text}, [text])
    assert (first + second).isprintable()


def test_lines_stay_lines_and_hold_nothing_that_steers_a_terminal() -> None:
    assert printable_lines("a\tb\r\n\x1b[2J\x9b\n") == "a\tb\n\\x1b[2J\\x9b\n"
