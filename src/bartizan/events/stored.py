"""docs/security/what-is-stored.md, made from the tables: `python -m bartizan.events.reference` writes it anew.

What is kept of visitors is a promise, so the page lists every column that can hold something of theirs, and the names
by which secrets are known are those that the edge goes by.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from bartizan._native import secret_names_table

PAGE: Final = Path("docs/security/what-is-stored.md")

OF_VISITORS: Final = {
    "address": ("The client's address", ("ClientIP", "ClientIPPrefix", "ClientSrcPort")),
    "place": (
        "Where that address is, from databases that the site names",
        (
            "ClientASN",
            "ClientASNDescription",
            "ClientCountry",
            "ClientRegionCode",
            "ClientCity",
            "ClientLatitude",
            "ClientLongitude",
        ),
    ),
    "url": (
        "What was asked for, and from where the visitor came",
        (
            "ClientRequestHost",
            "ClientRequestMethod",
            "ClientRequestPath",
            "ClientRequestQuery",
            "ClientRequestURI",
            "ClientRequestReferer",
            "ClientRefererScheme",
            "ClientRefererHost",
            "ClientRefererPath",
            "ClientRefererQuery",
        ),
    ),
    "program": (
        "By which program, and what tells it from others",
        (
            "ClientRequestUserAgent",
            "ClientXRequestedWith",
            "JA3Hash",
            "JA4",
            "BartizanHTTP2Fingerprint",
        ),
    ),
    "matched": (
        "What rules of the WAF matched: the name of a parameter or header, the value only without `events.redact`",
        ("BartizanWAFMatches",),
    ),
    "named": ("What a rule with `log_custom_field` names", ("RequestHeaders", "ResponseHeaders", "Cookies")),
}
"""The columns that tell something of a visitor; the others tell of the edge, its rules and the origin."""


class _Names(msgspec.Struct):
    stems: list[str]
    words: list[str]
    last_words: list[tuple[str, list[str]]]


_INTRODUCTION: Final = """\
# What is stored

<!-- Made from the event tables by `python -m bartizan.events.reference`; do not edit. -->

What Bartizan keeps of the people who visit a site, where, for how long, and how to keep less. What is not on this page
is not kept: `tests/e2e/test_planted_secrets.py` sends secrets through every part of a request and every action of a
rule, then searches all that was written and shown.

## Where, and for how long

All of it is in the state directory, which only its owner can read (0700).

| What | Where | For how long | How to keep less |
|---|---|---|---|
| Events, until they are shipped and for `tail` and `ray` | `spool/` | until newer segments need the room | \
`edge.spool.max_bytes` |
| Events | `analytics/` (chDB, where it is installed) | `events.retention_days`, 30 days; single columns shorter by \
`[events.retention]` | the same settings; without `pip install 'bartizan[analytics]'` there is no event store |
| The key of hashed addresses | `address.key` (0600) | a day (UTC) | is not used unless `events.client_ip = "hashed"` |
| Policies, with the rules as written | `store.sqlite3`, `policy/` | all versions | secrets do not belong in rules; \
keys and passwords are named by file |
| Digests of imported files, and how many of their rows came | `imports/` | until they are removed by hand | `bartizan \
events import` is what makes them |
| Events, sent to other places | where `[sinks.NAME]` says | as long as that place keeps them | name fewer sinks |
| Held bodies of requests and responses, for rules that read them | memory | until they are decided | rules that do \
not read them |
| What rules of the WAF remember: persistent collections, such as a counter for an address | memory | until the \
collection's timeout, an hour; at most until the restart | rules that open none |
| Metrics and log lines | memory; standard error | until the restart; the journal's time | they hold no part of a \
request |

`bartizan events purge` deletes events from before a moment, of a zone or of a client, in all of these places:
[what it does where](../guide/events.md#purge).

## What an event has of a visitor

Every other column of [the event tables](../reference/events.md) tells of the edge, its rules and the origin.

| What | Columns |
|---|---|
"""

_REST: Final = """
## Never stored

* Bodies of requests and responses. Rules read them in memory. With `events.redact = false` an event holds what a rule
  of the WAF matched, 256 bytes of a value, also where that came from a body.
* Cookies, `Set-Cookie`, `Authorization`, `Proxy-Authorization` and all other headers that have no column, **unless a
  rule with the action `log_custom_field` names them**. Naming one is the decision to keep it, as Cloudflare documents
  that action; so do not name a header or cookie that lets its bearer in.
* Private keys, passwords of databases and of sinks: configuration names the file or variable that holds them.

## Secrets in URLs

Of a parameter that is named like a secret the name is kept and not the value: `?token=REDACTED`. User information goes
too: `https://REDACTED@host/`. That is done before an event is encoded, in paths (`;jsessionid=`), queries, referers and
in the headers that a rule keeps, so neither the spool nor any sink ever has them. No spelling makes a difference:
capitals, percent-encoding (of encoding), `;` for `&`, `token[]`, a name that comes twice, a URL as the value of a
parameter, JSON as the value of a parameter. Where it is in doubt how far a value goes, more is taken out and not less.

A name is that of a secret if, its letters and digits alone compared,

{rules}
* or `events.secret_parameters` in the site file has it.

What cannot be known by a name is kept: a secret that is a segment of the path (`/reset/8c1f…`), a parameter without a
name (`?8c1f…`), one that a form calls something harmless. Name the parameter in `events.secret_parameters`, keep
columns for fewer days, or have the application use `POST`. `events.redact = false` switches all of it off, of which
`bartizan check` warns.

## Addresses of clients

`events.client_ip` in the site file says how every column and table has them; what rules see does not change.

| Value | What is kept |
|---|---|
| `full` | the address |
| `truncated` | 24 bits of an IPv4 address, 48 of an IPv6 address, the rest 0 |
| `hashed` | a pseudonym: an address of 100::/64, which no client has (RFC 6666), made of the client's with a key \
(HMAC-SHA-256). The key is random, is for one day (UTC) and is overwritten by the next one, so that the days of a \
client cannot be joined, nor its address be found by trying all of them once the day is over |

Unless it is `full`, the headers that name clients (`x-forwarded-for`, `forwarded`, `cf-connecting-ip`,
`true-client-ip`, `x-real-ip` and their like) are kept as `REDACTED`, also where a rule names them. Places are kept in
any case, where the site has a database; leave it out, or give those columns fewer days.

## Shown to people

`tail`, `ray` and `query` show what is not printable as an escape, so that what a visitor sent cannot steer the terminal
of who reads it; in JSON as JSON escapes it. Only `query` into a file or another program writes what is stored as it
is.
"""


def markdown() -> str:
    """The page."""
    rows = "".join(
        f"| {what} | {', '.join(f'`{column}`' for column in columns)} |\n" for what, columns in OF_VISITORS.values()
    )
    return _INTRODUCTION + rows + _REST.replace("{rules}", _rules())


def _rules() -> str:
    names = msgspec.json.decode(secret_names_table(), type=_Names)
    lines = [
        f"* it holds {_listed(names.stems)},",
        f"* or a word of it (between other characters, or by its capital) is {_listed(names.words)},",
    ]
    lines += [
        f"* or its last word is `{word}`, unless the word before is {_listed(harmless)},"
        for word, harmless in names.last_words
    ]
    return "\n".join(lines)


def _listed(names: list[str]) -> str:
    *others, last = (f"`{name}`" for name in names)
    return f"{', '.join(others)} or {last}"
