"""`bartizan ray`: everything about one request, by the identifier that its visitor was shown."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from bartizan.cli.printable import printable, printable_json
from bartizan.cli.tail import rfc3339
from bartizan.events import control
from bartizan.events.location import spool_directory
from bartizan.events.ray import Found, find
from bartizan.events.tail import Row
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.policy.why import client_addresses, considered, expressions
from bartizan.waf import explained

_REDACTED: Final = "REDACTED"
"""What stands in a stored URL in the place of a secret."""

_REDACTED_FIELDS: Final = {
    "ClientRequestURI": "raw.http.request.uri",
    "ClientRequestPath": "http.request.uri.path",
    "ClientRequestReferer": "http.referer",
}
"""Columns with URLs, and the fields that are read from them."""

_ADDRESS: Final = "ip.src"
_HASHED: Final = "100::"
"""How a hashed address begins (RFC 6666)."""

_SECTIONS: Final = (
    ("request", ("ClientRequest", "ZoneName", "EdgeStart", "EdgeEnd")),
    ("client", ("Client", "JA3", "JA4", "BartizanHTTP2")),
    ("decision", ("Security", "BartizanPolicy", "BartizanOutcome", "BartizanWAF")),
    ("origin", ("Origin", "BartizanOrigin")),
    ("response", ("Edge",)),
    ("other", ("",)),
)
"""Headings and the beginnings of the column names below them; a column stands under the first that fits."""


def ray(*, ray_id: str, site: Path | None, state: Path | None, json: bool) -> int:
    """Prints a request's fields, the rules that acted and why, and its origin; 1 if there is no such request."""
    installation = StateDirectory.locate(state=state, site=site)
    try:
        found = find(spool_directory(installation), installation.events_socket, ray_id)
    except OSError as error:
        raise Failure(str(error.args[-1])) from error
    if found is None:
        sys.stderr.write(f"bartizan ray: no event has Ray ID {ray_id}; an exchange is recorded when it ends\n")
        return 1
    why = _why(installation, found)
    shown = _with_times(found)
    judged = _considered(installation, found)
    if json:
        report = {
            **msgspec.structs.asdict(shown),
            "expressions": why,
            "considered": judged,
            "rule_sets": _rule_sets(found),
        }
        sys.stdout.write(printable_json(msgspec.json.encode(report).decode()) + "\n")
    else:
        _print(shown, why)
        _print_rule_sets(found)
        _print_considered(judged)
    return 0


def _considered(installation: StateDirectory, found: Found) -> list[dict[str, Any]] | str:
    """What each rule of that policy says of the stored request; or, in words, why that cannot be said."""
    version, zone = found.request.get("BartizanPolicyVersion"), found.request.get("ZoneName")
    if not isinstance(version, int) or not isinstance(zone, str):
        return "its own event, with the policy that decided, is not there"
    policy = considered(installation, version, zone)
    if policy is None:
        return f"version {version} of the policy is kept no more"
    # Only here: the native module takes its time.
    from bartizan.rules.considered import verdicts

    def ask(sql: str) -> list[list[int | None]]:
        lines = control.query(installation.events_socket, sql, "JSONCompactEachRow").splitlines()
        return [row[0] for line in lines for row in [msgspec.json.decode(line)]]

    altered = _altered(found.request)
    if client_addresses(installation, version) == "truncated":
        altered[_ADDRESS] = "the client's address is stored truncated"
    rules = [(rule.phase, rule.expression) for rule in policy.rules]
    try:
        judged = verdicts(rules, found.ray_id, ask, lists=policy.lists, altered=altered)
    except Failure as failure:
        return str(failure)
    return [
        {**rule._asdict(), "matches": verdict.matches, "missing": list(verdict.missing)}
        for rule, verdict in zip(policy.rules, judged, strict=True)
    ]


def _why(installation: StateDirectory, found: Found) -> dict[str, str]:
    """The expressions of the rules that acted, by identifier; those of a version that is gone are left out."""
    versions = {row.get("BartizanPolicyVersion") for row in found.firewall_events}
    rules = {str(row.get("RuleID")) for row in found.firewall_events}
    return {
        rule: expression
        for version in versions
        if isinstance(version, int)
        for rule, expression in expressions(installation, version, rules).items()
    }


def _with_times(found: Found) -> Found:
    def readable(row: Row) -> Row:
        return {
            name: _time(value) if name.endswith("Timestamp") or name == "Datetime" else value
            for name, value in row.items()
        }

    return Found(found.ray_id, readable(found.request), [readable(row) for row in found.firewall_events], found.source)


