"""The table of commands: the one source of parsing, help, completions and the reference page.

To add a command: one entry here, one file `src/bartizan/cli/NAME.py` with its function. The function is called with
keyword arguments named as here (`--since` becomes `since`); tests/cli/test_commands.py holds both to each other.
Commands about one thing share their first words, of which the first names their file: `rules test`.
"""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from collections.abc import Callable
from contextlib import suppress
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from bartizan.analytics.queries import QUERIES
from bartizan.layout import SITE_FILE, STATE_VARIABLE

if TYPE_CHECKING:
    from datetime import datetime


class Positional(NamedTuple):
    """An argument given by its place."""

    name: str
    help: str
    parse: Callable[[str], object] = str
    default: object = None
    required: bool = False
    choices: tuple[str, ...] = ()


class Rest(NamedTuple):
    """All arguments that are left, at least one; gives a list."""

    name: str
    help: str
    parse: Callable[[str], object] = str


class Option(NamedTuple):
    """`--name VALUE`; with `many` it may be repeated and gives a list."""

    name: str
    help: str
    metavar: str
    parse: Callable[[str], object] = str
    default: object = None
    choices: tuple[str, ...] = ()
    many: bool = False


class Flag(NamedTuple):
    """`--name`, off unless given."""

    name: str
    help: str


Argument = Positional | Rest | Option | Flag


class Command(NamedTuple):
    """One command: `function` is "module:function" below `bartizan.cli`, imported when the command runs.

    Its name is a word, or up to four with a space between them.
    """

    name: str
    summary: str
    detail: str
    examples: tuple[str, ...]
    function: str
    arguments: tuple[Argument, ...]


def keyword(argument: Argument) -> str:
    """The name under which a command function receives `argument`: `--from` as `from_`, which Python has taken."""
    name = argument.name.lstrip("-").replace("-", "_")
    return f"{name}_" if iskeyword(name) else name


def a_version(text: str) -> int:
    """The number of a version. Raises ArgumentTypeError for what cannot be one."""
    return _whole(text, 1, _LARGEST)


def a_count(text: str) -> int:
    """How many. Raises ArgumentTypeError for what is no number from 0 on."""
    return _whole(text, 0, _LARGEST)


def a_level(text: str) -> int:
    """A paranoia level. Raises ArgumentTypeError for what is none."""
    level = _whole(text, 1, _LARGEST)
    if level > 4:
        raise ArgumentTypeError(f"{text!r} is no paranoia level: they go from 1 to 4")
    return level


def a_timeout(text: str) -> float:
    """Seconds that a query may take. Raises ArgumentTypeError for what is none."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.1 <= seconds <= 3600:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds from 0.1 to 3600")
    return seconds


def an_ip(text: str) -> str:
    """An IP address. Raises ArgumentTypeError for what is none."""
    from ipaddress import ip_address

    try:
        return str(ip_address(text))
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no IP address such as 192.0.2.7 or 2001:db8::7") from None


def an_address(text: str) -> str:
    """A numeric address with a port. Raises ArgumentTypeError for what is none."""
    from ipaddress import ip_address

    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        numeric = (ip_address(bare).version == 6) == (bare != host) and _whole(port, 0, _LARGEST) <= 65_535
    except (ValueError, ArgumentTypeError):
        numeric = False
    if not numeric:
        raise ArgumentTypeError(f"{text!r} is not an address with a port such as 127.0.0.1:9419 or [::1]:9419")
    return text


def a_service(text: str) -> str:
    """What runs without an edge. Raises ArgumentTypeError for what does not."""
    from bartizan.supervisor.unit import ALONE

    if text not in ALONE:
        raise ArgumentTypeError(f"{text!r} does not run by itself; such as {' or '.join(ALONE)}")
    return text


def a_user(text: str) -> str:
    """The name of a user of this machine. Raises ArgumentTypeError for what cannot be one."""
    import re

    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", text):
        raise ArgumentTypeError(f"{text!r} is not a user's name such as bartizan")
    return text


def a_moment(text: str) -> datetime:
    """A date and time with its offset from UTC. Raises ArgumentTypeError for what is none."""
    from datetime import datetime

    moment: datetime | None = None
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
    if moment is None or moment.tzinfo is None:
        raise ArgumentTypeError(f"{text!r} is not a date and time such as 2026-12-01T00:00:00Z")
    return moment


def an_update(text: str) -> tuple[bytes, bytes]:
    """Label and value. Raises ArgumentTypeError for what is none."""
    label, equals, value = text.partition("=")
    if not label or not equals:
        raise ArgumentTypeError(f"{text!r} is not a label with a value such as alice=key1")
    return label.encode(), value.encode()


def a_header(text: str) -> tuple[str, str]:
    """Name and value of a header. Raises ArgumentTypeError for what is none."""
    name, colon, value = text.partition(":")
    if not name or not colon:
        raise ArgumentTypeError(f"{text!r} is not a header such as 'Accept: text/html'")
    return name, value.strip()


def a_list(text: str) -> tuple[str, str, tuple[str, ...]]:
    """Name, kind and items of a list. Raises ArgumentTypeError for what is none."""
    named, equals, items = text.partition("=")
    name, _, kind = named.partition(":")
    if not name or not equals:
        raise ArgumentTypeError(f"{text!r} is not a list such as office=192.0.2.0/24,2001:db8::/32")
    return name, kind or "ip", tuple(item for item in items.split(",") if item)


def _whole(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise ArgumentTypeError(f"{text!r} is not a whole number from {least} on")
    return int(text)


_LARGEST: Final = 2**63 - 1
"""What the store and the spool count with."""

CUSTOM_RULES: Final = "http_request_firewall_custom"
"""The phase of the user's own rules; tests/cli/test_rules.py compares it with that of `bartizan.rules`."""

