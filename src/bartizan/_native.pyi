"""The native module: everything that Python can reach of the data plane. Built from `crates/python`."""

from typing import Any

class TomlSyntaxError(ValueError):
    """The text is not TOML. `args[0]` lists every place as `(line, column, message)`, in the order of the text."""

class TomlSpans:
    """Where keys and values stand in the text that `parse_toml` read."""

    def locate(self, paths: list[tuple[str | int, ...]]) -> list[tuple[int, int, int, int]]:
        """`(key line, key column, value line, value column)` of each path, all from 1.

        A path is made of table keys and array indexes. Where it does not exist, the position of its nearest existing
        ancestor is given; the empty path is the start of the text.
        """

def parse_toml(text: str) -> tuple[dict[str, Any], TomlSpans]:
    """Parses TOML 1.1; raises `TomlSyntaxError` with every syntax error found. Dates become text."""

def check_policy(document: bytes) -> bytes:
    """Compiles a policy document as the edge would.

    Returns a JSON array of diagnostics: the errors for which it would be refused, or the warnings with which it would
    be taken.
    """

def limits_table() -> bytes:
    """The table of deadlines and caps: a JSON array of objects with name, default, min, max and summary."""
