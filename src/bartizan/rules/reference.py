"""The reference of the rules language, made from its tables: `python -m bartizan.rules.reference`.

docs/reference/rules.md lists everything; beside it, in docs/reference/rules, is a page for each field, function, action
and phase.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from bartizan._native import (
    absent_fields_table,
    absent_functions_table,
    actions_table,
    fields_table,
    functions_table,
    phases_table,
)
from bartizan.rules.rule import Untranslatable, compile  # noqa: A004  its name in re too

PAGE: Final = Path("docs/reference/rules.md")
PAGES: Final = Path("docs/reference/rules")

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

Fields about geolocation come from databases in the MaxMind DB format that you have, named in `[edge.geo]` of the site
file. Where there is none, or it does not have the address, texts are empty, `ip.src.asnum` is 0 and
`ip.src.is_in_european_union` is false; `bartizan check` warns of rules that read what no database fills.
"""

_FUNCTIONS: Final = """\
A function is allowed where Cloudflare documents it to be, so that a rule written here can be taken there. One that is
given a missing value gives a missing value, unless its row says otherwise.
"""

_OURS: Final = "bartizan."

_USUAL_CLIENT: Final = "192.0.2.7"

_LAST_PHASE: Final = "http_log_custom_fields"
"""The phase in which every field is known."""

_BACK: Final = "All of it: [the rules language](../../rules.md).\n"

_KNOWN: Final = {
    "head": "with the request head",
    "body": "once the body is held: a rule that reads it makes the edge hold bodies",
    "response": "once there is a response, so in the response phases only",
}

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


class Phase(msgspec.Struct, frozen=True):
    """A phase of a request's life."""

    name: str
    summary: str
    response: bool


class Parameter(msgspec.Struct, frozen=True):
    """A parameter of an action."""

    name: str
    summary: str


class Action(msgspec.Struct, frozen=True):
    """What a rule does."""

    name: str
    summary: str
    phases: list[str]
    terminating: bool
    parameters: list[Parameter]


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


def phases() -> list[Phase]:
    """Every phase, in the order in which they run."""
    return msgspec.json.decode(phases_table(), type=list[Phase])


def actions() -> list[Action]:
    """Every action that does something."""
    return msgspec.json.decode(actions_table(), type=list[Action])


def pages() -> dict[Path, str]:
    """Every page: that of the whole language, and one for each field, function, action and phase."""
    return (
        {PAGE: markdown()}
        | {PAGES / "fields" / f"{field.name}.md": _field_page(field) for field in fields()}
        | {PAGES / "functions" / f"{function.name}.md": _function_page(function) for function in functions()}
        | {PAGES / "actions" / f"{action.name}.md": _action_page(action) for action in actions()}
        | {PAGES / "phases" / f"{phase.name}.md": _phase_page(phase) for phase in phases()}
    )


def write(repository: Path) -> None:
    """Writes every page, and removes those of what is no more."""
    made = pages()
    for page in (repository / PAGES).rglob("*.md"):
        if page.relative_to(repository) not in made:
            page.unlink()
    for page, text in made.items():
        (repository / page).parent.mkdir(parents=True, exist_ok=True)
        (repository / page).write_text(text, encoding="utf-8")


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
        + "\n## Phases and actions\n\nIn the order in which they run; a phase without actions does nothing yet.\n\n"
        + "| phase | | actions |\n| --- | --- | --- |\n"
        + "".join(
            f"| {_link('phases', phase.name)} | {_cell(phase.summary)} | {_actions_of(phase, 'rules/actions')} |\n"
            for phase in phases()
        )
    )


def _field_page(field: Field) -> str:
    difference = "" if field.difference is None else f"\n**Here**: {field.difference}.\n"
    aliases = "".join(f"\nAnother documented name: `{alias}`.\n" for alias in field.aliases)
    return (
        f"# {field.name}\n\n{field.summary}\n{difference}{aliases}\n"
        f"| type | about | known |\n| --- | --- | --- |\n"
        f"| {field.type} | {field.category} | {_KNOWN[field.available]} |\n\n"
        f"An expression that reads it:\n\n```text\n{field.example}\n```\n\n{_in_sql(field.example)}\n{_BACK}"
    )


def _in_sql(expression: str) -> str:
    try:
        sql = compile(expression, phase=_LAST_PHASE).sql()
    except Untranslatable as refused:
        return f"The event store cannot be asked for the same requests: {refused.message}.\n"
    return f"The same asked of the event store:\n\n```sql\nSELECT * FROM http_requests WHERE {sql}\n```\n"


def _function_page(function: Function) -> str:
    once = " An expression may hold it once, and not within another such function." if function.once else ""
    return (
        f"# {function.name}\n\n```text\n{function.signature}\n```\n\n{function.summary}{once}\n\n"
        f"Allowed in {function.places}.\n\n"
        "| expression | request | value |\n| --- | --- | --- |\n"
        + "".join(_example(example) for example in function.examples)
        + f"\n{_BACK}"
    )


def _action_page(action: Action) -> str:
    ends = "No rule runs after it." if action.terminating else "The rules after it run."
    parameters = "".join(f"| `{row.name}` | {_cell(row.summary)} |\n" for row in action.parameters)
    table = f"| parameter | |\n| --- | --- |\n{parameters}" if parameters else "It takes no parameters.\n"
    stands = ", ".join(f"[`{phase}`](../phases/{phase}.md)" for phase in action.phases)
    return f"# {action.name}\n\n{action.summary} {ends}\n\nIt can stand in {stands}.\n\n{table}\n{_BACK}"


def _phase_page(phase: Phase) -> str:
    response = "The response is known." if phase.response else "The response is not known yet."
    allowed = _actions_of(phase, "../actions")
    stands = f"Actions of its rules: {allowed}." if allowed else "It does nothing yet: rules that name it are refused."
    return f"# {phase.name}\n\n{phase.summary} {response}\n\n{stands}\n\n{_BACK}"


def _actions_of(phase: Phase, directory: str) -> str:
    standing = (action.name for action in actions() if phase.name in action.phases)
    return ", ".join(f"[`{name}`]({directory}/{name}.md)" for name in standing)


def _link(kind: str, name: str, text: str = "") -> str:
    return f"[`{_cell(text or name)}`](rules/{kind}/{name}.md)"


def _function(function: Function) -> str:
    once = " Once in an expression." if function.once else ""
    name = _link("functions", function.name, function.signature)
    return f"| {name} | {function.places} | {_cell(function.summary)}{once} |\n"


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
    aliases = "".join(f" Another documented name: `{alias}`." for alias in field.aliases)
    difference = "" if field.difference is None else f" Here: {field.difference}."
    about = f"{field.type} | {field.category} | {_WHEN[field.available]}"
    return f"| {_link('fields', field.name)} | {about} | {_cell(field.summary + aliases + difference)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    write(Path())
