"""Which SQL may be run on behalf of a person: one statement that reads event tables, and nothing outside them.

The engine's own `readonly = 1` refuses writes and changed limits. It does not refuse what it takes for reading:
`file()` and `s3()` fetch what the process can, `DESCRIBE url(...)` connects, `INTO OUTFILE` writes. Those are refused
here, by the words of the statement. Words are told apart as ClickHouse does it, and where that is generous (typographic
quotes, `$` strings, escapes in names, exotic spaces) the statement is refused: no name may hide in what looks like a
string.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

HARMLESS_TABLE_FUNCTIONS: Final = frozenset({
    "format", "generate_series", "generaterandom", "generateseries", "merge", "null", "numbers", "numbers_mt", "primes",
    "values", "view", "zeros", "zeros_mt",
})  # fmt: skip
"""Table functions, in lower case, that stay within the engine. All others are refused."""

_OUTSIDE_FUNCTIONS: Final = frozenset({"file", "catboostevaluate", "getmacro", "reversednsquery", "showcertificate"})
"""Plain functions that reach out. Refused wherever the name stands: `APPLY file` and `arrayMap(file, ...)` call too."""

_OUTSIDE_PREFIX: Final = re.compile(r"ai(classify|embed|extract|filter|generate|redact|similarity|translate)")

_READING: Final = ("SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS")

_TOKEN: Final = re.compile(
    r"""
      (?P<skip>\s+ | --[^\n]* | \#[ !][^\n]* | /\*.*?\*/)
    | (?P<string>'(?:[^'\\]|\\.|'')*')
    | (?P<name>`(?:[^`]|``)*` | "(?:[^"]|"")*" | [A-Za-z_][A-Za-z0-9_$]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)


def refusal(sql: str, table_functions: Collection[str]) -> str | None:
    """Why the statement is not run, as a sentence without its full stop; None if it may be.

    `table_functions` are those of the engine, in lower case, that are not to be called.
    """
    words = [(match.lastgroup or "", match.group()) for match in _TOKEN.finditer(sql) if match.lastgroup != "skip"]
    while words and words[-1] == ("other", ";"):
        words.pop()
    if not words:
        return "there is no statement"
    first = next((text for text in (text for _, text in words) if text != "("), "")
    if first.upper() not in _READING:
        known = ", ".join(_READING[:-1])
        return f"queries only read: a statement begins with {known} or {_READING[-1]}, not with {first}"
    for (kind, text), (_, following) in zip(words, [*words[1:], ("", "")], strict=True):
        if kind == "name":
            why = _name_refusal(text, called=following == "(", table_functions=table_functions)
        else:
            why = _other_refusal(text) if kind == "other" else None
        if why is not None:
            return why
    return None


def _name_refusal(text: str, *, called: bool, table_functions: Collection[str]) -> str | None:
    quoted = text[0] in '`"'
    if quoted and "\\" in text:
        return f"a name with a backslash is not possible: {text}"
    plain = (text[1:-1] if quoted else text).lower()
    if plain in ("outfile", "infile") and not quoted:
        return f"{text.upper()} is not possible; choose the format with --format and redirect the output"
    if plain in _OUTSIDE_FUNCTIONS or _OUTSIDE_PREFIX.fullmatch(plain) or (called and plain in table_functions):
        return f"{plain}() reaches outside the event store and is not possible"
    return None


def _other_refusal(text: str) -> str | None:
    if text == ";":
        return "only one statement is possible"
    if text in "'`\"":
        return f"the statement has a {text} that nothing closes"
    if text == "$" or not (text.isascii() and text.isprintable()):
        return f"the character {text!r} is not possible outside quotes; use ' for strings and ` for names"
    return None
