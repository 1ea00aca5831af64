"""The reference of the site file is made from the settings, and nothing is left out of it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bartizan.config import reference
from bartizan.config.convert import NAMES, PATTERNS
from bartizan.config.site import Site

DOCS = Path(__file__).parents[2] / "docs" / "reference"


def test_every_setting_has_a_description() -> None:
    assert reference.undescribed() == []


def test_the_reference_page_is_that_of_the_settings() -> None:
    page = (DOCS / "site-file.md").read_text()
    assert page == reference.markdown(), "stale; run: python -m bartizan.config.reference"


def test_the_json_schema_is_that_of_the_settings() -> None:
    found = msgspec.json.decode((DOCS / "site-file.schema.json").read_bytes())
    assert found == reference.schema(), "stale; run: python -m bartizan.config.reference"


def test_every_pattern_of_a_setting_is_explained_in_words() -> None:
    def patterns(value: object) -> set[str]:
        if isinstance(value, dict):
            own = {value["pattern"]} if isinstance(value.get("pattern"), str) else set()
            return own.union(*map(patterns, value.values()))
        return set().union(*map(patterns, value)) if isinstance(value, list) else set()

    schema = msgspec.json.schema(Site)
    names = {
        schema["$defs"]["Site"]["properties"][key]["propertyNames"]["pattern"]
        for key in ("zones", "lists", "rulesets", "sinks")
    }
    assert patterns(schema) - names == set(PATTERNS)
    assert set(NAMES) == {("zones",), ("lists",), ("rulesets",), ("sinks",)}
