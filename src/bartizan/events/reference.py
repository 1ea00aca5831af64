"""docs/reference/events.md, made from the event tables.

`python -m bartizan.events.reference` writes it anew, and the page of `stored.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bartizan.events import schema, stored

PAGE: Final = Path("docs/reference/events.md")

_ABOUT: Final = {
    "http_requests": "One row per request that was parsed, written when its exchange ends.",
    "firewall_events": "One row per rule that acted on a request.",
    "bartizan_refusals": (
        "Sampled rows about what was refused before it was a request; the metrics count all of it, so that a flood "
        "cannot become a flood of events."
    ),
}

_INTRODUCTION: Final = """\
# The event tables

<!-- Made from crates/fields/src/columns.rs by `python -m bartizan.events.reference`; do not edit. -->

What the edge writes and `bartizan tail`, `bartizan ray` and `bartizan query` read. Names and meaning follow
Cloudflare's Logpush datasets `http_requests` and `firewall_events`, so that consumers of those work; columns that begin
with `Bartizan` are ours. Sums weight by `SampleInterval`. A value that is absent from an event is 0, the empty string
or the empty list in the event store, and left out by `--json`.

How long events are kept, and how addresses of clients are, is said in `[events]` of the [site file](site-file.md). Of
URLs the values of secret parameters are left out, and bodies, cookies and authorisation headers are in no column unless
a rule with `log_custom_field` names one: [what is stored](../security/what-is-stored.md).

"""

_STATES: Final = {
    "filled": "filled as documented",
    "partly": "filled, and different in what the table says",
    "later": "not yet: they come with the product that the table says",
    "never": "never: what they tell of is not here",
}


def markdown() -> str:
    """The page."""
    parts = [_INTRODUCTION, _counts()]
    for table in schema.tables():
        rows = "".join(_row(table, column) for column in table.columns)
        heads = "| Column | Type | Meaning | As Logpush has it |\n|---|---|---|---|\n"
        parts.append(f"\n## {table.name}\n\n{_ABOUT[table.name]}\n\n{heads}{rows}")
        absent = [field for field in schema.fields() if field.table == table.name and field.type is not None]
        if absent:
            rows = "".join(f"| `{field.name}` | {field.type} | {_when(field)} | {field.reason} |\n" for field in absent)
            parts.append(f"\n### Documented and not here\n\n| Field | Type | When | Why |\n|---|---|---|---|\n{rows}")
    return "".join(parts)


def _counts() -> str:
    datasets = [table.name for table in schema.tables() if any(field.table == table.name for field in schema.fields())]
    lines = [f"| Documented fields of | {' | '.join(datasets)} |", "|---|" + "---|" * len(datasets)]
    for state, meaning in _STATES.items():
        counts = [sum(field.table == table and field.state == state for field in schema.fields()) for table in datasets]
        lines.append(f"| {meaning} | {' | '.join(map(str, counts))} |")
    totals = [sum(field.table == table for field in schema.fields()) for table in datasets]
    lines.append(f"| all | {' | '.join(map(str, totals))} |")
    return "\n".join(lines) + "\n"


def _row(table: schema.Table, column: schema.Column) -> str:
    documented = next((each for each in schema.fields() if (each.table, each.name) == (table.name, column.name)), None)
    if documented is None:
        kept = "ours"
    else:
        kept = documented.state if documented.reason is None else f"{documented.state}: {documented.reason}"
    return f"| `{column.name}` | {column.clickhouse} | {column.summary} | {kept} |\n"


def _when(field: schema.Field) -> str:
    return "never" if field.product is None else f"with `{field.product}`"


if __name__ == "__main__":
    PAGE.write_text(markdown())
    stored.PAGE.write_text(stored.markdown())
