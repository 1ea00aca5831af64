"""A policy taken apart for the store and put together again."""

from __future__ import annotations

import msgspec

from bartizan.config.document import AcmeZone, Parts
from bartizan.policy.skeleton import Skeleton, restore, take_apart

PARTS = Parts(
    edge=b'{"listen":[]}',
    lists={"office": b'{"kind":"ip","items":[]}'},
    rulesets={"0" * 32: b'{"name":"basic"}'},
    account=b'{"phases":{}}',
    zones={"blog": b'{"name":"blog"}', "shop": b'{"name":"shop"}'},
    sinks=b'{"copy":{"type":"files"}}',
    acme={"shop": AcmeZone(["shop.example"], "ops@shop.example", "https://ca.example/dir", None)},
)


def test_what_was_taken_apart_is_put_together_again() -> None:
    skeleton, bodies = take_apart(PARTS)
    stored = msgspec.json.decode(msgspec.json.encode(skeleton), type=Skeleton)
    assert restore(stored, msgspec.json.encode(PARTS.acme), bodies) == PARTS


def test_the_skeleton_names_every_part_once() -> None:
    skeleton, bodies = take_apart(PARTS)
    assert sorted(skeleton.digests()) == sorted(bodies)
    assert len(bodies) == 7


def test_key_transparency_is_a_part_where_there_is_any_and_leaves_no_trace_where_not() -> None:
    assert b"transparency" not in msgspec.json.encode(take_apart(PARTS)[0])
    parts = msgspec.structs.replace(PARTS, transparency=b'{"auditor":{}}')
    skeleton, bodies = take_apart(parts)
    stored = msgspec.json.decode(msgspec.json.encode(skeleton), type=Skeleton)
    assert restore(stored, msgspec.json.encode(PARTS.acme), bodies) == parts
    assert sorted(skeleton.digests()) == sorted(bodies)


def test_a_version_of_a_release_without_sinks_has_none() -> None:
    skeleton, bodies = take_apart(PARTS)
    older = {name: value for name, value in msgspec.to_builtins(skeleton).items() if name != "sinks"}
    stored = msgspec.convert(older, Skeleton)
    assert restore(stored, b"{}", bodies).sinks == b"{}"
    assert "" not in stored.digests()
