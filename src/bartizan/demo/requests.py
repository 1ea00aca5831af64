"""The requests of the demo: what is sent, and the verdict that it must get."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Verdict = Literal["pass", "log", "redirect", "block", "refuse"]
"""`pass`: the application answered. `log`: it answered, and a rule took note. `refuse`: no rule was needed."""

BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

STATUS: Final[dict[Verdict, int]] = {"pass": 200, "log": 200, "redirect": 302, "block": 403, "refuse": 400}
"""The status that a client sees with each verdict."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `rule` is the description of the rule that must act; `raw` is sent as it is instead of a GET."""

    title: str
    target: str
    verdict: Verdict
    rule: str = ""
    user_agent: str = BROWSER
    host: str = ""
    raw: bytes = b""
    status: int = 0

    @property
    def expected_status(self) -> int:
        """The status that the client must see."""
        return self.status or STATUS[self.verdict]


SAMPLES: Final = (
    Sample(title="the front page", target="/", verdict="pass"),
    Sample(title="a table, filtered", target="/shop/products?price__lt=10&_sort=price", verdict="pass"),
    Sample(title="one row as JSON", target="/shop/products/3.json", verdict="pass"),
    Sample(title="SQL, as the application means it", target="/shop.json?sql=select+name+from+products", verdict="pass"),
    Sample(title="a word that only looks bad", target="/shop/products?name__contains=credit+union", verdict="pass"),
    Sample(
        title="a script with curl",
        target="/shop/orders.json",
        verdict="log",
        rule="A command-line client",
        user_agent="curl/8.5.0",
    ),
    Sample(title="an old link", target="/sale", verdict="redirect", rule="Last season's link"),
    Sample(title="path traversal", target="/shop/../../../etc/passwd", verdict="block", rule="Path traversal"),
    Sample(
        title="the same, encoded", target="/static/%2e%2e/%2E%2e/etc/passwd", verdict="block", rule="Path traversal"
    ),
    Sample(
        title="SQL injection",
        target="/shop/products?id=1+UNION+ALL+SELECT+sql,2,3,4+from+sqlite_master",
        verdict="block",
        rule="SQL injection in the query string",
    ),
    Sample(
        title="the same, with comments for spaces",
        target="/shop/products?id=1/**/uNiOn/**/sElEcT/**/1,2,3,4",
        verdict="block",
        rule="SQL injection in the query string",
    ),
    Sample(
        title="a scanner",
        target="/shop/products?id=1",
        verdict="block",
        rule="A vulnerability scanner that says so",
        user_agent="sqlmap/1.8.11#stable (https://sqlmap.org)",
    ),
    Sample(title="administration", target="/-/settings", verdict="block", rule="Administration, for operators only"),
    Sample(
        title="a smuggled request",
        target="/shop",
        verdict="refuse",
        raw=(
            b"POST /shop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\nX"
        ),
    ),
    Sample(title="another site's name", target="/", verdict="refuse", host="attacker.example", status=404),
)
