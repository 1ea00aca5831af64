from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest
from sqlalchemy.engine import URL
from tests.databases import postgresql, url

from bartizan.layout import StateDirectory
from bartizan.policy.skeleton import Skeleton
from bartizan.policy.why import Considered, Rules, client_addresses, considered, expressions
from bartizan.store.database import open_database, store_url
from bartizan.store.packed import pack
from bartizan.store.versions import NewVersion, Versions

__all__ = ["postgresql", "url"]


@pytest.fixture(autouse=True)
def _directories(state: StateDirectory) -> None:
    state.create()


def rule(number: int, path: str) -> dict[str, object]:
    return {"id": f"{number:032x}", "expression": f'http.request.uri.path eq "{path}"', "action": "block"}


def put_in_effect(state: StateDirectory, version: int, *rules: dict[str, object]) -> None:
    document = {"version": version, "zones": [{"name": "shop", "phases": {"http_request_firewall_custom": rules}}]}
    state.current_policy.write_bytes(msgspec.json.encode(document))


def keep(
    state: StateDirectory, zone: list[dict[str, object]], account: list[dict[str, object]], client_ip: str = "full"
) -> int:
    parts = {
        "edge": msgspec.json.encode({"events": {"client_ip": client_ip}}),
        "zone": msgspec.json.encode({"name": "shop", "phases": {"http_request_firewall_custom": zone}}),
        "account": msgspec.json.encode({"phases": {"http_request_firewall_custom": account}}),
    }
    digests = {name: sha256(body).hexdigest() for name, body in parts.items()}
    skeleton = Skeleton(1, digests["edge"], {}, {}, digests["account"], {"shop": digests["zone"]})
    bodies = {digests[name]: body for name, body in parts.items()}
    engine = open_database(store_url(state.store))
    added = Versions(engine).add(NewVersion("ana", "", pack(b""), msgspec.json.encode(skeleton), b"{}", bodies))
    engine.dispose()
    return added.id


def test_the_policy_in_effect_says_why(state: StateDirectory) -> None:
    put_in_effect(state, 7, rule(1, "/a"), rule(2, "/b"))
    found = expressions(state, 7, [f"{1:032x}", f"{9:032x}"])
    assert found == {f"{1:032x}": 'http.request.uri.path eq "/a"'}


def test_an_earlier_version_is_read_from_the_store(state: StateDirectory) -> None:
    earlier = keep(state, [rule(1, "/old")], [rule(2, "/account")])
    put_in_effect(state, earlier + 1, rule(1, "/new"))
    assert expressions(state, earlier, [f"{1:032x}", f"{2:032x}"]) == {
        f"{1:032x}": 'http.request.uri.path eq "/old"',
        f"{2:032x}": 'http.request.uri.path eq "/account"',
    }


def test_an_earlier_version_is_read_where_the_store_is(
    url: URL, state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BARTIZAN_STORE_URL", url.render_as_string(hide_password=False))
    earlier = keep(state, [rule(1, "/old")], [], "truncated")
    put_in_effect(state, earlier + 1, rule(1, "/new"))
    expression = 'http.request.uri.path eq "/old"'
    assert expressions(state, earlier, [f"{1:032x}"]) == {f"{1:032x}": expression}
    phase = "http_request_firewall_custom"
    assert considered(state, earlier, "shop") == Rules(
        [Considered(phase, "shop", f"{1:032x}", "block", "", expression)], {}
    )
    assert client_addresses(state, earlier) == "truncated"
    assert not state.store.exists()


@pytest.mark.parametrize("has_store", [False, True])
def test_a_version_that_nothing_knows_has_no_answer(state: StateDirectory, *, has_store: bool) -> None:
    if has_store:
        keep(state, [rule(1, "/a")], [])
    assert expressions(state, 99, [f"{1:032x}"]) == {}


def test_how_events_of_a_version_have_addresses_is_that_versions_word(state: StateDirectory) -> None:
    assert client_addresses(state, 1) == "full"
    earlier = keep(state, [], [], "truncated")
    document = {"version": earlier + 1, "edge": {"events": {"client_ip": "hashed"}}}
    state.current_policy.write_bytes(msgspec.json.encode(document))
    assert [client_addresses(state, version) for version in (earlier, earlier + 1, 99)] == [
        "truncated",
        "hashed",
        "full",
    ]
