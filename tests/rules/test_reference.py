"""The reference of the rules language is made from its tables, and nothing is left out of it."""

from __future__ import annotations

from pathlib import Path

from bartizan.rules.reference import PAGE, absent_fields, absent_functions, fields, functions, markdown

REPOSITORY = Path(__file__).parents[2]


def test_the_page_is_that_of_the_tables() -> None:
    assert (REPOSITORY / PAGE).read_text() == markdown(), "stale; run: make reference"


def test_every_field_and_function_says_what_it_is() -> None:
    described = {field.name: field.summary for field in fields()} | {
        function.name: function.summary for function in functions()
    }
    assert [name for name, summary in described.items() if not summary.endswith(".")] == []
    assert {"http.request.uri.path", "ip.src", "lower", "any"} <= set(described)


def test_every_function_has_examples_and_says_where_it_is_allowed() -> None:
    assert [function.name for function in functions() if not function.examples or not function.places] == []
    known = {function.name for function in functions()}
    assert [function.name for function in absent_functions() if function.name in known or not function.reason] == []


def test_every_documented_field_is_here_or_absent_for_a_reason() -> None:
    present = {field.name for field in fields()}
    assert [field.name for field in absent_fields() if field.name in present or not field.reason] == []
    assert {"cf.waf.score", "cf.bot_management.score"} <= {field.name for field in absent_fields()}
    assert "ip.geoip.country" in {alias for field in fields() for alias in field.aliases}