_SITE: Final = Positional("site", f"site file (default: {SITE_FILE})", Path, Path(SITE_FILE))
_STATE: Final = Option(
    "--state", f"state directory (default: ${STATE_VARIABLE}, else .bartizan beside the site file)", "DIR", Path
)
_BESIDE: Final = Option("--site", "site file whose state directory is meant, where --state is not given", "FILE", Path)
_JSON: Final = Flag("--json", "print JSON for programs instead of text for people")
_MONITOR: Final = Option(
    "--monitor",
    "address for /metrics, /healthz and /readyz; whoever reaches it may read (default: none)",
    "ADDRESS",
    an_address,
)
_EXPRESSION: Final = Positional("expression", "the expression, in quotes", required=True)
_PHASE: Final = Option("--phase", f"phase that it is for (default: {CUSTOM_RULES})", "PHASE", default=CUSTOM_RULES)
_LIST: Final = Option(
    "--list",
    "list that it may name, as office=192.0.2.0/24,2001:db8::/32 or names:hostname=*.example; repeat for several",
    "NAME=ITEMS",
    a_list,
    many=True,
)

_DIRECTORY: Final = "127.0.0.1:9430"
_NAMESPACE: Final = Positional("namespace", "name of the log", required=True)
_SITE_OF_AUDITOR: Final = Option(
    "--site", f"site file of the auditor (default: {SITE_FILE})", "FILE", Path, Path(SITE_FILE)
)

_SHA256: Final = Option("--sha256", "SHA-256 that the archive must have (default: what the index says)", "HEX")
_INDEX: Final = Option(
    "--index", "address of the releases, as GitHub lists them (default: those of the project)", "URL"
)

TABLES: Final = ("http_requests", "firewall_events", "bartizan_refusals")
"""The event tables; tests/cli/test_commands.py compares them with those of the native module."""

_FILE_FORMATS: Final = ("ndjson", "ndjson.gz", "parquet")
_AUDIT_FORMATS: Final = ("json", "native")
"""Forms of files of events; tests/cli/test_commands.py compares them with those of `bartizan.archive`."""

_EVENT_SOURCES: Final = ("store", "spool")

