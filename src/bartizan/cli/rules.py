"""`bartizan rules`: expressions tried, explained and formatted, and the reference of the language at hand."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bartizan.cli.printable import printable
from bartizan.failure import Failure
from bartizan.rules import ExpressionError, Request, Untranslatable, canonical, compile, reference  # noqa: A004  its name in re too
from bartizan.rules.request import Facts
from bartizan.rules.rule import Lists
from bartizan.rules.trace import trace

GivenList = tuple[str, str, tuple[str, ...]]


def test(
    *,
    expression: str,
    request: Path | None,
    url: str | None,
    method: str | None,
    header: Sequence[tuple[str, str]],
    body: str | None,
    client_ip: str,
    phase: str,
    list: Sequence[GivenList],  # noqa: A002  the option's name
    json: bool,
) -> int:
    """Runs an expression on one request and prints the verdict of each condition. 0: it matches; 1: it does not."""
    made: Request | bytes
    facts: Facts = {}
    if request is None:
        made = Request(
            method=method or "GET",
            url=url or "http://localhost/",
            headers=tuple(header),
            body=(body or "").encode(),
            client_ip=client_ip,
        )
    elif url or method or header or body:
        raise Failure("--request is the whole request; give it without --url, --method, --header and --body")
    else:
        made, facts = _message(_read(request)), {"client_ip": client_ip}
    try:
        conditions = trace(expression, made, phase=phase, lists=_lists(list), **facts)
    except ExpressionError as error:
        return _wrong(error, json=json)
    # An expression of a literal alone has no condition within it.
    matches = conditions[0].matches if conditions else expression.strip() == "true"
    if json:
        _print_json({"matches": matches, "conditions": conditions})
    else:
        sys.stdout.write("matches\n" if matches else "does not match\n")
        for condition in conditions:
            verdict = "true " if condition.matches else "false"
            sys.stdout.write(f"  {verdict}  {'  ' * condition.depth}{printable(condition.source)}\n")
    return 0 if matches else 1


def explain(*, expression: str, phase: str, list: Sequence[GivenList], json: bool) -> int:  # noqa: A002  as above
    """Prints what an expression means. 0: it is explained; 1: it is wrong."""
    try:
        rule = compile(expression, phase=phase, lists=_lists(list))
    except ExpressionError as error:
        return _wrong(error, json=json)
    sql, refused = None, None
    try:
        sql = rule.sql()
    except Untranslatable as error:
        refused = error.message
    if json:
        explained = msgspec.to_builtins(rule.explanation())
        _print_json({**explained, "sql": sql, "sql_refused": refused})
    else:
        sys.stdout.write(f"{rule.explain()}\nsql      {sql if sql is not None else f'none: {refused}'}\n")
    return 0


def fmt(*, file: Path | None, check: bool, json: bool) -> int:
    """Prints an expression in canonical form. 0: done; 1: it is wrong, or with `check` not in that form."""
    source = _read(file or Path("-")).decode(errors="replace").strip()
    try:
        formatted = canonical(source)
    except ExpressionError as error:
        return _wrong(error, json=json)
    changed = formatted != source
    if json:
        _print_json({"expression": formatted, "changed": changed})
    elif not check:
        sys.stdout.write(f"{formatted}\n")
    elif changed:
        sys.stderr.write(f"bartizan rules fmt: not in canonical form, which is {formatted}\n")
    return 1 if check and changed else 0


def fields(*, name: str | None, json: bool) -> int:
    """Lists the fields, or explains one. 0: done; 1: there is no such field."""
    known = reference.fields()
    if name is None:
        if json:
            _print_json(known)
        else:
            _columns([(field.name, field.type, field.summary) for field in known])
        return 0
    absent = next((field for field in reference.absent_fields() if field.name == name), None)
    if absent is not None:
        raise Failure(f"{name} is documented by Cloudflare, and not here: {absent.reason}")
    field = next((field for field in known if name in (field.name, *field.aliases)), None)
    if field is None:
        raise Failure(_unknown("field", name, [field.name for field in known]))
    if json:
        _print_json(field)
        return 0
    when = {
        "head": "with the request head",
        "body": "once the body is held: a rule that reads it makes the edge hold bodies",
        "response": "once there is a response: in the response phases only",
    }
    lines = [
        f"{field.name}: {field.type}",
        field.summary,
        *([f"Here: {field.difference}."] if field.difference else []),
        *(f"Another documented name: {alias}." for alias in field.aliases),
        f"\nknown    {when[field.available]}",
        f"example  {field.example}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def functions(*, name: str | None, json: bool) -> int:
    """Lists the functions, or explains one. 0: done; 1: there is no such function."""
    known = reference.functions()
    if name is None:
        if json:
            _print_json(known)
        else:
            _columns([(function.name, function.summary) for function in known])
        return 0
    absent = next((function for function in reference.absent_functions() if function.name == name), None)
    if absent is not None:
        raise Failure(f"{name}() is documented by Cloudflare, and not here: {absent.reason}")
    function = next((function for function in known if function.name == name), None)
    if function is None:
        raise Failure(_unknown("function", name, [function.name for function in known]))
    if json:
        _print_json(function)
        return 0
    lines = [
        function.signature,
        function.summary + (" Once in an expression." if function.once else ""),
        f"\nallowed in  {function.places}",
        *(f"example     {example.expression}  gives  {example.result}" for example in function.examples),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _lists(given: Sequence[GivenList]) -> Lists:
    return {name: (kind, items) for name, kind, items in given}


def _read(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == Path("-") else file.read_bytes()
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}") from error


def _message(text: bytes) -> bytes:
    """A message as an editor leaves it has bare newlines, and perhaps no empty line after its headers."""
    if b"\r\n" in text:
        return text
    head, _, body = text.partition(b"\n\n")
    return head.rstrip(b"\n").replace(b"\n", b"\r\n") + b"\r\n\r\n" + body


def _wrong(error: ExpressionError, *, json: bool) -> int:
    if not json:
        raise error
    wrong = {name: getattr(error, name) for name in ("message", "line", "column", "length", "expected", "suggestion")}
    _print_json({"error": wrong})
    return 1


def _unknown(kind: str, name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {close[0]}?" if close else ""
    return f"there is no {kind} {name!r}{meant}; `bartizan rules {kind}s` lists them all"


def _columns(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def _print_json(value: object) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
