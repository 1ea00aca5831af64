"""Which rows of an event table are meant, and which of their columns."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from bartizan.events import schema
from bartizan.failure import Failure

if TYPE_CHECKING:
    from bartizan.rules.stored import StoredRule

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_AGO: Final = re.compile(r"([1-9][0-9]{0,6})([smhd])", re.ASCII)


class Excerpt(msgspec.Struct, frozen=True):
    """Rows of one table: from a moment on, before another, of requests that a rule's expression matches."""

    table: str = "http_requests"
    since_ns: int | None = None
    """Nanoseconds since 1970; the rows of that moment are in it."""
    until_ns: int | None = None
    """Nanoseconds since 1970; the rows of that moment are not in it."""
    where: str | None = None
    """An expression of the rules language, about `http_requests`."""
    columns: tuple[str, ...] | None = None
    """Their names, in the order of the table; None for all."""
    addresses: Literal["full", "truncated", "hashed"] = "full"
    """How the rows have the addresses of clients, as far as that is known."""

    @property
    def definition(self) -> schema.Table:
        """The table."""
        return schema.table(self.table)

    @property
    def chosen(self) -> tuple[schema.Column, ...]:
        """The columns, in the order of the table."""
        every = self.definition.columns
        return every if self.columns is None else tuple(column for column in every if column.name in self.columns)

    @property
    def rule(self) -> StoredRule | None:
        """What `where` says. Raises Failure for an expression that is wrong, or reads what events do not hold."""
        if self.where is None:
            return None
        # Only here: the native module takes its time.
        from bartizan.rules.stored import StoredRule

        return StoredRule(self.where, addresses=self.addresses)

    @property
    def is_whole(self) -> bool:
        """Whether it is all rows with all columns."""
        return (self.since_ns, self.until_ns, self.where, self.columns) == (None, None, None, None)


def excerpt(
    table: str,
    *,
    since_ns: int | None,
    until_ns: int | None,
    where: str | None,
    columns: tuple[str, ...] | None,
    addresses: Literal["full", "truncated", "hashed"] = "full",
) -> Excerpt:
    """An excerpt that makes sense. Raises Failure for a table, a column or a time that does not."""
    try:
        definition = schema.table(table)
    except KeyError:
        known = ", ".join(candidate.name for candidate in schema.tables())
        raise Failure(f"there is no table {table!r}; the tables are {known}") from None
    if where is not None and table != "http_requests":
        raise Failure(f"an expression of the rules language is about http_requests and not {table}; leave it out")
    if columns is not None and not columns:
        raise Failure("no column is named; leave the columns out for all of them")
    for name in columns or ():
        if definition.column(name) is None:
            raise Failure(f"table {table} has no column {name!r}; docs/reference/events.md lists them")
    if since_ns is not None and until_ns is not None and since_ns >= until_ns:
        raise Failure("the time to begin with is not before the time to end with; nothing lies between them")
    made = Excerpt(table, since_ns, until_ns, where, columns, addresses)
    # Now, where the mistake is, and not when the first row is read.
    _ = made.rule
    return made


def moment(text: str, now_ns: int) -> int:
    """Nanoseconds since 1970 of a time as 2026-11-21T16:15:18Z, 2026-11-21 (UTC), or as 24h: so long before `now_ns`.

    Raises Failure for anything else.
    """
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return max(0, now_ns - int(ago[1]) * _SECONDS[ago[2]] * 1_000_000_000)
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise Failure(f"{text!r} is no time; give one as 2026-11-21T16:15:18Z, 2026-11-21, or as 30m, 24h or 7d") from (
            None
        )
    return nanoseconds(read)


def nanoseconds(time: datetime) -> int:
    """Nanoseconds since 1970; a time without a zone is in UTC. Raises Failure for one before that."""
    known = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    since = known - datetime(1970, 1, 1, tzinfo=UTC)
    if since.days < 0:
        raise Failure(f"{time.isoformat()} is before 1970, when no event can have been")
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
