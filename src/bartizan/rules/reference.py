"""docs/reference/rules.md, made from the tables of fields and functions: `python -m bartizan.rules.reference`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from bartizan._native import absent_fields_table, absent_functions_table, fields_table, functions_table

PAGE: Final = Path("docs/reference/rules.md")

_INTRODUCTION: Final = """\
# The rules language

Made from `crates/fields/src/table.rs` and `crates/rules/src/functions` by `python -m bartizan.rules.reference`; do not
edit it. Names, types and meanings are those of Cloudflare's rules language; what has no documented name is ours and
begins with `bartizan.`. A field or function that is not here is refused by name.

Comparisons: `eq` `==`, `ne` `!=`, `lt` `<`, `le` `<=`, `gt` `>`, `ge` `>=`, `contains`, `matches` `~` (a regular
expression, linear time), `wildcard`, `strict wildcard`, `in {1 2 3}`, `in $list`. Logic: `not` `!`, `and` `&&`, `xor`
`^^`, `or` `||`, in this order. Elements: `http.request.headers["accept"][0]`, and `[*]` for all of them, inside `any()`
or `all()`.

A field is there from the request head on, once the body is held (a rule that reads it makes the edge hold bodies), or
in the response phases only.
"""

_FUNCTIONS: Final = """\
A function is allowed where Cloudflare documents it to be, so that a rule written here can be taken there. One that is
given a missing value gives a missing value, unless its row says otherwise.
"""

_OURS: Final = "bartizan."

_USUAL_CLIENT: Final = "192.0.2.7"

_WHEN: Final = {"head": "request", "body": "body", "response": "response"}


class Field(msgspec.Struct, frozen=True):
    """A field of the language."""

    name: str
    type: str
    summary: str
    category: str
    available: str
    example: str
    aliases: list[str]
    difference: str | None


class AbsentField(msgspec.Struct, frozen=True):
    """A documented field that is not here."""

    name: str
    type: str
    reason: str
    product: str | None


class Example(msgspec.Struct, frozen=True):
    """An expression and what it gives for a request."""

    expression: str
    request: str
    client: str
    result: str


class Function(msgspec.Struct, frozen=True):
    """A function of the language."""

    name: str
    signature: str
    summary: str
    places: str
    once: bool
    examples: list[Example]


class AbsentFunction(msgspec.Struct, frozen=True):
    """A documented function that is not here."""

    name: str
    reason: str


def fields() -> list[Field]:
    """Every field, in the order of the reference."""
    return msgspec.json.decode(fields_table(), type=list[Field])


def absent_fields() -> list[AbsentField]:
    """Every documented field that is not here, by name."""
    return msgspec.json.decode(absent_fields_table(), type=list[AbsentField])


def functions() -> list[Function]:
    """Every function, by name."""
    return msgspec.json.decode(functions_table(), type=list[Function])


def absent_functions() -> list[AbsentFunction]:
    """Every documented function that is not here, by name."""
    return msgspec.json.decode(absent_functions_table(), type=list[AbsentFunction])


def markdown() -> str:
    """The page."""
    return (
        f"{_INTRODUCTION}\n## Fields\n\n{_coverage()}\n"
        "| field | type | about | from | |\n| --- | --- | --- | --- | --- |\n"
        + "".join(_field(field) for field in fields())
        + "\nAn expression that reads each:\n\n```text\n"
        + "".join(f"{field.example}\n" for field in fields())
        + "```\n\nDocumented, and not here; a rule that reads one of them is refused:\n\n"
        + "| field | type | why |\n| --- | --- | --- |\n"
        + "".join(f"| `{field.name}` | {field.type} | {_cell(field.reason)} |\n" for field in absent_fields())
        + f"\n## Functions\n\n{_FUNCTIONS}\n| function | allowed in | |\n| --- | --- | --- |\n"
        + "".join(_function(function) for function in functions())
        + "\nWhat they give; a request comes from 192.0.2.7 where nothing else is said.\n\n"
        + "| expression | request | value |\n| --- | --- | --- |\n"
        + "".join(_example(example) for function in functions() for example in function.examples)
        + "\nDocumented, and not here:\n\n| function | why |\n| --- | --- |\n"
        + "".join(f"| `{function.name}` | {_cell(function.reason)} |\n" for function in absent_functions())
    )


def _function(function: Function) -> str:
    once = " Once in an expression." if function.once else ""
    return f"| `{_cell(function.signature)}` | {function.places} | {_cell(function.summary)}{once} |\n"


def _example(example: Example) -> str:
    request = ", ".join(f"`{_cell(line)}`" for line in example.request.splitlines())
    client = "" if example.client == _USUAL_CLIENT else f" from {example.client}"
    return f"| `{_cell(example.expression)}` | {request}{client} | `{_cell(example.result)}` |\n"


def _coverage() -> str:
    documented = [field for field in fields() if not field.name.startswith(_OURS)]
    partial = sum(field.difference is not None for field in documented)
    ours = len(fields()) - len(documented)
    return (
        f"Of Cloudflare's documented fields {len(documented) - partial} are present, {partial} are present with a "
        f"difference,\nwhich their rows name, and {len(absent_fields())} are absent. {ours} are ours.\n"
    )


def _field(field: Field) -> str:
    aliases = "".join(f" Deprecated name: `{alias}`." for alias in field.aliases)
    difference = "" if field.difference is None else f" Here: {field.difference}."
    about = f"{field.type} | {field.category} | {_WHEN[field.available]}"
    return f"| `{field.name}` | {about} | {_cell(field.summary + aliases + difference)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(markdown(), encoding="utf-8")
