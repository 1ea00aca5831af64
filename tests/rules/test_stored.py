"""An expression about the client's address is never compared with what is not that address."""

from __future__ import annotations

import pytest

from bartizan.failure import Failure
from bartizan.rules import Untranslatable
from bartizan.rules.stored import Addresses, StoredRule

EXPRESSION = "not ip.src in {192.0.2.0/24}"


@pytest.mark.parametrize("addresses", ["truncated", "hashed"])
def test_where_events_have_other_addresses_it_is_refused_by_name(addresses: Addresses) -> None:
    said = rf'ip\.src: events have the addresses of clients {addresses} \(\[events\] client_ip = "{addresses}"\)'
    with pytest.raises(Failure, match=said):
        StoredRule(EXPRESSION, addresses=addresses)
    # Others are taken.
    assert StoredRule('not ssl and http.host eq "a"', addresses=addresses).sql


def test_a_row_that_was_kept_with_a_hash_before_is_of_no_match() -> None:
    rule = StoredRule(EXPRESSION)
    rows = [{"ClientIP": address} for address in ("198.51.100.1", "192.0.2.1", "100::1:2:3:4", "2001:db8::1")]
    assert rule.matches_all(rows) == [True, False, False, True]
    assert rule.sql.endswith(" AND NOT startsWith(ClientIP, '100::')")
    assert "startsWith" not in StoredRule("ssl").sql


def test_the_score_of_managed_rules_is_that_of_the_event() -> None:
    rule = StoredRule('bartizan.waf.score ge 5 and http.host eq "a"')
    assert "BartizanWAFScore >= 5" in rule.sql
    rows = [{"ClientRequestHost": "a", "BartizanWAFScore": score} for score in (0, 5, 15)]
    assert rule.matches_all([*rows, {"ClientRequestHost": "a"}, {"ClientRequestHost": "b", "BartizanWAFScore": 9}]) == [
        False, True, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("field", ["bartizan.waf.score.sqli gt 0", 'any(bartizan.waf.matched_rules[*] == "942100")'])
def test_what_the_score_was_made_of_is_refused_by_name(field: str) -> None:
    with pytest.raises(Untranslatable, match=r"bartizan\.waf\.[a-z_.]+ has no column in http_requests"):
        StoredRule(field)
