"""The walk over a site file with mistakes agrees with the conversion of one without."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.config.convert import convert
from bartizan.config.site import Site
from bartizan.config.source import parse

VALUES = st.sampled_from(
    ['""', '"x"', '"block"', '"1.2"', '"ip"', "0", "-1", "5", "0.5", "99999999", "true", "[]", '["a"]', "[1]", "{}"]
)
KEYS = st.sampled_from(
    [
        "edge.threads",
        "edge.colo",
        "edge.listen",
        "edge.limits",
        "edge.nonsense",
        "edge.spool.dir",
        "zones.a.hosts",
        "zones.a.default",
        "zones.a.origins",
        "zones.a.pool.retries",
        "zones.a.pool.connect_timeout_s",
        "zones.a.pool.active_health",
        "zones.a.tls.hsts",
        "zones.a.tls.min_version",
        "zones.a.rules",
        "zones.b",
        "lists.l.kind",
        "lists.l.items",
        "lists.l.file",
        "account",
        "nonsense",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_the_walk_finds_a_mistake_exactly_where_the_conversion_stops(entries: dict[str, str]) -> None:
    source = parse("site.toml", "\n".join(f"{key} = {value}" for key, value in entries.items()).encode())
    site, findings = convert(source)
    try:
        whole = msgspec.convert(source.values, Site)
    except msgspec.ValidationError:
        assert findings
        assert all(finding.path != () or finding.message.startswith('"zones" is missing') for finding in findings)
    else:
        assert (site, findings) == (whole, [])


def test_what_is_left_of_a_site_with_mistakes_is_kept() -> None:
    text = """
[edge]
threads = "four"
colo = "AMS"
[zones.good]
hosts = ["good.example"]
origins = ["http://127.0.0.1:1"]
[zones.bad]
hosts = ["bad.example"]
"""
    site, findings = convert(parse("site.toml", text.encode()))
    assert site is not None
    assert (site.edge.colo, site.edge.threads, list(site.zones)) == ("AMS", 0, ["good", "bad"])
    assert (site.zones["bad"].hosts, site.zones["bad"].origins) == (["bad.example"], [])
    assert [finding.path for finding in findings] == [("edge", "threads"), ("zones", "bad", "origins")]


def test_a_name_does_not_end_in_a_newline() -> None:
    for text in ('[zones."x\\n"]\norigins = []', '[lists."x\\n"]\nkind = "ip"\nitems = []'):
        _, findings = convert(parse("site.toml", text.encode()))
        assert any("the name is not accepted" in finding.message for finding in findings), findings
