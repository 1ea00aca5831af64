"""The native TOML parser: values, every syntax error, and where keys and values stand."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan._native import TomlSyntaxError, parse_toml

TEXT = """\
# ä comment
title = "a site"
[zones.shop]
hosts = ["a", "ö", "c"]
pool.tls = { verify = false, retries = 0x10 }
big = 123456789012345678901234567890
ratio = 2.5

[[zones.shop.rules]]
expression = '''
one
two'''
[[zones.shop.rules]]
"quoted key" = true
"""


def test_values_are_those_of_the_standard_library() -> None:
    assert parse_toml(TEXT)[0] == tomllib.loads(TEXT)


def test_a_date_is_text() -> None:
    assert parse_toml("d = 2026-11-21T07:00:00Z")[0] == {"d": "2026-11-21T07:00:00Z"}


def test_keys_and_values_are_located_by_line_and_character() -> None:
    spans = parse_toml(TEXT)[1]
    paths: list[tuple[str | int, ...]] = [
        (),
        ("title",),
        ("zones", "shop"),
        ("zones", "shop", "hosts", 2),
        ("zones", "shop", "pool", "tls", "retries"),
        ("zones", "shop", "rules", 0, "expression"),
        ("zones", "shop", "rules", 1, "quoted key"),
        ("zones", "shop", "rules", 1, "missing"),
        ("zones", "other"),
        ("zones", "shop", "hosts", 3),
        ("zones", "shop", "hosts", "key"),
    ]
    assert spans.locate(paths) == [
        (1, 1, 1, 1),
        (2, 1, 2, 9),
        (3, 8, 3, 1),
        (4, 20, 4, 20),
        (5, 30, 5, 40),
        (10, 1, 10, 14),
        (14, 1, 14, 16),
        (13, 1, 13, 1),
        (3, 2, 3, 2),
        (4, 1, 4, 9),
        (4, 1, 4, 9),
    ]


def test_a_path_of_something_else_is_refused() -> None:
    spans = parse_toml("a = 1")[1]
    with pytest.raises(TypeError, match="a path is made of table keys"):
        spans.locate([(1.5,)])  # type: ignore[list-item]


def test_every_syntax_error_is_told_at_once() -> None:
    with pytest.raises(TomlSyntaxError) as refused:
        parse_toml('a = 1\na = 2\nb = "x\nc = 1')
    assert [place[:2] for place in refused.value.args[0]] == [(2, 1), (3, 7)]


def test_deep_nesting_is_refused_and_not_followed() -> None:
    with pytest.raises(TomlSyntaxError, match="recursion"):
        parse_toml("a = " + "[" * 100_000)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab_.=[]{}\"'\\#,0123456789+-:eT\n\r\t ä\0"), max_size=60))
def test_whatever_is_written_is_read_or_refused_with_places_in_it(text: str) -> None:
    try:
        values, spans = parse_toml(text)
    except TomlSyntaxError as refused:
        lines = text.split("\n")
        for line, column, message in refused.args[0]:
            assert 1 <= line <= len(lines)
            assert 1 <= column <= len(lines[line - 1]) + 1
            assert message
    else:
        [(line, column, *_)] = spans.locate([tuple(values)[:1]])
        assert text.split("\n")[line - 1][column - 1 :] or not values


def test_bytes_are_read_as_the_text_that_they_are() -> None:
    data = "ä = 'ö'\nb = [1, 'c']\n".replace("ä", '"ä"').encode()
    values, spans = parse_toml(data)
    assert values == tomllib.loads(data.decode())
    assert spans.locate([("b", 1)]) == parse_toml(data.decode())[1].locate([("b", 1)]) == [(2, 9, 2, 9)]
    with pytest.raises(UnicodeDecodeError) as wrong:
        parse_toml(b"a = 1\nb = '\xff'")
    assert (wrong.value.start, wrong.value.object) == (11, b"a = 1\nb = '\xff'")
    with pytest.raises(TypeError, match="str or bytes"):
        parse_toml(bytearray(b"a = 1"))  # type: ignore[arg-type]
