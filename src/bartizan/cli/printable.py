"""Text from requests, made safe to show: what a visitor sent must not steer the terminal of who reads about it."""

from __future__ import annotations

import json


def printable(text: str) -> str:
    r"""`text` with control and other unprintable characters as escapes (`\x1b`)."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def printable_json(text: str) -> str:
    r"""JSON, on one line or several, that says the same without unprintable characters: those of strings as `\u009b`.

    JSON itself escapes no more than the first 32: a terminal obeys others too, and bidirectional ones reorder what is
    read.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\n" else json.dumps(character)[1:-1] for character in text
    )


def printable_lines(text: str) -> str:
    """`text` with all but its line ends and tabs made printable."""
    return "".join(
        character if character in "\n\t" else printable(character) for character in text.replace("\r\n", "\n")
    )
