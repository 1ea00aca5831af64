"""Versions of the policy and the audit log, on every store that is supported."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

import pytest
from sqlalchemy import Engine, text

from bartizan.failure import Failure
from bartizan.store.packed import pack, unpack
from bartizan.store.versions import NewVersion, Version, Versions


def new(number: int, parts: dict[str, bytes] | None = None) -> NewVersion:
    bodies = {sha256(body).hexdigest(): body for body in (parts or {}).values()}
    document = b'{"zones":{"n":"%d"}}' % number
    return NewVersion(
        "ana", f"message {number}", pack(f"# site {number}\nä".encode()), document, b'{"shop":{}}', bodies
    )


@pytest.fixture
def versions(engine: Engine) -> Versions:
    return Versions(engine)


def test_a_version_is_given_back_as_it_was_added(versions: Versions) -> None:
    before = datetime.now(UTC)
    added = versions.add(new(1))
    digest = sha256(b'{"zones":{"n":"1"}}').hexdigest()
    assert added == Version(1, added.created_at, "ana", "message 1", digest, "pending", "[]")
    assert before <= added.created_at <= datetime.now(UTC)
    assert versions.all() == [added]
    assert versions.source(1) == "# site 1\nä"
    assert versions.document(1) == (b'{"zones":{"n":"1"}}', b'{"shop":{}}')


def test_one_version_is_in_effect_at_a_time(versions: Versions) -> None:
    for number in (1, 2, 3):
        versions.add(new(number))
    assert versions.in_effect() is None
    versions.applied(1)
    versions.refused(2, b'[{"message":"no"}]')
    versions.applied(3, b'[{"message":"careful"}]')
    assert [(each.id, each.status, each.diagnostics) for each in versions.all()] == [
        (3, "applied", '[{"message":"careful"}]'),
        (2, "refused", '[{"message":"no"}]'),
        (1, "superseded", "[]"),
    ]
    assert versions.in_effect() == versions.all()[0]


def test_a_version_is_pending_until_something_becomes_of_it(versions: Versions) -> None:
    versions.add(new(1))
    assert (versions.is_pending(1), versions.is_pending(2)) == (True, False)
    versions.applied(1)
    assert not versions.is_pending(1)


def test_a_part_is_kept_once_for_all_versions(versions: Versions, engine: Engine) -> None:
    first = new(1, {"a": b"zone a", "b": b"zone b"})
    second = new(2, {"a": b"zone a", "b": b"zone b, changed"})
    versions.add(first)
    versions.add(second)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM policy_parts")) == 3
    assert versions.parts(list(second.parts)) == second.parts


def test_more_parts_than_a_statement_takes(versions: Versions) -> None:
    many = new(1, {str(number): b"part %d" % number for number in range(1201)})
    versions.add(many)
    assert versions.parts(list(many.parts)) == many.parts


def test_a_part_that_is_lost_is_told(versions: Versions, engine: Engine) -> None:
    added = new(1, {"a": b"zone a"})
    versions.add(added)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM policy_parts"))
    with pytest.raises(Failure, match="the store has lost 1 parts of this version"):
        versions.parts(list(added.parts))


def test_a_version_that_is_not_there_is_named(versions: Versions) -> None:
    with pytest.raises(Failure, match="there is no version 7"):
        versions.source(7)


def test_what_somebody_is_about_to_do_is_written_down(versions: Versions, engine: Engine) -> None:
    versions.about_to("ana", "rollback", "version 1", {"from": 2})
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT actor, action, target, details FROM audit_log")).all()
    assert [tuple(row) for row in rows] == [("ana", "rollback", "version 1", '{"from":2}')]


def test_a_status_that_is_not_known_is_refused_by_the_store_itself(versions: Versions, engine: Engine) -> None:
    versions.add(new(1))
    with pytest.raises(Exception, match="known_status"), engine.begin() as connection:
        connection.execute(text("UPDATE policy_versions SET status = 'lost'"))


def test_a_text_is_packed_and_unpacked() -> None:
    text = b"[zones.shop]\n" * 1000
    assert len(pack(text)) < len(text) / 16
    assert unpack(pack(text)) == text
