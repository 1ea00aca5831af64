"""Each epoch is verified by one worker, whatever becomes of the others."""

from __future__ import annotations

import threading

import pytest
from tests.transparency.conftest import LOG, PUBLISHER, Parts, digest

from bartizan.transparency import queue as queues
from bartizan.transparency.database import now_ms
from bartizan.transparency.namespaces import NewNamespace
from bartizan.transparency.queue import CLAIM_MS, Claim, Proved, Queue

PROVED = Proved(10, 2, 3, 4)


@pytest.fixture(autouse=True)
def moment(monkeypatch: pytest.MonkeyPatch) -> int:
    """When all happens: a claim does not run out because the machine was busy meanwhile."""
    present = now_ms()
    monkeypatch.setattr(queues, "now_ms", lambda: present)
    return present


@pytest.fixture
def waiting(parts: Parts) -> Parts:
    """Epoch 1 is the root, 2 to 9 wait."""
    new = NewNamespace(name=LOG, ciphersuite=1, publishers=(PUBLISHER,), log_directory="http://127.0.0.1:9/proofs")
    parts.namespaces.add(new)
    for epoch in range(1, 10):
        parts.publishing.publish(LOG, epoch, digest(epoch))
    return parts


def claimed(queue: Queue) -> Claim:
    claim = queue.claim()
    assert claim is not None
    return claim


def test_epochs_are_handed_out_in_order_and_each_once(waiting: Parts) -> None:
    one, other = Queue(waiting.engine, "node/1-1"), Queue(waiting.engine, "node/2-1")
    assert [claimed(queue).epoch for queue in (one, other, one, other)] == [2, 3, 4, 5]
    assert claimed(one).name == f"6/{digest(5)}/{digest(6)}"


def test_workers_that_claim_at_once_never_get_the_same_epoch(waiting: Parts) -> None:
    got: list[int] = []
    start = threading.Barrier(4)

    def claim(number: int) -> None:
        queue = Queue(waiting.engine, f"node/{number}-1")
        start.wait()
        while (found := queue.claim()) is not None:
            got.append(found.epoch)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(2, 10))


def test_a_verdict_is_written_once_and_by_who_holds_the_claim(
    waiting: Parts, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, other = Queue(waiting.engine, "node/1-1"), Queue(waiting.engine, "node/2-1")
    lost = claimed(slow)
    monkeypatch.setattr(queues, "now_ms", lambda: moment + CLAIM_MS + 1000)
    again = claimed(other)
    assert (again.epoch, again.job == lost.job) == (lost.epoch, False)
    assert not slow.keep(lost, "still at it")
    assert not slow.verified(lost, PROVED)
    assert not slow.refused(lost, "start_hash", "no", 5)
    assert waiting.epochs.find(LOG, 2).proof == "claimed"
    assert other.verified(again, PROVED)
    assert not other.verified(again, PROVED)
    row = waiting.epochs.find(LOG, 2)
    assert (row.proof, row.job, row.proof_bytes, row.inserted, row.unchanged, row.took_ms, row.worker) == (
        "verified", again.job, 10, 2, 3, 4, None,
    )  # fmt: skip


def test_a_claim_holds_as_long_as_its_worker_says_so(
    waiting: Parts, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, other = Queue(waiting.engine, "node/1-1"), Queue(waiting.engine, "node/2-1")
    held = claimed(busy)
    monkeypatch.setattr(queues, "now_ms", lambda: moment + CLAIM_MS - 1)
    assert busy.keep(held, "verifying, 1 of 2 elements")
    monkeypatch.setattr(queues, "now_ms", lambda: moment + CLAIM_MS + 1000)
    assert claimed(other).epoch == 3
    assert waiting.epochs.find(LOG, 2).progress == "verifying, 1 of 2 elements"


def test_a_proof_that_cannot_be_had_is_tried_later_and_later(
    waiting: Parts, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue(waiting.engine, "node/1-1")
    clock = [moment]
    monkeypatch.setattr(queues, "now_ms", lambda: clock[0])
    waits = []
    for _ in range(12):
        claim = claimed(queue)
        assert claim.epoch == 2
        waits.append(queue.put_off(claim, "not there yet"))
        assert claimed(queue).epoch == 3
        queue.release("node/")
        clock[0] += round(waits[-1] * 1000)
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == 300
    row = waiting.epochs.find(LOG, 2)
    assert (row.proof, row.check, row.problem) == ("waiting", "unavailable", "not there yet")


def test_what_a_worker_that_is_gone_had_claimed_is_free_at_once(waiting: Parts) -> None:
    gone, other = Queue(waiting.engine, "node/1-1"), Queue(waiting.engine, "node/12-1")
    assert (claimed(gone).epoch, claimed(other).epoch) == (2, 3)
    assert Queue(waiting.engine, "node").release("node/1-") == 1
    assert claimed(Queue(waiting.engine, "node/1-2")).epoch == 2
    assert waiting.epochs.find(LOG, 3).worker == "node/12-1"
    assert Queue(waiting.engine, "other").release("other/") == 0


def test_the_epoch_up_to_which_all_is_good_waits_for_the_slowest(waiting: Parts) -> None:
    queue = Queue(waiting.engine, "node/1-1")
    second, third, fourth = claimed(queue), claimed(queue), claimed(queue)
    for claim, verified in ((third, 1), (second, 3)):
        assert queue.verified(claim, PROVED)
        assert waiting.namespaces.verified_to(waiting.namespaces.find(LOG)) == verified
    assert queue.refused(fourth, "end_hash", "the root hash is another", 7)
    assert waiting.namespaces.verified_to(waiting.namespaces.find(LOG)) == 3
    row = waiting.epochs.find(LOG, 4)
    assert (row.proof, row.check, row.problem, row.proof_bytes) == (
        "refused",
        "end_hash",
        "the root hash is another",
        7,
    )


def test_epochs_are_verified_again_where_somebody_asks(waiting: Parts) -> None:
    queue = Queue(waiting.engine, "node/1-1")
    second, third = claimed(queue), claimed(queue)
    queue.verified(second, PROVED)
    queue.refused(third, "end_hash", "no", 7)
    assert waiting.epochs.verify_again(LOG, None, None, refused_only=True) == 1
    assert claimed(queue).epoch == 3
    assert waiting.epochs.verify_again(LOG, 2, 2, refused_only=False) == 1
    assert claimed(queue).epoch == 2