COMMANDS: Final[tuple[Command, ...]] = (
    Command(
        "init",
        "write a commented site file for an application",
        "Writes a site file that puts Bartizan in front of the origin, with a first set of rules to edit. "
        "It contacts nothing: `bartizan up` is what first reaches the origin.",
        (
            "bartizan init http://127.0.0.1:8001",
            "bartizan init https://app.internal --host shop.example --file shop.toml",
        ),
        "init:init",
        (
            Positional("origin", "address of the application: http://, https:// or unix:/path", required=True),
            Option("--host", "host name to serve; repeat for several (default: every name)", "NAME", many=True),
            Option("--file", f"site file to write (default: {SITE_FILE})", "FILE", Path, Path(SITE_FILE)),
            Flag("--force", "replace a site file that exists"),
        ),
    ),
    Command(
        "up",
        "check and apply the site file, then run everything",
        "Starts the edge and the event owner, restarts what dies, renews certificates and prints one log of all. "
        "SIGHUP applies the site file again; SIGTERM and Ctrl-C finish the requests in hand, then stop. Tells systemd "
        "how it is where that started it.",
        (
            "bartizan up",
            "bartizan up shop.toml --state /var/lib/bartizan --json",
            "bartizan up --monitor 127.0.0.1:9419",
        ),
        "up:up",
        (
            _SITE,
            _STATE,
            _MONITOR,
            Flag("--json", "one JSON object per log line"),
        ),
    ),
    Command(
        "upgrade",
        "run the release that is installed now, while visitors are served",
        "Starts the supervisor's program anew in its process. Its new edge takes the listening sockets over from the "
        "one that serves, which finishes what it has in hand; WebSockets end with the drain. If the new edge does not "
        "come up, the one before stays. Exit code 0: a new edge serves; 1: it does not.",
        ("bartizan upgrade", "bartizan upgrade --state /var/lib/bartizan --json"),
        "upgrade:upgrade",
        (_BESIDE, _STATE, _JSON),
    ),
    Command(
        "check",
        "say everything that is wrong with the site file",
        "Reads the whole file and the lists it names, compiles every rule as the edge would, and prints each mistake "
        "with file, line and the way out. It changes nothing. Exit code 0: it can be applied; 1: it has mistakes.",
        ("bartizan check", "bartizan check shop.toml --json"),
        "check:check",
        (_SITE, _STATE, _JSON),
    ),
    Command(
        "apply",
        "put the site file into effect",
        "Checks the site file, stores it as a new version and has the running edge swap it in with no failed request. "
        "A policy that the edge refuses never replaces a good one. Exit code 0: in effect; 1: mistakes, or refused.",
        ("bartizan apply", 'bartizan apply shop.toml --message "block the scraper"'),
        "apply:apply",
        (_SITE, _STATE, Option("--message", "why, for the list of versions", "TEXT", default=""), _JSON),
    ),
    Command(
        "versions",
        "list the policies that were asked for",
        "Newest first, with author, message and what became of each: applied, superseded, refused, or pending "
        "where the command was cut short.",
        ("bartizan versions", "bartizan versions --limit 5 --json"),
        "versions:versions",
        (_BESIDE, _STATE, Option("--limit", "newest versions to list (default: all)", "N", a_count), _JSON),
    ),
    Command(
        "rollback",
        "put an earlier version into effect again",
        "The content of the earlier version becomes a new one, so that history only grows; the audit log has it first. "
        "The site file is left as it is. Exit code 0: in effect; 1: refused.",
        ("bartizan rollback 4", "bartizan rollback 4 --state /var/lib/bartizan"),
        "rollback:rollback",
        (
            Positional("version", "version to go back to, as `bartizan versions` lists it", a_version, required=True),
            _BESIDE,
            _STATE,
            _JSON,
        ),
    ),
    Command(
        "prune",
        "give up the content of old versions",
        "Every version keeps its site file, and the zones, lists and rulesets that it was the first to have. This "
        "gives them up for all but the newest versions and the one in effect, which can still be gone back to. "
        "Who applied what and when stays listed; the audit log has it first.",
        ("bartizan prune", "bartizan prune --keep 20"),
        "prune:prune",
        (_BESIDE, _STATE, Option("--keep", "newest versions to keep whole (default: 100)", "N", a_count, 100), _JSON),
    ),
    Command(
        "diff",
        "show what differs between two versions or the site file",
        "Compares in terms of zones, rules and settings; --text compares the site files line by line. Without "
        "versions: what `bartizan apply` would change.",
        ("bartizan diff", "bartizan diff 3 5", "bartizan diff 3 --site shop.toml --text"),
        "diff:diff",
        (
            Positional("a", "version to start from (default: the one in effect)", a_version),
            Positional("b", "version to go to (default: the site file)", a_version),
            Option("--site", f"site file (default: {SITE_FILE})", "FILE", Path, Path(SITE_FILE)),
            _STATE,
            Flag("--text", "unified diff of the site files"),
            _JSON,
        ),
    ),
    Command(
        "tail",
        "show the newest events, then those that come",
        "Reads the spool itself, so it works with nothing else running. A request that a rule stopped is red, one that "
        "failed is yellow. Ctrl-C ends it.",
        (
            "bartizan tail",
            "bartizan tail --table firewall_events --action block",
            'bartizan tail --where \'http.host eq "shop.example" and http.user_agent contains "curl"\'',
            "bartizan tail --status 5xx --limit 100 --no-follow --json",
        ),
        "tail:tail",
        (
            _BESIDE,
            _STATE,
            Option("--table", "events to show (default: http_requests)", "TABLE", default=TABLES[0], choices=TABLES),
            Option("--action", "only events with this action", "ACTION"),
            Option("--zone", "only events of this zone", "ZONE"),
            Option("--status", "only this status, or class of status", "404|4xx"),
            Option("--where", "only events of requests that this rule's expression matches", "EXPRESSION"),
            Option("--columns", "columns to show, separated by commas", "NAMES"),
            Option("--limit", "past events to begin with (default: 10)", "N", a_count, 10),
            Flag("--no-follow", "end after the past events"),
            _JSON,
        ),
    ),
    Command(
        "query",
        "ask the event store in SQL",
        "Runs one read-only statement in the ClickHouse dialect over http_requests, firewall_events and "
        "bartizan_refusals, or a question by name. Needs the extra `analytics` and a running `bartizan up`. The "
        f"questions: {', '.join(question.name for question in QUERIES)}.",
        (
            'bartizan query "SELECT Action, count() FROM firewall_events GROUP BY Action"',
            "bartizan query top-paths",
            'bartizan query "SELECT * FROM http_requests" --format parquet > requests.parquet',
        ),
        "query:query",
        (
            Positional("sql", "the statement, or the name of a question (default: list those)"),
            _BESIDE,
            _STATE,
            Option(
                "--format",
                "form of the answer (default: table)",
                "FORMAT",
                default="table",
                choices=("table", "json", "csv", "parquet"),
            ),
            Option("--timeout", "seconds that it may take (default: 30)", "SECONDS", a_timeout, 30.0),
            Flag("--json", "the same as --format json: a JSON object on a line for each row"),
        ),
    ),
    Command(
        "top",
        "show the values of a field that come most often",
        "Names a column of the events, or a field of the rules language that events hold. Sums weight by "
        "SampleInterval. Answered from the rollups of each minute where they have it, else, and with --where, from the "
        "rows.",
        (
            "bartizan top ClientIP",
            "bartizan top http.request.uri.path --since 1h --where 'http.response.code ge 500'",
            "bartizan top RuleID --table firewall_events --json",
        ),
        "top:top",
        (
            Positional("field", "column, or field such as http.host", required=True),
            Option("--where", "only requests that this rule's expression matches", "EXPRESSION"),
            Option("--since", "how far back to look, as 30m, 24h or 7d (default: 24h)", "TIME", default="24h"),
            Option("--limit", "how many values (default: 10)", "N", a_count, 10),
            Option("--table", "events to count (default: http_requests)", "TABLE", default=TABLES[0], choices=TABLES),
            _BESIDE,
            _STATE,
            _JSON,
        ),
    ),
    Command(
        "ray",
        "show everything about one request",
        "Finds the request by its Ray ID, the one that the block page shows and that the response header CF-Ray holds: "
        "its fields, the rules that acted and why. Reads the spool, then the event store.",
        ("bartizan ray 9a1b2c3d4e5f6071-LOC", "bartizan ray 9a1b2c3d4e5f6071 --json"),
        "ray:ray",
        (Positional("ray_id", "Ray ID, with or without the place", required=True), _BESIDE, _STATE, _JSON),
    ),
    Command(
        "events export",
        "write events to a file",
        "Writes the rows of one event table, with all their columns or some, as NDJSON, gzip or Parquet. The file is "
        "whole or it is not there; into standard output nothing can be taken back, so look at the exit code. From "
        "the event store, where one runs, in the order of time; else from the spool, in the order in which they ended.",
        (
            "bartizan events export requests.parquet",
            "bartizan events export errors.ndjson.gz --since 24h --where 'http.response.code ge 500'",
            "bartizan events export --table firewall_events --columns Datetime,Action --from spool > events.ndjson",
        ),
        "events:export",
        (
            Positional("file", "file to write (default: standard output)", Path),
            Option("--table", "events to write (default: http_requests)", "TABLE", default=TABLES[0], choices=TABLES),
            Option("--format", "form of the file (default: as its ending says)", "FORMAT", choices=_FILE_FORMATS),
            Option("--since", "first moment: 2026-11-21T16:15:18Z, 2026-11-21, or 24h ago", "TIME"),
            Option("--until", "moment behind the last (default: now)", "TIME"),
            Option("--where", "only requests that this rule's expression matches", "EXPRESSION"),
            Option("--columns", "columns to write, separated by commas (default: all)", "NAMES"),
            Option(
                "--from", "where to read (default: store, and spool where none runs)", "SOURCE", choices=_EVENT_SOURCES
            ),
            Flag("--force", "replace a file that exists"),
            _BESIDE,
            _STATE,
            Flag("--json", "report in JSON; on standard error where the events go to standard output"),
        ),
    ),
    Command(
        "events import",
        "bring the events of a file into the event store",
        "Reads NDJSON, gzip or Parquet, as `events export` and the file sinks write it and Logpush names it. All of it "
        "is checked first; a mistake is said with line and column, and nothing is imported. The same file again brings "
        "nothing twice, also where an import was killed. Rollups get the rows too. Needs the extra `analytics` and a "
        "running `bartizan up`.",
        ("bartizan events import requests.parquet", "bartizan events import logpush.ndjson.gz --ignore-unknown --json"),
        "events:bring_in",
        (
            Positional("file", "file to read", Path, required=True),
            Option("--table", "events that it holds (default: those that its columns are of)", "TABLE", choices=TABLES),
            Flag("--ignore-unknown", "leave out values whose names are no columns, instead of refusing the file"),
            _BESIDE,
            _STATE,
            _JSON,
        ),
    ),
    Command(
        "events purge",
        "delete events for good",
        "Deletes the events from before a moment, of a zone or of a client (a request to be forgotten): from the "
        "spool, the event store with its rollups, the files of sinks and the rows that sinks refused. Says what was "
        "deleted, and what is beyond reach or still in use. The audit log has it first, without the client's address. "
        "Exit code 0: nothing is left on this machine; 1: something is, which the output names.",
        (
            "bartizan events purge --client 203.0.113.7",
            "bartizan events purge --before 90d --zone shop --yes --json",
        ),
        "events:purge",
        (
            Option("--before", "events from before this moment: 2026-11-21T16:15:00Z, 2026-11-21, or 90d ago", "TIME"),
            Option("--zone", "events of this zone", "ZONE"),
            Option("--client", "events of this address, as they have it", "IP"),
            Flag("--yes", "do not ask first"),
            _BESIDE,
            _STATE,
            _JSON,
        ),
    ),
    Command(
        "lists show",
        "show the lists of the site file",
        "Shows each list with its kind, how many items it has, how many of them expire or have, and the rules that use "
        "it.",
        ("bartizan lists show", "bartizan lists show shop.toml --json"),
        "lists:show",
        (_SITE, _STATE, _JSON),
    ),
    Command(
        "lists test",
        "say whether a value is in a list",
        "Reads the list as the edge does, and says whether an address, host name, number or text is in it now; of a "
        "list of redirects, where a URL leads. Exit code 0: it is in the list; 1: it is not.",
        (
            "bartizan lists test office 192.0.2.7",
            "bartizan lists test moved https://shop.example/old --site shop.toml --json",
        ),
        "lists:test",
        (
            Positional("name", "name of the list", required=True),
            Positional("value", "what to look for", required=True),
            Option("--site", f"site file (default: {SITE_FILE})", "FILE", Path, Path(SITE_FILE)),
            _STATE,
            _JSON,
        ),
    ),
    Command(
        "rules test",
        "say whether a rule's expression matches a request",
        "Runs the expression as the edge would on a request from a file or put together from options, and shows which "
        "part decided. Needs no site file and no edge. Exit code 0: it matches; 1: it does not, or something is wrong, "
        "which the message says.",
        (
            "bartizan rules test 'http.host eq \"shop.example\" and not ssl' --url http://shop.example/",
            "bartizan rules test 'ip.src in $office' --url http://a/ --client-ip 192.0.2.7 --list office=192.0.2.0/24",
            "bartizan rules test 'http.user_agent contains \"bot\"' --request request.http --json",
        ),
        "rules:test",
        (
            _EXPRESSION,
            Option("--request", "file with an HTTP/1.1 message, - for standard input", "FILE", Path),
            Option("--url", "address of the request (default: http://localhost/)", "URL"),
            Option("--method", "method of the request (default: GET)", "METHOD"),
            Option("--header", "header of the request; repeat for several", "NAME:VALUE", a_header, many=True),
            Option("--body", "body of the request", "TEXT"),
            Option(
                "--client-ip", "address that the request comes from (default: 127.0.0.1)", "IP", default="127.0.0.1"
            ),
            _PHASE,
            _LIST,
            _JSON,
        ),
    ),
    Command(
        "rules explain",
        "say what a rule's expression means",
        "Shows the parts of the expression with their types and meaning, the fields that it reads and when they are "
        "known, the phases in which it may stand, what it costs by an estimate, and the SQL that asks the event store "
        "for the same requests. Exit code 0: it is explained; 1: it is wrong.",
        (
            "bartizan rules explain 'lower(http.host) wildcard \"*.example\"'",
            "bartizan rules explain 'http.response.code ge 500' --phase http_log_custom_fields --json",
        ),
        "rules:explain",
        (_EXPRESSION, _PHASE, _LIST, _JSON),
    ),
    Command(
        "rules fmt",
        "print a rule's expression in canonical form",
        "English operators, no needless parentheses, one line. Only the grammar is checked: a field may have any name. "
        "Exit code 0: done; 1: it is wrong or, with --check, not in canonical form.",
        ("bartizan rules fmt rule.txt", "bartizan rules fmt rule.txt --check", "bartizan rules fmt --json"),
        "rules:fmt",
        (
            Positional("file", "file with one expression (default: standard input)", Path),
            Flag("--check", "print nothing; exit code 1 if it is not in canonical form"),
            _JSON,
        ),
    ),
    Command(
        "rules fields",
        "list the fields that rules can read, or explain one",
        "With a name: its type, meaning and an example; for a documented field that is not here, why. Exit code 0: "
        "done; 1: there is no such field.",
        ("bartizan rules fields", "bartizan rules fields http.request.uri.path", "bartizan rules fields --json"),
        "rules:fields",
        (Positional("name", "field to explain (default: all)"), _JSON),
    ),
    Command(
        "rules functions",
        "list the functions that rules can call, or explain one",
        "With a name: what it takes and gives, where it is allowed, and examples. Exit code 0: done; 1: there is no "
        "such function.",
        ("bartizan rules functions", "bartizan rules functions substring", "bartizan rules functions --json"),
        "rules:functions",
        (Positional("name", "function to explain (default: all)"), _JSON),
    ),
    Command(
        "replay",
        "run recorded requests through a policy or a rule set",
        "Requests of files, of a browser's HAR file, of regression tests in the format of go-ftw or of the events of a "
        "spool go through a site file (--site), a stored version (--version), or a rule file or Core Rule Set alone "
        "(--crs), in this process; nothing is sent. A policy judges as the edge does: zone, rules, rule sets, and "
        "rules on the response where one was recorded; which rules read what a recording does not hold is said. "
        "With a second policy or rule set what differs is shown. With --ftw and --crs alone the tests "
        "are judged, at paranoia level 4 and with what their README sets. "
        "With --audit-log each request that a rule told of has an entry there, unless a rule file says otherwise of "
        "its own. "
        "Exit code 0: done; 1: a test fails, something differs, or something cannot be read.",
        (
            "bartizan replay --har shop.har --site bartizan.toml",
            "bartizan replay --spool .bartizan/spool --version 3 --against-version 4 --json",
            "bartizan replay --http requests --site bartizan.toml --against-site next.toml --client-ip 192.0.2.7",
            "bartizan replay --ftw crs/tests/regression/tests --crs crs --json",
            "bartizan replay --har shop.har --crs crs --paranoia-level 2",
            "bartizan replay --spool .bartizan/spool --crs crs --against crs-next --json",
            "bartizan replay --http requests --crs crs --against-level 3",
            "bartizan replay --har shop.har --crs crs --audit-log audit.json",
        ),
        "replay:replay",
        (
            Option("--ftw", "folder of regression tests, or one file", "DIR", Path),
            Option("--http", "file with the bytes of a request, or a folder of them", "PATH", Path),
            Option("--har", "file that a browser recorded", "FILE", Path),
            Option("--spool", "folder of events; they hold no bodies and few headers", "DIR", Path),
            Option("--site", "site file whose policy judges", "FILE", Path),
            Option("--version", "stored version whose policy judges, as `bartizan versions` has it", "N", a_version),
            Option("--against-site", "site file of a second policy, to compare with", "FILE", Path),
            Option("--against-version", "stored version of a second policy, to compare with", "N", a_version),
            Option("--client-ip", "address that requests come from where the recording has none", "IP", an_ip),
            Flag("--https", "requests came over TLS where the recording does not say it"),
            _STATE,
            Option("--crs", "rule file, or folder of a rule set", "DIR", Path),
            Option("--against", "second rule file or folder, to compare with", "DIR", Path),
            Option("--paranoia-level", "of the rule set (default: 1)", "N", a_level),
            Option("--against-level", "of the second one (default: the same)", "N", a_level),
            Option("--audit-log", "file that entries of a ModSecurity audit log are added to", "FILE", Path),
            Option(
                "--audit-format", "of its entries (default: json)", "FORMAT", default="json", choices=_AUDIT_FORMATS
            ),
            Flag("--audit-whole", "entries with cookies, credentials and bodies as they were sent"),
            _JSON,
        ),
    ),
    Command(
        "crs install",
        "install a version of the OWASP Core Rule Set",
        "Takes the archive of a version as its project publishes it, checked against its SHA-256, or an archive or "
        "folder that is here. The rules are loaded once before they are put into the state directory, whole or not at "
        "all. Exit code 0: installed; 1: not, and nothing is changed.",
        (
            "bartizan crs install 4.25.0",
            "bartizan crs install coreruleset-4.25.0-minimal.tar.gz --state /var/lib/bartizan",
            "bartizan crs install /usr/share/modsecurity-crs --json",
        ),
        "crs:install",
        (
            Positional("source", "number of a version, archive, or folder", required=True),
            _BESIDE,
            _STATE,
            _SHA256,
            _INDEX,
            _JSON,
        ),
    ),
    Command(
        "crs list",
        "list the installed versions of the Core Rule Set",
        "Oldest first, each with its folder, which is what --crs of `bartizan replay` and `RuleSet.load` take.",
        ("bartizan crs list", "bartizan crs list --json"),
        "crs:list_installed",
        (_BESIDE, _STATE, _JSON),
    ),
    Command(
        "crs update",
        "install the newest version of the Core Rule Set",
        "Asks which version is the newest, and installs it as `bartizan crs install` does if it is newer than all that "
        "are installed. Older ones stay. Exit code 0: the newest is there; 1: it is not.",
        ("bartizan crs update", "bartizan crs update --json"),
        "crs:update",
        (_BESIDE, _STATE, _SHA256, _INDEX, _JSON),
    ),
    Command(
        "crs remove",
        "remove an installed version of the Core Rule Set",
        "Exit code 0: removed; 1: it was not installed.",
        ("bartizan crs remove 4.24.0", "bartizan crs remove 4.24.0 --state /var/lib/bartizan"),
        "crs:remove",
        (Positional("version", "version, as `bartizan crs list` shows it", required=True), _BESIDE, _STATE, _JSON),
    ),
    Command(
        "status",
        "say what runs here",
        "Asks the supervisor, the edge and the event owner: processes, restarts, version of the policy, addresses, "
        "connections, origins that fail, events stored. Exit code 0: an edge serves; 1: none does.",
        ("bartizan status", "bartizan status --json"),
        "status:status",
        (_BESIDE, _STATE, _JSON),
    ),
    Command(
        "metrics",
        "print what the edge counts",
        "In Prometheus' text format, or with --json as a list of objects. The edge is asked over its control socket, "
        "so nothing has to listen for it.",
        ("bartizan metrics", "bartizan metrics --json"),
        "metrics:metrics",
        (_BESIDE, _STATE, _JSON),
    ),
    Command(
        "demo",
        "protect a sample application and show what happens",
        "Starts datasette with a sample database, puts Bartizan in front of it with TLS and a few rules, sends benign "
        "and hostile requests and shows each verdict beside the stored event. Keeps running until Ctrl-C.",
        ("bartizan demo", "bartizan demo --once"),
        "demo:demo",
        (
            Flag("--once", "stop after the table; exit code 0 only if every verdict was as expected"),
            Option("--state", "state directory (default: a temporary one)", "DIR", Path),
        ),
    ),
    Command(
        "doctor",
        "examine this installation and say how to mend it",
        "Looks at Python and the native module, the state directory, ports, certificates, disk space, the analytics "
        "engine and the running processes. Each finding names the way out.",
        ("bartizan doctor", "bartizan doctor shop.toml --json"),
        "doctor:doctor",
        (_SITE, _STATE, _JSON),
    ),
    Command(
        "transparency auditor serve",
        "run a key transparency auditor by itself",
        "Runs the auditor of [transparency.auditor] without an edge: the site file need have nothing else. `bartizan "
        "up` runs it too. Its log is on standard error; SIGTERM and Ctrl-C end it.",
        (
            "bartizan transparency auditor serve",
            "bartizan transparency auditor serve auditor.toml --state /var/lib/auditor --monitor 127.0.0.1:9421",
        ),
        "transparency:auditor_serve",
        (_SITE, _STATE, _MONITOR),
    ),
    Command(
        "transparency auditor status",
        "show what the auditor has signed and proved",
        "For each namespace the newest epoch, up to where every proof is good, how many wait, and what is in hand. "
        "Works without a running auditor. Exit code 0: no proof was refused; 1: one was.",
        ("bartizan transparency auditor status", "bartizan transparency auditor status --json"),
        "transparency:auditor_status",
        (_BESIDE, _STATE, _JSON),
    ),
    Command(
        "transparency auditor backfill",
        "have epochs verified again, or for the first time",
        "Epochs whose log had no directory of proofs, whose proof was refused, or that are verified already wait for a "
        "worker once more; those that wait for another attempt are tried now.",
        (
            "bartizan transparency auditor backfill log.example",
            "bartizan transparency auditor backfill log.example --from 100 --to 200",
            "bartizan transparency auditor backfill log.example --refused",
        ),
        "transparency:auditor_backfill",
        (
            _NAMESPACE,
            Option("--from", "first epoch (default: the first)", "EPOCH", a_count),
            Option("--to", "last epoch (default: the newest)", "EPOCH", a_count),
            Flag("--refused", "only epochs whose proof was refused"),
            _BESIDE,
            _STATE,
            _JSON,
        ),
    ),
    Command(
        "transparency auditor verify",
        "verify the proof of one epoch here and now",
        "Fetches the proof from the log, or reads a file, and shows how far it is. What the auditor knows of the epoch "
        "stays as it is. Exit code 0: the proof is good; 1: it is refused, and by which check.",
        (
            "bartizan transparency auditor verify log.example 12",
            "bartizan transparency auditor verify log.example 12 --proof 12.proof --json",
        ),
        "transparency:auditor_verify",
        (
            _NAMESPACE,
            Positional("epoch", "the epoch", a_count, required=True),
            Option("--proof", "file with the proof (default: what the log serves)", "FILE", Path),
            _SITE_OF_AUDITOR,
            _STATE,
            _JSON,
        ),
    ),
    Command(
        "transparency auditor namespace add",
        "audit a log",
        "The namespace waits for its first epoch, from whoever has a certificate with the name of a publisher.",
        (
            "bartizan transparency auditor namespace add log.example --publisher log.example --log-directory https://log.example",
            "bartizan transparency auditor namespace add log.example --ciphersuite 2 --private",
        ),
        "transparency:auditor_namespace_add",
        (
            _NAMESPACE,
            Option("--publisher", "name in the certificate of who may publish; repeat for several", "NAME", many=True),
            Option("--log-directory", "URL below which the log serves its proofs (default: none are verified)", "URL"),
            Option("--root", "epoch and digest that the first epoch must be (default: any)", "EPOCH/DIGEST"),
            Option("--ciphersuite", "1 signs Protocol Buffers, 2 bincode (default: 1)", "1|2", a_version, 1),
            Option(
                "--log-key", "public key with which the log signs, for reports; repeat for several", "HEX", many=True
            ),
            Flag("--private", "leave it out of the list of namespaces"),
            _BESIDE,
            _STATE,
            _JSON,
        ),
    ),
    Command(
        "transparency auditor namespace list",
        "list the logs that are audited",
        "Private ones too.",
        ("bartizan transparency auditor namespace list", "bartizan transparency auditor namespace list --json"),
        "transparency:auditor_namespace_list",
        (_BESIDE, _STATE, _JSON),
    ),
    Command(
        "transparency auditor namespace show",
        "show a log that is audited, with its newest epochs",
        "Each epoch with the state of its proof.",
        (
            "bartizan transparency auditor namespace show log.example",
            "bartizan transparency auditor namespace show log.example --limit 100 --json",
        ),
        "transparency:auditor_namespace_show",
        (
            _NAMESPACE,
            Option("--limit", "newest epochs to show (default: 20)", "N", a_count, 20),
            _BESIDE,
            _STATE,
            _JSON,
        ),
    ),
    Command(
        "transparency auditor namespace disable",
        "make a namespace read-only",
        "For a log whose state was lost or cut. What was signed stays.",
        ("bartizan transparency auditor namespace disable log.example",),
        "transparency:auditor_namespace_disable",
        (_NAMESPACE, _BESIDE, _STATE, _JSON),
    ),
    Command(
        "transparency auditor namespace enable",
        "let epochs be published in a namespace again",
        "From where they ended.",
        ("bartizan transparency auditor namespace enable log.example",),
        "transparency:auditor_namespace_enable",
        (_NAMESPACE, _BESIDE, _STATE, _JSON),
    ),
    Command(
        "transparency auditor key rotate",
        "make another key for the auditor to sign with",
        "It signs from a moment on, by default from now; those before it stay published, for what they signed. The "
        "running auditor takes it up by itself.",
        (
            "bartizan transparency auditor key rotate",
            "bartizan transparency auditor key rotate --not-before 2027-01-01T00:00:00Z",
        ),
        "transparency:auditor_key_rotate",
        (Option("--not-before", "when it begins to sign (default: now)", "TIME", a_moment), _BESIDE, _STATE, _JSON),
    ),
    Command(
        "transparency auditor key list",
        "list the auditor's keys",
        "The newest first: public key, id, from when on, and which one signs now.",
        ("bartizan transparency auditor key list", "bartizan transparency auditor key list --json"),
        "transparency:auditor_key_list",
        (_BESIDE, _STATE, _JSON),
    ),
    Command(
        "transparency monitor serve",
        "watch auditors and logs by itself",
        "Runs the monitor of [transparency.monitor] without an edge; `bartizan up` runs it too. It looks at every "
        "auditor at each interval, and tells what it finds in its log and to the webhook.",
        (
            "bartizan transparency monitor serve",
            "bartizan transparency monitor serve monitor.toml --state /var/lib/monitor --monitor 127.0.0.1:9422",
        ),
        "transparency:monitor_serve",
        (_SITE, _STATE, _MONITOR),
    ),
    Command(
        "transparency monitor poll",
        "look at every auditor once",
        "For a timer in the place of a process. Exit code 0: nothing new was found; 1: something was, or somebody "
        "could not be asked.",
        ("bartizan transparency monitor poll", "bartizan transparency monitor poll monitor.toml --json"),
        "transparency:monitor_poll",
        (_SITE, _STATE, _JSON),
    ),
    Command(
        "transparency monitor findings",
        "list what was ever found",
        "Split views and all else that no honest auditor and log can bring about, the newest first; with --json each "
        "with the signed statements that prove it. Exit code 0: nothing; 1: something.",
        ("bartizan transparency monitor findings", "bartizan transparency monitor findings --json > evidence.json"),
        "transparency:monitor_findings",
        (_BESIDE, _STATE, _JSON),
    ),
    Command(
        "transparency directory publish",
        "publish labels with their values as the next epoch",
        "The directory is made by its first epoch. Its audit proof is a file from then on, below "
        "transparency/directory/proofs in the state directory. What has its value already makes no epoch.",
        (
            "bartizan transparency directory publish alice=key1 bob=key2",
            "bartizan transparency directory publish alice=key3 --json",
        ),
        "transparency:directory_publish",
        (Rest("updates", "label and value, as alice=key1", an_update), _BESIDE, _STATE, _JSON),
    ),
    Command(
        "transparency directory lookup",
        "show the value of a label, and verify its proof",
        "Exit code 0: it has one; 1: it has none.",
        ("bartizan transparency directory lookup alice", "bartizan transparency directory lookup alice --json"),
        "transparency:directory_lookup",
        (Positional("label", "the label", required=True), _BESIDE, _STATE, _JSON),
    ),
    Command(
        "transparency directory history",
        "show every value that a label had, and verify the proof",
        "The latest first. Exit code 0: it had one; 1: it had none.",
        ("bartizan transparency directory history alice", "bartizan transparency directory history alice --json"),
        "transparency:directory_history",
        (Positional("label", "the label", required=True), _BESIDE, _STATE, _JSON),
    ),
    Command(
        "transparency directory root",
        "show the newest epoch, its root hash and the public key",
        "What an auditor is told of the epoch, and what clients verify answers with.",
        ("bartizan transparency directory root", "bartizan transparency directory root --json"),
        "transparency:directory_root",
        (_BESIDE, _STATE, _JSON),
    ),
    Command(
        "transparency directory serve",
        "serve the directory and its audit proofs over HTTP",
        "For clients and auditors: lookups, histories, and every audit proof at its name. `publish` adds epochs while "
        "it serves. Put the edge in front of it for TLS.",
        (
            "bartizan transparency directory serve",
            "bartizan transparency directory serve --listen 0.0.0.0:9430 --state /var/lib/directory",
        ),
        "transparency:directory_serve",
        (
            Option("--listen", f"where to listen (default: {_DIRECTORY})", "ADDRESS", an_address, _DIRECTORY),
            _BESIDE,
            _STATE,
        ),
    ),
    Command(
        "systemd",
        "print the systemd unit of this installation",
        "A hardened unit: it checks the site file before it starts, says when it serves, and is started again where "
        "its watchdog hears nothing. `systemctl reload` applies the site file. The user must exist and be able to read "
        "the site file, certificates and keys.",
        (
            "bartizan systemd /etc/bartizan/bartizan.toml > /etc/systemd/system/bartizan.service",
            "bartizan systemd /etc/bartizan/bartizan.toml --user edge --monitor 127.0.0.1:9419",
            "bartizan systemd /etc/bartizan/auditor.toml --only auditor > /etc/systemd/system/auditor.service",
        ),
        "systemd:systemd",
        (
            _SITE,
            Option("--state", "state directory (default: /var/lib/bartizan, which systemd makes)", "DIR", Path),
            Option("--user", "user that the service runs as (default: bartizan)", "NAME", a_user, "bartizan"),
            Option("--only", "the unit of a key transparency auditor or monitor alone", "WHAT", a_service),
            _MONITOR,
            _JSON,
        ),
    ),
    Command(
        "completions",
        "print a completion script for your shell",
        "The script completes commands, options and files.",
        (
            "bartizan completions bash > /etc/bash_completion.d/bartizan",
            "bartizan completions fish > ~/.config/fish/completions/bartizan.fish",
        ),
        "completions:completions",
        (Positional("shell", "your shell", choices=("bash", "zsh", "fish"), required=True),),
    ),
)


MOST_WORDS: Final = max(len(command.name.split()) for command in COMMANDS)
"""The words of the longest name."""


def find(name: str) -> Command | None:
    """The command called `name`."""
    return next((command for command in COMMANDS if command.name == name), None)
