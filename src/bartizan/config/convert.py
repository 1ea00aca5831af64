"""TOML values into the types of `site`, with every mistake at once.

msgspec converts and stops at the first mistake, which is right for the file without one: 20,000 rules in 20 ms. Only
when it stops are the values walked here, against the same types: what is wrong is reported and left out, and what
remains is converted, so that the checks between settings can still speak about the rest of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import inspect as types

from bartizan.config.problem import Finding, Path, closest, did_you_mean, type_name
from bartizan.config.site import Site
from bartizan.config.source import Source

__all__ = ["convert", "convert_table"]

_Table = TypeVar("_Table")

DROPPED = object()
"""Stands for a value that is wrong, or whose required part is."""

NAMES: dict[Path, str] = {
    ("zones",): "small letters, digits, - and _, beginning with a letter or digit",
    ("rulesets",): "small letters, digits, - and _, beginning with a letter or digit",
    ("lists",): "small letters, digits and _, at most 50",
    ("sinks",): "small letters, digits, - and _, beginning with a letter or digit",
}
PATTERNS = {
    r"^[A-Z]{3}$(?!\n)": 'three capital letters, as in "LOC"',
    r"^[0-9a-f]{32}$(?!\n)": "32 hexadecimal digits in small letters; leave it out to have one derived",
    r"^[A-Za-z0-9_.:-]{1,64}$(?!\n)": "1 to 64 letters, digits, _ . : or -",
    r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$(?!\n)": "letters, digits, _ and -, with dots between",
    r"^[^@\s]+@[^@\s]+$(?!\n)": 'an e-mail address, as in "ops@shop.example"',
}
"""What a pattern means, in words; a test holds it to the patterns of `site`."""


def convert(source: Source) -> tuple[Site | None, list[Finding]]:
    """The site of a source, and what is wrong with it. With findings the site is what is left; None if nothing is."""
    try:
        return msgspec.convert(source.values, Site), []
    except msgspec.ValidationError as error:
        first = str(error)
    walk = _Walk(source)
    rest = walk.value(types.type_info(Site), source.values, ())
    if not walk.findings:  # msgspec refuses something that the walk lets pass: its words are better than silence
        return None, [Finding((), first)]
    if rest is DROPPED:
        return None, walk.findings
    return msgspec.convert(rest, Site), walk.findings


def convert_table(source: Source, key: str, kind: type[_Table]) -> tuple[_Table | None, list[Finding]]:
    """One table of a source, for who needs no more of the file; None, with findings, where it is wrong."""
    value = source.values.get(key, {})
    try:
        return msgspec.convert(value, kind), []
    except msgspec.ValidationError as error:
        first = str(error)
    walk = _Walk(source)
    walk.value(types.type_info(kind), value, (key,))
    return None, walk.findings or [Finding((key,), first)]


class _Walk:
    def __init__(self, source: Source) -> None:
        self.findings: list[Finding] = []
        self._source = source

    def value(self, kind: types.Type, value: Any, path: Path) -> Any:
        """The part of a value that its type accepts, or DROPPED."""
        while isinstance(kind, types.Metadata):
            kind = kind.type
        match kind:
            case types.UnionType():
                return self._union(kind, value, path)
            case types.StructType():
                return self._table(kind, value, path)
            case types.ListType():
                return self._list(kind, value, path)
            case types.DictType():
                return self._names(kind, value, path)
            case types.AnyType():
                return value
        wrong = _leaf(kind, value)
        if wrong is None:
            return value
        way_out = f"; {_way_out(str(path[-1]))}" if value == "" else ""
        self.findings.append(Finding(path, f"{_subject(path)}{wrong}{way_out}"))
        return DROPPED

    def _union(self, kind: types.UnionType, value: Any, path: Path) -> Any:
        members = [member for member in map(_plain, kind.types) if not isinstance(member, types.NoneType)]
        tables = {member.tag: member for member in members if isinstance(member, types.StructType) and member.tag}
        if tables and isinstance(value, dict):
            return self._one_of(tables, value, path)
        for member in members:
            if len(members) == 1 or _takes(member, value):
                return self.value(member, value, path)
        self._wrong_type(" or ".join(dict.fromkeys(map(_expected, members))), value, path)
        return DROPPED

    def _one_of(self, tables: dict[Any, types.StructType], value: dict[str, Any], path: Path) -> Any:
        """A table whose `type` says which settings it has."""
        choices = list(map(str, tables))
        if "type" not in value:
            self._finding((*path, "type"), f'"type" is missing; it is one of {", ".join(choices)}', "key")
            return DROPPED
        wrong = _choice(choices, value["type"])
        if wrong is not None:
            self._finding((*path, "type"), f'"type" {wrong}', "value")
            return DROPPED
        return self._table(tables[value["type"]], value, path)

    def _table(self, kind: types.StructType, value: Any, path: Path) -> Any:
        if not isinstance(value, dict):
            self._wrong_type("a table", value, path)
            return DROPPED
        fields = {field.encode_name: field for field in kind.fields}
        absent = [name for name, field in fields.items() if field.required and name not in value]
        misspelt = {closest(key, list(fields)) for key in value if key not in fields and key != kind.tag_field}
        for name in absent:
            if name not in misspelt:
                self._finding((*path, name), f'"{name}" is missing; {_way_out(name)}', "key")
        kept: dict[str, Any] = {}
        for key, item in value.items():
            if key == kind.tag_field:
                kept[key] = item
                continue
            field = fields.get(key)
            if field is None:
                self._finding((*path, key), f'unknown key "{key}"{did_you_mean(key, list(fields))}', "key")
                continue
            part = self.value(field.type, item, (*path, key))
            if part is not DROPPED:
                kept[key] = part
        for name in (name for name, field in fields.items() if field.required and name not in kept):
            empty = _empty(fields[name].type)
            if empty is DROPPED:
                return DROPPED
            kept[name] = empty
        return kept

    def _list(self, kind: types.ListType, value: Any, path: Path) -> Any:
        if not isinstance(value, list):
            self._wrong_type("a list", value, path)
            return DROPPED
        parts = [self.value(kind.item_type, item, (*path, index)) for index, item in enumerate(value)]
        kept = [index for index, part in enumerate(parts) if part is not DROPPED]
        if len(kept) < len(parts):
            self._source.keep(path, kept)
        return [parts[index] for index in kept]

    def _names(self, kind: types.DictType, value: Any, path: Path) -> Any:
        if not isinstance(value, dict):
            self._wrong_type("a table", value, path)
            return DROPPED
        kept = {}
        for name, item in value.items():
            if _leaf(_plain(kind.key_type), name) is not None:
                self._finding((*path, name), f"the name is not accepted; use {NAMES[path]}", "key")
                continue
            part = self.value(kind.value_type, item, (*path, name))
            if part is not DROPPED:
                kept[name] = part
        return kept

    def _wrong_type(self, expected: str, value: Any, path: Path) -> None:
        self._finding(path, f"{_subject(path)}must be {expected}, found {type_name(value)}", "value")

    def _finding(self, path: Path, message: str, at: Literal["key", "value"]) -> None:
        self.findings.append(Finding(path, message, at))


def _subject(path: Path) -> str:
    return f'"{path[-1]}" ' if path and isinstance(path[-1], str) else ""


def _plain(kind: types.Type) -> types.Type:
    while isinstance(kind, types.Metadata):
        kind = kind.type
    return kind


def _empty(kind: types.Type) -> Any:
    """What stands in for a part that is missing or wrong, so that the rest of its table can be looked at."""
    match _plain(kind):
        case types.ListType():
            return []
        case types.DictType():
            return {}
    return DROPPED


def _takes(kind: types.Type, value: Any) -> bool:
    """Whether a value is meant for this member of a union, well-formed or not."""
    match kind:
        case types.StructType():
            return isinstance(value, dict)
        case types.StrType():
            return isinstance(value, str)
        case types.IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case types.FloatType():
            return isinstance(value, float)
    return False


def _way_out(name: str) -> str:
    example = {
        "origins": 'say where the application is, as in origins = ["http://127.0.0.1:8000"]',
        "zones": "add a table such as [zones.shop] with hosts and origins",
        "expression": "say which requests are meant, as in expression = 'http.host eq \"shop.example\"'",
        "action": 'say what to do with them, as in action = "block"',
        "kind": 'say what the list holds: kind = "ip" or kind = "string"',
    }
    return example.get(name, f"add {name} = ...")


def _expected(kind: types.Type) -> str:
    match kind:
        case types.StructType():
            required = [field.encode_name for field in kind.fields if field.required]
            return f"a table with {' and '.join(required)}" if required else "a table"
        case types.StrType():
            return "text in quotes"
        case types.IntType() | types.FloatType():
            return "a number"
        case types.BoolType():
            return "true or false"
    return "another type"


def _leaf(kind: types.Type, value: Any) -> str | None:
    """What is wrong with a plain value, or None."""
    match kind:
        case types.BoolType():
            return None if isinstance(value, bool) else f"must be true or false, found {type_name(value)}"
        case types.StrType():
            return _text(kind, value)
        case types.IntType():
            return _number(kind, value, "a whole number", lambda number: isinstance(number, int))
        case types.FloatType():
            return _number(kind, value, "a number", lambda number: isinstance(number, (int, float)))
        case types.LiteralType():
            return _choice(list(map(str, kind.values)), value)
    return None


def _text(kind: types.StrType, value: Any) -> str | None:
    if not isinstance(value, str):
        return f"must be text in quotes, found {type_name(value)}"
    if kind.min_length and len(value) < kind.min_length:
        return "is empty"
    if kind.max_length is not None and len(value) > kind.max_length:
        return f"is {len(value):,} characters long; at most {kind.max_length:,} are accepted"
    if kind.pattern and not _pattern(kind.pattern).search(value):
        return f'is "{value}"; it must be {PATTERNS.get(kind.pattern, kind.pattern)}'
    return None


def _number(kind: types.IntType | types.FloatType, value: Any, name: str, fits: Callable[[Any], bool]) -> str | None:
    if isinstance(value, bool) or not fits(value):
        return f"must be {name}, found {type_name(value)}"
    if (kind.ge is not None and value < kind.ge) or (kind.le is not None and value > kind.le):
        return f"is {value}; it must be from {kind.ge} to {kind.le}"
    return None


def _choice(choices: list[str], value: Any) -> str | None:
    if not isinstance(value, str):
        return f"must be text in quotes, found {type_name(value)}; known: {', '.join(choices)}"
    return None if value in choices else f'is "{value}", which is unknown{did_you_mean(value, choices)}'


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
