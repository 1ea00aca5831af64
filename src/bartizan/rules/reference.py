"""docs/reference/rules.md, made from the tables of fields and functions: `python -m bartizan.rules.reference`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from bartizan._native import fields_table, functions_table

PAGE: Final = Path("docs/reference/rules.md")

_INTRODUCTION: Final = """\
# The rules language

Made from `crates/fields/src/table.rs` and `crates/rules/src/function.rs` by `python -m bartizan.rules.reference`; do
not edit it. Names, types and meanings are those of Cloudflare's rules language; what has no documented name is ours and
begins with `bartizan.`. A field or function that is not here is refused by name.

Comparisons: `eq` `==`, `ne` `!=`, `lt` `<`, `le` `<=`, `gt` `>`, `ge` `>=`, `contains`, `matches` `~` (a regular
expression, linear time), `wildcard`, `strict wildcard`, `in {1 2 3}`, `in $list`. Logic: `not` `!`, `and` `&&`, `xor`
`^^`, `or` `||`, in this order. Elements: `http.request.headers["accept"][0]`, and `[*]` for all of them, inside `any()`
or `all()`.

A field is there from the request head on, once the body is held (a rule that reads it makes the edge hold bodies), or
in the response phases only.
"""

_WHEN: Final = {"head": "request", "body": "body", "response": "response"}


class Field(msgspec.Struct, frozen=True):
    """A field of the language."""

    name: str
    type: str
    summary: str
    available: str
    difference: str | None


class Function(msgspec.Struct, frozen=True):
    """A function of the language."""

    name: str
    signature: str
    summary: str


def fields() -> list[Field]:
    """Every field, in the order of the reference."""
    return msgspec.json.decode(fields_table(), type=list[Field])


def functions() -> list[Function]:
    """Every function, by name."""
    return msgspec.json.decode(functions_table(), type=list[Function])


def markdown() -> str:
    """The page."""
    return (
        f"{_INTRODUCTION}\n## Fields\n\n| field | type | from | |\n| --- | --- | --- | --- |\n"
        + "".join(_field(field) for field in fields())
        + "\n## Functions\n\n| function | |\n| --- | --- |\n"
        + "".join(f"| `{function.signature}` | {_cell(function.summary)} |\n" for function in functions())
    )


def _field(field: Field) -> str:
    difference = "" if field.difference is None else f" Here: {field.difference}"
    return f"| `{field.name}` | {field.type} | {_WHEN[field.available]} | {_cell(field.summary + difference)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(markdown(), encoding="utf-8")
