"""Text from requests, made safe to show: what a visitor sent must not steer the terminal of who reads about it."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""`text` with control and other unprintable characters as escapes (`\x1b`)."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