def _time(value: object) -> str:
    """A time of the spool, or of the event store, which has it in UTC and in a form of its own."""
    of_store = re.fullmatch(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d{9})", value) if isinstance(value, str) else None
    return rfc3339(value) if of_store is None else f"{of_store[1]}T{of_store[2]}Z"


def _print(found: Found, why: dict[str, str]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from bartizan.cli.console import page

    console = page()
    console.print(Text(f"Ray {found.ray_id}, from the {found.source}", style="bold"))
    left = dict(found.request)
    left.pop("RayID", None)
    # Told below, in words.
    left.pop("BartizanWAFMatches", None)
    for heading, beginnings in _SECTIONS:
        columns = [name for name in left if name.startswith(beginnings)]
        if not columns:
            continue
        console.print(Text(f"\n{heading}", style="bold"))
        for name in columns:
            console.print(Text(f"  {name:<40} {_text(left.pop(name))}"), soft_wrap=True)
    if not found.request:
        console.print(Text("\nIts own event was dropped, or is kept no more.", style="yellow"))
    if not found.firewall_events:
        console.print(Text("\nno rule acted"))
        return
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title="rules that acted", title_justify="left", title_style="bold"
    )
    for column in ("action", "source", "rule", "description", "why"):
        table.add_column(column, overflow="fold")
    for row in found.firewall_events:
        cells = [row.get(name, "") for name in ("Action", "Source", "RuleID", "Description")]
        table.add_row(*(Text(_text(cell)) for cell in (*cells, why.get(str(row.get("RuleID")), "unknown"))))
    console.print()
    console.print(table)


def _rule_sets(found: Found) -> dict[str, Any]:
    """What rule sets said of the request: the rules that matched, what was decided, and what would have to change."""
    made = [made for row in found.firewall_events if (made := explained.decision(row)) is not None]
    return {
        "matched": [msgspec.to_builtins(rule) for rule in explained.matched(found.request)],
        "decided": [{**msgspec.to_builtins(one), "changes": explained.changes(one)} for one in made],
    }


def _print_rule_sets(found: Found) -> None:
    """The rules of rule sets that matched, each with where, and what would have to change."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from bartizan.cli.console import page

    matched = explained.matched(found.request)
    if not matched:
        return
    console = page()
    for row in found.firewall_events:
        if (made := explained.decision(row)) is None:
            continue
        name = made.ruleset_name or made.ruleset
        console.print(Text(f"\nrule set {printable(name)}: {row.get('Action')} by its rule {made.rule}", style="bold"))
        for way in explained.changes(made):
            console.print(Text(f"  {printable(way)}"), soft_wrap=True)
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title="rules of rule sets that matched",
        title_justify="left",
        title_style="bold",
    )
    for column in ("rule", "severity", "message", "where"):
        table.add_column(column, overflow="fold")
    for rule in matched:
        more = [f"and {rule.more_values} more"] if rule.more_values else []
        where = "\n".join(printable(line) for line in [*map(str, rule.values), *more])
        table.add_row(*(Text(printable(cell)) for cell in (rule.id, rule.severity_name, rule.message)), Text(where))
    console.print()
    console.print(table)


def _altered(row: Row) -> dict[str, str]:
    """The fields, by the beginning of their names, whose values are not in the row as rules saw them; and why."""
    altered = {
        field: f"a secret was taken out of {column}"
        for column, field in _REDACTED_FIELDS.items()
        if _REDACTED in str(row.get(column, ""))
    }
    if str(row.get("ClientIP", "")).startswith(_HASHED):
        altered[_ADDRESS] = "the client's address is stored as a hash"
    return altered


def _print_considered(judged: list[dict[str, Any]] | str) -> None:
    """The rules that match the stored request or cannot be decided; those that do not match are counted."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from bartizan.cli.console import page

    console = page()
    if isinstance(judged, str):
        console.print(Text(f"\nWhat its rules say cannot be told: {judged}.", style="yellow"))
        return
    shown = [rule for rule in judged if rule["matches"] is not False]
    console.print(Text(f"\n{_counts(len(judged), len(judged) - len(shown))}", style="bold"))
    if not shown:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("by what is stored", "phase", "of", "action", "expression"):
        table.add_column(column, overflow="fold")
    for rule in shown:
        said = "matches" if rule["matches"] else f"not known: {'; '.join(rule['missing'])}"
        cells = (said, rule["phase"], rule["of"], rule["action"], rule["expression"])
        table.add_row(*(Text(_text(cell)) for cell in cells))
    console.print(table)


def _counts(considered: int, left_out: int) -> str:
    """`1 rule considered, 1 does not match`."""
    rules = "rule" if considered == 1 else "rules"
    return f"{considered} {rules} considered, {left_out} {'does' if left_out == 1 else 'do'} not match"


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(printable(str(item)) for item in value)
    return printable(str(value))
