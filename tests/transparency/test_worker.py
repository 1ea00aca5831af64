"""A worker comes to the verdict that a proof deserves, from what the log serves."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable

import pytest
from tests.transparency.conftest import LOG, PUBLISHER, Log, Parts, Served

from bartizan.config.transparency import Auditor
from bartizan.transparency import queue as queues
from bartizan.transparency import worker as workers
from bartizan.transparency.database import now_ms
from bartizan.transparency.download import Unavailable, download
from bartizan.transparency.namespaces import NewNamespace
from bartizan.transparency.queue import CLAIM_MS, Queue
from bartizan.transparency.worker import Worker

Serve = Callable[[Log], Served]


@pytest.fixture(autouse=True)
def standing_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put off is not due again because the machine was busy meanwhile."""
    moment = now_ms()
    monkeypatch.setattr(queues, "now_ms", lambda: moment)


def begun(parts: Parts, log: Log, served: Served, epochs: int = 3) -> None:
    """The log publishes its first epochs."""
    new = NewNamespace(name=LOG, ciphersuite=1, publishers=(PUBLISHER,), log_directory=served.url)
    parts.namespaces.add(new)
    for epoch in range(1, epochs + 1):
        parts.publishing.publish(LOG, epoch, log.roots[epoch])


def work(parts: Parts, settings: Auditor | None = None) -> None:
    """All that may be done now is done by one worker."""
    queue = Queue(parts.engine, "node/1-1")
    worker = Worker(parts.engine, settings or Auditor(), "node/1-1")
    while (claim := queue.claim()) is not None:
        worker.verify(claim, threading.Event())


def test_the_proofs_of_a_log_are_good(parts: Parts, log: Log, serve: Serve) -> None:
    served = serve(log)
    begun(parts, log, served, 6)
    work(parts)
    assert served.asked == [log.name(epoch) for epoch in range(2, 7)]
    rows = parts.epochs.newest(parts.namespaces.find(LOG), None, 10)
    assert [row.proof for row in rows] == ["verified"] * 5 + ["root"]
    assert [row.proof_bytes for row in rows[:-1]] == [len(log.proofs[log.name(epoch)]) for epoch in range(6, 1, -1)]
    assert parts.epochs.last_verified(LOG).epoch == 6


