"""Expressions about requests of which only the event is left: which of the rows would a rule have matched.

An event holds some of what rules read. Where it holds what the expression reads, the request is put together again and
judged by the edge's own code; where it does not, the expression is refused with the reason, as by `Rule.sql`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from bartizan.rules.request import Request, Response, Tls
from bartizan.rules.rule import CUSTOM_RULES, ExpressionError, Rule
from bartizan.rules.rule import compile as compiled

Row = Mapping[str, object]
"""A row of `http_requests` as the spool gives it."""

_OF_RESPONSES: Final = "http_log_custom_fields"
"""The phase in which all is known that an event holds, the response too."""

_SEEN_BY_RULES: Final = "http.request.uri"
_AS_SENT: Final = "raw.http.request.uri"


class StoredRule:
    """A filter over rows of `http_requests`.

    Raises ExpressionError for an expression that is wrong, Untranslatable for one that reads what events do not hold.
    """

    def __init__(self, expression: str) -> None:
        self._rule = _of_any_phase(expression)
        # The same fields have columns and values here; the translation knows what is missing, and says why.
        self.sql = self._rule.sql()
        """The condition over the table `http_requests`."""
        self._reads_as_sent = any(name.startswith(_AS_SENT) for name in self._rule.fields)
        self._reads_seen = any(name.startswith(_SEEN_BY_RULES) for name in self._rule.fields)

    def matches_all(self, rows: Iterable[Row]) -> list[bool]:
        """Whether each row is that of a request which matches."""
        return self._rule.matches_all([self._request(row) for row in rows])

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
            response=Response(status=status, headers=(("Content-Type", media_type),) if media_type else ())
            if status
            else None,
        )

    def _target(self, row: Row) -> str:
        column = "ClientRequestPath" if self._reads_seen and not self._reads_as_sent else "ClientRequestURI"
        return str(row.get(column, "")) or "/"


def _of_any_phase(expression: str) -> Rule:
    """The rule where all functions are, or where the response is; the first error where it is wrong in both."""
    try:
        return compiled(expression, phase=CUSTOM_RULES)
    except ExpressionError as error:
        try:
            return compiled(expression, phase=_OF_RESPONSES)
        except ExpressionError:
            raise error from None
