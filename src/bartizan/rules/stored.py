"""Expressions about requests of which only the event is left: which of the rows would a rule have matched.

An event holds some of what rules read. Where it holds what the expression reads, the request is put together again and
judged by the edge's own code; where it does not, the expression is refused with the reason, as by `Rule.sql`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from bartizan.failure import Failure
from bartizan.rules.request import Request, Response, Tls
from bartizan.rules.rule import CUSTOM_RULES, ExpressionError, Rule
from bartizan.rules.rule import compile as compiled

Row = Mapping[str, object]
"""A row of `http_requests` as the spool gives it."""

_OF_RESPONSES: Final = "http_log_custom_fields"
"""The phase in which all is known that an event holds, the response too."""

Addresses = Literal["full", "truncated", "hashed"]
"""How events keep the addresses of clients."""

HASHED: Final = "100::"
"""How a hashed address begins (RFC 6666)."""

_ADDRESS: Final = "ip.src"
_SEEN_BY_RULES: Final = "http.request.uri"
_AS_SENT: Final = "raw.http.request.uri"


class StoredRule:
    """A filter over rows of `http_requests`.

    `addresses` says how events keep those of clients (`[events] client_ip`). Raises ExpressionError for an expression
    that is wrong, Untranslatable for one that reads what events do not hold, Failure for one that reads the client's
    address where they hold another. A row that was kept with a hashed address before that setting changed is of no
    request that such an expression matches; one that was truncated cannot be told.
    """

    def __init__(self, expression: str, *, addresses: Addresses = "full") -> None:
        # The same fields have columns and values here; the translation knows what is missing, and says why.
        self._rule, sql = _of_any_phase(expression)
        self._reads_address = _ADDRESS in self._rule.fields
        if self._reads_address and addresses != "full":
            raise Failure(
                f'{_ADDRESS}: events have the addresses of clients {addresses} ([events] client_ip = "{addresses}"), '
                "and not as rules read them; leave it out of the expression, and look at the column ClientIP instead"
            )
        self.sql = f"({sql}) AND NOT startsWith(ClientIP, '{HASHED}')" if self._reads_address else sql
        """The condition over the table `http_requests`."""
        self._reads_as_sent = any(name.startswith(_AS_SENT) for name in self._rule.fields)
        self._reads_seen = any(name.startswith(_SEEN_BY_RULES) for name in self._rule.fields)

    def matches_all(self, rows: Iterable[Row]) -> list[bool]:
        """Whether each row is that of a request which matches."""
        known = list(rows)
        matches = self._rule.matches_all([self._request(row) for row in known])
        if not self._reads_address:
            return matches
        return [
            matched and not str(row.get("ClientIP", "")).startswith(HASHED)
            for row, matched in zip(known, matches, strict=True)
        ]

    def _request(self, row: Row) -> Request:
        def text(column: str) -> str:
            return str(row.get(column, ""))

        def number(column: str) -> int:
            value = row.get(column, 0)
            return value if isinstance(value, int) else 0

        scheme = text("ClientRequestScheme") or "http"
        status = number("EdgeResponseStatus")
        media_type = text("EdgeResponseContentType")
        headers = [("User-Agent", text("ClientRequestUserAgent")), ("Referer", text("ClientRequestReferer"))]
        version = text("ClientSSLProtocol")
        return Request(
            method=text("ClientRequestMethod") or "GET",
            url=f"{scheme}://{text('ClientRequestHost') or 'unknown'}{self._target(row)}",
            headers=tuple((name, value) for name, value in headers if value),
            version="HTTP/2" if text("ClientRequestProtocol") == "HTTP/2" else "HTTP/1.1",
            client_ip=text("ClientIP") or "::",
            client_port=number("ClientSrcPort"),
            server_port=number("BartizanEdgeServerPort"),
            tls=Tls(
                version=version,
                cipher=text("ClientSSLCipher"),
                ja3=text("JA3Hash") or None,
                ja4=text("JA4") or None,
            )
            if version not in ("", "none")
            else None,
            http2_fingerprint=text("BartizanHTTP2Fingerprint") or None,
            zone=text("ZoneName"),
            ray_id=text("RayID"),
            # The path is stored as rules saw it, the URI as it was sent; where both are read, the usual way leads over.
            normalization="cloudflare" if self._reads_seen and self._reads_as_sent else "none",
            waf_score=number("BartizanWAFScore"),
            response=Response(status=status, headers=(("Content-Type", media_type),) if media_type else ())
            if status
            else None,
        )

    def _target(self, row: Row) -> str:
        column = "ClientRequestPath" if self._reads_seen and not self._reads_as_sent else "ClientRequestURI"
        return str(row.get(column, "")) or "/"


def _of_any_phase(expression: str) -> tuple[Rule, str]:
    """The rule and its SQL, where all functions are, or where all is known; the first error where neither has it."""
    try:
        rule = compiled(expression, phase=CUSTOM_RULES)
        return rule, rule.sql()
    except ExpressionError as error:
        try:
            rule = compiled(expression, phase=_OF_RESPONSES)
            return rule, rule.sql()
        except ExpressionError:
            raise error from None
