"""The application of `bartizan demo`, datasette: people filter tables and ask a database in SQL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from bartizan.demo.application import application, make_database
from proofs.applications import SITE, Application, Step

if TYPE_CHECKING:
    from playwright.sync_api import Page

_QUESTIONS: Final = (
    "select * from products",
    "select name, price from products where category = 'light' and price < 40 order by price -- the cheap ones",
    "select p.name, sum(o.quantity) as n from orders o join products p on p.id = o.product group by 1 having n > 1",
    "select name from products union select placed from orders",
    "select substr(name, 1, 3) || '...' as short, length(name) from products where name like '%rope%' or 1 = 1",
    "select sql from sqlite_master where type = 'table'",
)
_FILTERS: Final = (("name", "contains", "O'ak & rope"), ("price", "gt", "5"), ("category", "like", "%light%; hard--"))
_JSON: Final = """async sql => (await fetch('/shop.json?' + new URLSearchParams({sql, _shape: 'array'}))).status"""


def _make(folder: Path) -> None:
    make_database(folder / "shop.db")


def _look(page: Page) -> None:
    for path in ("/", "/shop", "/shop/products", "/shop/orders?_sort_desc=quantity", "/shop/products/1"):
        page.goto(f"{SITE}{path}")


def _ask(number: int) -> Step:
    def ask(page: Page) -> None:
        page.goto(f"{SITE}/shop")
        page.click(".CodeMirror")
        page.keyboard.press("Control+A")
        page.keyboard.insert_text(_QUESTIONS[number])
        page.click("#sql-format")
        page.click("form.sql input[type=submit]")
        page.wait_for_url("**/shop?sql=*")
        page.wait_for_selector("#sql-editor", state="attached")

    return f"ask: {_QUESTIONS[number]}", ask


def _filter(number: int) -> Step:
    column, operation, value = _FILTERS[number]

    def narrow(page: Page) -> None:
        page.goto(f"{SITE}/shop/products")
        page.select_option("select[name=_filter_column]", column)
        page.select_option("select[name=_filter_op]", operation)
        page.fill("input[name=_filter_value]", value)
        page.click("form.filters input[type=submit]")
        page.wait_for_url(f"**/shop/products?*{column}__{operation}=*")

    return f"narrow to {column} {operation} {value}", narrow


def _fetch(page: Page) -> None:
    page.goto(f"{SITE}/shop")
    for question in _QUESTIONS:
        status = page.evaluate(_JSON, question)
        assert status == 200, f"the database answered {status}"


DATASETTE: Final = Application(
    "datasette",
    "a page for questions in SQL: tables, filters, queries by form and by fetch",
    _make,
    application,
    (
        ("look at tables", _look),
        *(_filter(number) for number in range(len(_FILTERS))),
        *(_ask(number) for number in range(len(_QUESTIONS))),
        ("ask from a script", _fetch),
    ),
)