def test_a_proof_of_something_else_is_refused_by_the_check_that_is_for_it(
    parts: Parts, log: Log, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve(log)
    served.answers[log.name(2)] = log.proofs[log.name(3)]
    served.answers[log.name(3)] = log.proofs[log.name(3)][:-1]
    begun(parts, log, served)
    with caplog.at_level(logging.ERROR):
        work(parts)
    assert [(row.epoch, row.proof, row.check) for row in parts.epochs.newest(parts.namespaces.find(LOG), None, 2)] == [
        (3, "refused", "truncated"),
        (2, "refused", "start_hash"),
    ]
    assert "epoch 2: the check start_hash refuses the proof" in caplog.text
    assert parts.epochs.last_verified(LOG).epoch == 1


def test_an_epoch_whose_digest_is_not_that_of_the_log_is_refused(parts: Parts, log: Log, serve: Serve) -> None:
    served = serve(log)
    other = "ab" * 32
    served.answers[f"2/{log.roots[1]}/{other}"] = log.proofs[log.name(2)]
    begun(parts, log, served, 1)
    parts.publishing.publish(LOG, 2, other)
    work(parts)
    row = parts.epochs.find(LOG, 2)
    assert (row.proof, row.check) == ("refused", "end_hash")


def test_a_proof_that_is_not_there_yet_is_waited_for(parts: Parts, log: Log, serve: Serve) -> None:
    served = serve(Log(1))
    begun(parts, log, served, 2)
    work(parts)
    row = parts.epochs.find(LOG, 2)
    assert (row.proof, row.attempts, row.check) == ("waiting", 1, "unavailable")
    assert f"answers 404 Not Found for {log.name(2)}" in (row.problem or "")
    served.answers.update(log.proofs)
    parts.epochs.verify_again(LOG, None, None, refused_only=True)
    work(parts)
    assert parts.epochs.find(LOG, 2).proof == "verified"


def test_a_proof_that_is_too_long_is_not_read(parts: Parts, log: Log, serve: Serve) -> None:
    served = serve(log)
    served.answers[log.name(2)] = b"\n" * 5000
    begun(parts, log, served, 2)
    work(parts, Auditor(proof_limit_bytes=4096))
    row = parts.epochs.find(LOG, 2)
    assert (row.proof, row.problem) == ("waiting", "the proof has 5,000 bytes, and proof_limit_bytes is 4,096")


def test_a_worker_that_is_to_stop_gives_its_epoch_back(parts: Parts, log: Log, serve: Serve) -> None:
    begun(parts, log, serve(log), 2)
    claim = Queue(parts.engine, "node/1-1").claim()
    assert claim is not None
    stopping = threading.Event()
    stopping.set()
    Worker(parts.engine, Auditor(), "node/1-1").verify(claim, stopping)
    row = parts.epochs.find(LOG, 2)
    assert (row.proof, row.worker, row.attempts) == ("waiting", None, 0)
    work(parts)
    assert parts.epochs.find(LOG, 2).proof == "verified"


def test_a_claim_holds_while_the_log_is_silent(
    parts: Parts, log: Log, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [now_ms()]
    monkeypatch.setattr(queues, "now_ms", lambda: clock[0])
    monkeypatch.setattr(workers, "_WORD_S", 0.02)
    served = serve(log)
    begun(parts, log, served, 2)
    may_answer = threading.Event()
    served.before.append(lambda: may_answer.wait(300))
    claim = Queue(parts.engine, "node/1-1").claim()
    assert claim is not None
    worker = Worker(parts.engine, Auditor(), "node/1-1")
    working = threading.Thread(target=worker.verify, args=(claim, threading.Event()))
    working.start()
    for _ in range(3):
        clock[0] += CLAIM_MS - 1
        while parts.epochs.find(LOG, 2).not_before_ms != clock[0] + CLAIM_MS:
            assert working.is_alive()
        assert Queue(parts.engine, "node/2-1").claim() is None
    assert parts.epochs.find(LOG, 2).progress == "asking for the proof"
    may_answer.set()
    working.join()
    assert parts.epochs.find(LOG, 2).proof == "verified"


def test_a_worker_whose_claim_is_another_s_comes_to_no_verdict(
    parts: Parts, log: Log, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_WORD_S", 0.02)
    served = serve(log)
    begun(parts, log, served, 2)
    may_answer = threading.Event()
    served.before.append(lambda: may_answer.wait(300))
    claim = Queue(parts.engine, "node/1-1").claim()
    assert claim is not None
    working = threading.Thread(
        target=Worker(parts.engine, Auditor(), "node/1-1").verify, args=(claim, threading.Event())
    )
    working.start()
    while not served.asked:
        assert working.is_alive()
    assert Queue(parts.engine, "node").release("node/") == 1
    other = Queue(parts.engine, "node/2-1").claim()
    assert other is not None
    may_answer.set()
    working.join()
    row = parts.epochs.find(LOG, 2)
    assert (row.proof, row.job, row.worker) == ("claimed", other.job, "node/2-1")


def test_a_log_that_cannot_be_reached_is_named(log: Log, serve: Serve) -> None:
    served = serve(log)
    with (
        pytest.raises(Unavailable, match=r"http://127.0.0.1:1 does not serve 1/a/b: "),
        download("http://127.0.0.1:1/x", "1/a/b", most_bytes=10, timeout_s=5, ca_file=None),
    ):
        pass
    with download(served.url, log.name(2), most_bytes=100_000, timeout_s=5, ca_file=None) as pieces:
        assert b"".join(pieces) == log.proofs[log.name(2)]


@pytest.mark.parametrize(
    ("head", "sent", "said"),
    [
        (b"Content-Length: 9\r\n", b"four", "the proof was cut off after 4 of 9 bytes"),
        (b"Content-Length: 11\r\n", b"", "the proof has 11 bytes, and proof_limit_bytes is 10"),
        (b"Content-Length: " + b"9" * 5000 + b"\r\n", b"eleven bytes", "the proof has more than the 10 bytes"),
        (b"Content-Length: \xb2\r\n", b"eleven bytes", "the proof has more than the 10 bytes"),
        (b"", b"eleven bytes", "the proof has more than the 10 bytes"),
    ],
)
def test_a_log_that_says_one_length_and_sends_another_is_given_up(head: bytes, sent: bytes, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection, connection.makefile("rb") as asked:
                while asked.readline() not in (b"\r\n", b""):
                    pass
                connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + sent)

        answering = threading.Thread(target=answer)
        answering.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with (
            pytest.raises(Unavailable, match=said),
            download(url, "1/a/b", most_bytes=10, timeout_s=60, ca_file=None) as pieces,
        ):
            list(pieces)
        answering.join()


def test_a_redirect_is_not_followed(log: Log, serve: Serve) -> None:
    served, inside = serve(log), serve(log)
    served.redirects[log.name(2)] = f"{inside.url}/{log.name(2)}"
    with (
        pytest.raises(Unavailable, match="answers 302 Found"),
        download(served.url, log.name(2), most_bytes=100_000, timeout_s=5, ca_file=None),
    ):
        pass
    assert inside.asked == []
