"""The auditor's keys: one signs, all are published, and none leaves its file."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, insert
from tests.transparency.conftest import LOG, Parts, digest

from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.transparency.database import now_ms
from bartizan.transparency.keys import Keys
from bartizan.transparency.models import PublicKey


def key_files(parts: Parts) -> list[Path]:
    return sorted((parts.state.transparency / "keys").iterdir())


def test_the_first_key_is_made_once_and_signs(parts: Parts) -> None:
    (key,) = parts.keys.all()
    assert key.signing
    assert key.key_id == bytes.fromhex(key.public_key)[-1]
    parts.keys.provide()
    assert parts.keys.all() == [key]


def test_what_a_key_signed_is_good_by_it(parts: Parts) -> None:
    for ciphersuite in (1, 2):
        statement, public_key = parts.keys.sign(ciphersuite, LOG, 7, digest(7))
        assert statement.refusal(public_key) is None
        assert statement.refusal("f" * 64) is not None


def test_a_private_key_is_in_a_file_for_its_owner_and_nowhere_else(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    (file,) = key_files(parts)
    secret = file.read_text().strip()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    parts.keys.sign(1, LOG, 1, digest(1))
    said = caplog.text + repr(parts.keys.all()) + repr(vars(parts.keys))
    assert secret not in said
    with parts.engine.connect() as connection:
        assert secret not in str(connection.exec_driver_sql("SELECT * FROM transparency_keys").all())


def test_another_key_signs_from_its_moment_on_and_the_older_stay(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = parts.keys.all()
    begins = now_ms() + 3_600_000
    second = parts.keys.rotate(begins)
    assert [(key.public_key, key.signing) for key in parts.keys.all()] == [
        (second.public_key, False),
        (first.public_key, True),
    ]
    assert parts.keys.sign(1, LOG, 1, digest(1))[1] == first.public_key
    monkeypatch.setattr("bartizan.transparency.keys.now_ms", lambda: begins)
    assert parts.keys.sign(1, LOG, 2, digest(2))[1] == second.public_key
    assert len(key_files(parts)) == 2


def test_of_keys_rotated_in_one_millisecond_the_last_one_signs(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = now_ms() + 1000
    monkeypatch.setattr("bartizan.transparency.keys.now_ms", lambda: moment)
    for _ in range(8):
        made = parts.keys.rotate()
        assert made.not_before == moment
        assert [key.public_key for key in parts.keys.all() if key.signing] == [made.public_key]
        assert parts.keys.all()[0] == made
        assert parts.keys.sign(1, LOG, 1, digest(1))[1] == made.public_key


def test_of_keys_made_at_once_on_two_nodes_every_node_takes_the_same(engine: Engine, state: StateDirectory) -> None:
    with engine.begin() as connection:
        for key_id in (2, 0, 3, 1):
            row = {"public_key": f"{key_id:064x}", "key_id": key_id, "not_before_ms": 5, "created_ms": 5}
            connection.execute(insert(PublicKey), row)
    assert [(key.key_id, key.signing) for key in Keys(engine, state).all()] == [
        (0, True),
        (1, False),
        (2, False),
        (3, False),
    ]


def test_a_key_does_not_begin_in_the_past(parts: Parts) -> None:
    with pytest.raises(Failure, match="a key cannot begin to sign in the past"):
        parts.keys.rotate(now_ms() - 1000)


def test_every_key_has_an_id_of_its_own_and_there_are_256(engine: Engine, state: StateDirectory) -> None:
    with engine.begin() as connection:
        for key_id in range(255):
            row = {"public_key": f"{key_id:064x}", "key_id": key_id, "not_before_ms": 0, "created_ms": 0}
            connection.execute(insert(PublicKey), row)
    keys = Keys(engine, state)
    assert keys.rotate().key_id == 255
    with pytest.raises(Failure, match="all 256 ids of keys are taken"):
        keys.rotate()


@pytest.mark.parametrize("content", [None, "", "00" * 32, "zz"])
def test_a_key_whose_file_is_lost_is_named_and_signs_nothing(parts: Parts, content: str | None) -> None:
    (file,) = key_files(parts)
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    with pytest.raises(Failure, match=f"{file} cannot be used") as refused:
        parts.keys.sign(1, LOG, 1, digest(1))
    assert "key rotate" in str(refused.value)
    parts.keys.rotate()
    assert parts.keys.sign(1, LOG, 1, digest(1))[0].epoch == 1
