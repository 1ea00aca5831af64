"""The reference of the rule language is made from the engine's tables, and nothing is left out of it."""

from __future__ import annotations

from pathlib import Path

from bartizan._native import waf_words
from bartizan.waf import reference

REPOSITORY = Path(__file__).parents[2]


def test_the_page_is_that_of_the_tables() -> None:
    assert (REPOSITORY / reference.PAGE).read_text() == reference.markdown(), "stale; run: make reference"


def test_every_word_is_on_the_page() -> None:
    page = reference.markdown()
    assert [name for _, name, *_ in waf_words() if f"`{name}`" not in page] == []
    kinds = {kind for kind, *_ in waf_words()}
    assert kinds == {"directive", "action", "variable", "operator", "transformation"}


def test_what_is_refused_or_has_no_effect_says_why() -> None:
    reasons = {name: about for _, name, about, standing in waf_words() if standing != "works"}
    assert [name for name, about in reasons.items() if not about] == []
    assert {"SecPcreMatchLimit", "rbl", "GEO"} <= set(reasons)
