"""The reference of the rules language is made from its tables, and nothing is left out of it."""

from __future__ import annotations

from pathlib import Path

from bartizan.rules.reference import (
    PAGE,
    PAGES,
    absent_fields,
    absent_functions,
    actions,
    fields,
    functions,
    pages,
    phases,
    write,
)

REPOSITORY = Path(__file__).parents[2]


def test_the_pages_are_those_of_the_tables() -> None:
    made = pages()
    kept = {page.relative_to(REPOSITORY) for page in (REPOSITORY / PAGES).rglob("*.md")} | {PAGE}
    assert kept ^ made.keys() == set(), "stale; run: make reference"
    stale = [str(page) for page, text in made.items() if (REPOSITORY / page).read_text() != text]
    assert stale == [], "stale; run: make reference"


def test_there_is_a_page_for_each_field_function_action_and_phase() -> None:
    names = {page.stem for page in pages()}
    assert {"http.host", "lower", "block", "http_request_firewall_custom"} <= names
    assert len(names) == 1 + len(fields()) + len(functions()) + len(actions()) + len(phases())


def test_pages_of_what_is_no_more_are_removed(tmp_path: Path) -> None:
    old = tmp_path / PAGES / "fields" / "http.old.md"
    old.parent.mkdir(parents=True)
    old.touch()
    write(tmp_path)
    assert {page.relative_to(tmp_path) for page in tmp_path.rglob("*.md")} == pages().keys()


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
