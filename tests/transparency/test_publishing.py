"""Epochs are signed once, in order, each with a digest of its own."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text
from tests.transparency.conftest import LOG, PUBLISHER, Parts, digest

from bartizan.transparency.namespaces import NewNamespace
from bartizan.transparency.refusal import DISABLED, Refused
from bartizan.transparency.statement import Statement


def refusal(parts: Parts, epoch: int, of: str, name: str = LOG) -> tuple[int, str]:
    with pytest.raises(Refused) as refused:
        parts.publishing.publish(name, epoch, of)
    return refused.value.status, refused.value.reason


def test_what_is_published_is_signed_by_the_auditor_and_stored(audited: Parts) -> None:
    row = audited.publishing.publish(LOG, 1, digest(1))
    statement = Statement(
        ciphersuite=1, namespace=LOG, timestamp=row.signed_ms, epoch=1, digest=digest(1), signature=row.signature
    )
    (key,) = audited.keys.all()
    assert statement.refusal(key.public_key) is None
    stored = audited.epochs.find(LOG, 1)
    assert (stored.digest, stored.signature, stored.previous, stored.proof) == (digest(1), row.signature, None, "root")


def test_the_first_epoch_puts_the_namespace_online_and_is_its_root(audited: Parts) -> None:
    assert audited.namespaces.find(LOG).status == "Initialization"
    audited.publishing.publish(LOG, 5, digest(5))
    found = audited.namespaces.find(LOG)
    assert (found.status, found.last_epoch, found.root) == ("Online", 5, f"5/{digest(5)}")


def test_the_first_epoch_matches_the_root(parts: Parts) -> None:
    parts.namespaces.add(NewNamespace(name=LOG, ciphersuite=2, root=f"3/{digest(3)}", publishers=(PUBLISHER,)))
    assert refusal(parts, 2, digest(3)) == (409, "root")
    assert refusal(parts, 3, digest(4)) == (409, "root")
    parts.publishing.publish(LOG, 3, digest(3))
    assert parts.publishing.publish(LOG, 4, digest(4)).previous == digest(3)


def test_epochs_follow_each_other_with_digests_of_their_own(audited: Parts) -> None:
    for epoch in (1, 2, 3):
        audited.publishing.publish(LOG, epoch, digest(epoch))
    assert refusal(audited, 5, digest(5)) == (409, "order")
    assert refusal(audited, 3, digest(3)) == (409, "republished")
    assert refusal(audited, 3, digest(9)) == (409, "republished")
    assert refusal(audited, 1, digest(9)) == (409, "republished")
    assert refusal(audited, 4, digest(2)) == (409, "digest")
    assert [epoch.epoch for epoch in audited.epochs.newest(audited.namespaces.find(LOG), None, 10)] == [3, 2, 1]


@pytest.mark.parametrize("of", ["", "1" * 63, "1" * 65, "g" * 64, "A" * 64, "1" * 63 + "\n", "١" * 64])
def test_a_digest_is_64_small_hex_digits(audited: Parts, of: str) -> None:
    assert refusal(audited, 1, of) == (400, "malformed")


@pytest.mark.parametrize("epoch", [-1, 2**63, 2**64])
def test_an_epoch_is_a_number_that_can_be_stored(audited: Parts, epoch: int) -> None:
    assert refusal(audited, epoch, digest(1)) == (400, "malformed")


def test_a_disabled_namespace_is_read_only_and_says_so(audited: Parts) -> None:
    audited.publishing.publish(LOG, 1, digest(1))
    audited.namespaces.disable(LOG)
    with pytest.raises(Refused, match=DISABLED) as refused:
        audited.publishing.publish(LOG, 2, digest(2))
    assert refused.value.status == 400
    audited.namespaces.enable(LOG)
    assert audited.publishing.publish(LOG, 2, digest(2)).epoch == 2


def test_a_namespace_that_is_not_there_is_named(parts: Parts) -> None:
    assert refusal(parts, 1, digest(1)) == (404, "not_found")


def test_of_several_publishers_at_once_one_wins_each_epoch(audited: Parts) -> None:
    """Whatever the order of the threads: of the digests that were signed for an epoch there is one."""
    publishers = 4
    start = threading.Barrier(publishers)
    signed: list[tuple[int, str]] = []
    others: list[object] = []

    def publish(number: int) -> None:
        start.wait()
        for epoch in range(1, 6):
            try:
                signed.append((epoch, audited.publishing.publish(LOG, epoch, digest(epoch * 100 + number)).digest))
            except Refused as refused:
                others.append(refused.reason)
            except Exception as error:  # noqa: BLE001  shown by the assertion
                others.append(error)

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(publishers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(others) <= {"republished", "order"}
    stored = audited.epochs.newest(audited.namespaces.find(LOG), None, 10)
    assert sorted(signed) == sorted((epoch.epoch, epoch.digest) for epoch in stored)
    assert [epoch.epoch for epoch in stored] == list(range(len(stored), 0, -1))
    assert stored


def test_the_tables_themselves_refuse_a_second_digest_and_a_second_epoch(audited: Parts) -> None:
    for epoch in (1, 2):
        audited.publishing.publish(LOG, epoch, digest(epoch))
    for column, value in (("epoch", "1"), ("digest", f"'{digest(1)}'")):
        with pytest.raises(Exception, match=r"(?i)unique"), audited.engine.begin() as connection:
            connection.execute(text(f"UPDATE transparency_epochs SET {column} = {value} WHERE epoch = 2"))  # noqa: S608


def test_an_epoch_that_another_request_signed_in_between_is_refused(
    audited: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have looked before either has written."""
    sign = audited.keys.sign

    def overtaken(ciphersuite: int, name: str, epoch: int, of: str) -> tuple[Statement, str]:
        monkeypatch.setattr(audited.keys, "sign", sign)
        audited.publishing.publish(name, epoch, digest(77))
        return sign(ciphersuite, name, epoch, of)

    monkeypatch.setattr(audited.keys, "sign", overtaken)
    assert refusal(audited, 1, digest(1)) == (409, "republished")
    assert audited.epochs.find(LOG, 1).digest == digest(77)
    monkeypatch.setattr(audited.keys, "sign", overtaken)
    assert refusal(audited, 2, digest(2))[1] == "digest"
    monkeypatch.setattr(audited.keys, "sign", sign)
    audited.publishing.publish(LOG, 2, digest(2))


def test_a_namespace_that_was_disabled_in_between_signs_nothing(
    audited: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = audited.keys.sign

    def disabled(ciphersuite: int, name: str, epoch: int, of: str) -> tuple[Statement, str]:
        audited.namespaces.disable(name)
        return sign(ciphersuite, name, epoch, of)

    monkeypatch.setattr(audited.keys, "sign", disabled)
    assert refusal(audited, 1, digest(1)) == (400, "disabled")
    assert audited.epochs.newest(audited.namespaces.find(LOG), None, 10) == []
