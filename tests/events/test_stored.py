"""The page about what is stored is that of the tables, and no column that tells of visitors is left out of it."""

from __future__ import annotations

from pathlib import Path

from bartizan.events import schema, stored

PAGE = Path(__file__).parents[2] / stored.PAGE

OF_VISITORS = {column for _, columns in stored.OF_VISITORS.values() for column in columns}

OF_OTHERS = {
    "ClientRequestBytes",
    "ClientRequestProtocol",
    "ClientRequestScheme",
    "ClientRequestSource",
    "ClientSSLCipher",
    "ClientSSLProtocol",
    "ClientTCPRTTMs",
}
"""Columns about the client's side that say nothing of who it is."""


def test_the_page_is_that_of_the_tables() -> None:
    assert PAGE.read_text() == stored.markdown(), "stale; run: python -m bartizan.events.reference"


def test_every_column_about_clients_is_listed_or_tells_nothing_of_them() -> None:
    columns = {column.name for table in schema.tables() for column in table.columns}
    about_clients = {name for name in columns if name.startswith("Client")}
    assert about_clients - OF_VISITORS == OF_OTHERS
    assert columns >= OF_VISITORS


def test_the_names_of_secrets_are_those_that_the_edge_goes_by() -> None:
    page = stored.markdown()
    for name in ("token", "passw", "secret", "key", "code", "sid"):
        assert f"`{name}`" in page
