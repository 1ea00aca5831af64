"""The reference of the site file, written from the settings themselves: `python -m bartizan.config.reference`.

`docs/reference/site-file.md` is for people, `docs/reference/site-file.schema.json` (JSON Schema 2020-12) for editors. A
test fails when either is stale, or when a setting has no description.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect as types

from bartizan.config.native import limits
from bartizan.config.site import Site

__all__ = ["markdown", "schema", "undescribed"]

SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"

INTRODUCTION = """\
# The site file

One TOML file says everything about a site; `bartizan init` writes a first one, `bartizan check` explains every mistake
in it, `bartizan apply` puts it into effect. This page is made from the settings in `src/bartizan/config/site.py` by
`python -m bartizan.config.reference`; do not edit it. For editors there is `site-file.schema.json` beside it.

```toml
[edge]
listen = ["0.0.0.0:80"]
listen_tls = ["0.0.0.0:443"]

[zones.shop]
hosts = ["shop.example", "*.shop.example"]
origins = ["http://127.0.0.1:8001"]

[[zones.shop.rules]]
description = "The admin pages are for the office"
expression = 'starts_with(http.request.uri.path, "/admin") and not ip.src in $office'
action = "block"

[lists.office]
kind = "ip"
items = ["192.0.2.0/24"]
```

Relative paths are relative to the directory of the site file. A key that is not on this page is an error.

Two things are not in the site file, because they belong to the machine or are secret. `BARTIZAN_STATE` names the state
directory; the option `--state` goes before it, and without either it is `.bartizan/` beside the site file.
`BARTIZAN_STORE_URL` names a PostgreSQL database for the policy versions, as in
`postgresql+psycopg://user@host/database` (needs `pip install 'bartizan[postgresql]'`); without it they are in SQLite in
the state directory.

A zone that names no certificate is served over HTTPS with one of the development CA, which the first `apply` makes; let
clients trust `ca/ca.pem` in the state directory. For the public there is `[zones.NAME.tls.acme]`.
"""


class _Section(msgspec.Struct):
    heading: str
    table: types.StructType


def markdown() -> str:
    """The reference page."""
    lines = [INTRODUCTION]
    for section in _sections(_struct(types.type_info(Site)), ""):
        lines += [f"## {section.heading}", "", _docstring(section.table), ""]
        lines += ["| setting | value | default | meaning |", "|---|---|---|---|"]
        if section.table.tag is not None:
            lines.append(f'| `type` | `"{section.table.tag}"` | required | What the sink is. |')
        lines += [_row(field) for field in section.table.fields]
        lines.append("")
    lines += ["## Limits: `[edge.limits]`", "", "Units stand in the names. What is not set keeps its default.", ""]
    lines += ["| limit | default | from | to | meaning |", "|---|---|---|---|---|"]
    lines += [
        f"| `{limit.name}` | {limit.default:,} | {limit.min:,} | {limit.max:,} | {limit.summary} |"
        for limit in limits()
    ]
    return "\n".join(lines) + "\n"


def schema() -> dict[str, Any]:
    """The JSON Schema of the site file, with the limits by name."""
    made = {"$schema": SCHEMA_ID, "title": "Bartizan site file", **msgspec.json.schema(Site)}
    edge = made["$defs"]["Edge"]["properties"]["limits"]
    edge["properties"] = {
        limit.name: {
            "type": "integer",
            "minimum": limit.min,
            "maximum": limit.max,
            "default": limit.default,
            "description": limit.summary,
        }
        for limit in limits()
    }
    edge["additionalProperties"] = False
    return made


def undescribed() -> list[str]:
    """The settings and tables without a description."""
    missing = []
    for section in _sections(_struct(types.type_info(Site)), ""):
        if not section.table.cls.__doc__:
            missing.append(section.heading)
        missing += [f"{section.heading} {field.name}" for field in section.table.fields if not _description(field)]
    return missing


def write(docs: Path) -> None:
    """Writes both files below the directory of the documentation."""
    (docs / "reference").mkdir(parents=True, exist_ok=True)
    (docs / "reference" / "site-file.md").write_text(markdown())
    encoded = msgspec.json.format(msgspec.json.encode(schema()), indent=2)
    (docs / "reference" / "site-file.schema.json").write_bytes(encoded + b"\n")


def _sections(table: types.StructType, path: str) -> Iterator[_Section]:
    """The tables of the site file in the order of their settings, each under the heading that TOML gives it."""
    if table.tag is not None:
        yield _Section(f'`[{path}]` with `type = "{table.tag}"`', table)
    elif path:
        yield _Section(f"`[{path}]`" if not path.startswith("[") else f"`{path}`", table)
    else:
        yield _Section("The tables", table)
    for field in table.fields:
        inner = f"{path.strip('[]')}.{field.encode_name}".lstrip(".")
        for member in _members(field.type):
            match member:
                case types.StructType():
                    yield from _sections(member, inner)
                case types.DictType() if _is_table(member.value_type):
                    for choice in _members(member.value_type):
                        if isinstance(choice, types.StructType):
                            yield from _sections(choice, f"{inner}.NAME")
                case types.ListType():
                    for item in _members(member.item_type):
                        if isinstance(item, types.StructType) and (field.encode_name != "rules" or "zones" in inner):
                            yield from _sections(item, f"[[{inner}]]")


def _row(field: types.Field) -> str:
    meaning = _description(field).replace("|", "\\|")
    return f"| `{field.encode_name}` | {_value(field.type)} | {_default(field)} | {meaning} |"


def _value(kind: types.Type) -> str:
    names = []
    members = _members(kind)
    either = any(isinstance(member, types.FloatType) for member in members)
    for member in members:
        match member:
            case types.IntType() if either:  # a whole number is a number
                continue
            case types.StrType():
                names.append("text")
            case types.BoolType():
                names.append("true or false")
            case types.IntType() | types.FloatType():
                names.append(f"number from {member.ge:,} to {member.le:,}" if member.le is not None else "number")
            case types.LiteralType():
                names.append(", ".join(f'`"{value}"`' for value in sorted(map(str, member.values))))
            case types.StructType() | types.DictType():
                names.append("table")
            case types.ListType():
                names.append(f"list of {_value(member.item_type)}")
    return " or ".join(dict.fromkeys(names))


def _default(field: types.Field) -> str:
    if field.required:
        return "required"
    match field.default_factory:
        case type() as made if issubclass(made, msgspec.Struct):
            return "as below"
        case type():
            return "none"
    match field.default:
        case None | msgspec.NODEFAULT:
            return "unset"
        case "":
            return "empty"
    return f"`{msgspec.json.encode(field.default).decode()}`"


def _description(field: types.Field) -> str:
    if isinstance(field.type, types.Metadata):
        return str((field.type.extra_json_schema or {}).get("description", ""))
    return ""


def _docstring(table: types.StructType) -> str:
    return " ".join((table.cls.__doc__ or "").split())


def _members(kind: types.Type) -> list[types.Type]:
    """The types that a value may have, without the absent ones."""
    while isinstance(kind, types.Metadata):
        kind = kind.type
    if not isinstance(kind, types.UnionType):
        return [kind]
    return [inner for member in kind.types for inner in _members(member) if not isinstance(inner, types.NoneType)]


def _is_table(kind: types.Type) -> bool:
    return isinstance(_members(kind)[0], types.StructType)


def _struct(kind: types.Type) -> types.StructType:
    found = _members(kind)[0]
    assert isinstance(found, types.StructType)  # noqa: S101  the types of `site` are ours
    return found


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
