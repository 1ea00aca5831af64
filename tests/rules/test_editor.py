"""What an editor asks of an expression."""

from __future__ import annotations

import pytest

from bartizan.failure import Failure
from bartizan.rules import Completion, Diagnostic, complete, diagnose


def test_all_that_is_wrong_is_said() -> None:
    found = diagnose('http.hots eq "é" and\nhttp.request.body.row eq 1 and ssl')
    assert [(one.line, one.column, one.suggestion) for one in found] == [
        (1, 1, "http.host"),
        (2, 1, "http.request.body.raw"),
    ]
    assert isinstance(found[0], Diagnostic)
    assert found[0].length == len("http.hots")
    assert "http.hots" in found[0].message


def test_nothing_is_wrong_with_what_compiles() -> None:
    assert diagnose("ip.src in $office", lists={"office": ["192.0.2.1"]}) == []


def test_places_are_counted_in_characters() -> None:
    source = 'http.host eq "é" and http.request.meth'
    assert complete(source, len(source)) == [
        Completion(
            insert="http.request.method",
            kind="field",
            detail=complete("http.request.meth", 17)[0].detail,
            start=source.index("http.request.meth"),
            end=len(source),
        )
    ]


def test_lists_are_offered_for_what_fits() -> None:
    offered = complete("ip.src in $o", 12, lists={"office": ["192.0.2.1"], "others": ("asn", ["1"])})
    assert [(one.insert, one.kind) for one in offered] == [("$office", "list")]


def test_a_place_outside_of_the_expression_is_refused() -> None:
    with pytest.raises(Failure, match="there is no place 4 in an expression of 3 characters"):
        complete("ssl", 4)


def test_a_wrong_phase_is_refused() -> None:
    for ask in (lambda: diagnose("ssl", phase="nowhere"), lambda: complete("ssl", 3, phase="nowhere")):
        with pytest.raises(Failure, match="there is no phase"):
            ask()
