"""A worker: claims an epoch, fetches its proof and verifies it, again and again.

`python -m bartizan.transparency.worker` is a process of its own, as verification is work for a core. It ends when its
standard input does, which is when the auditor that started it has ended, however. The first line has the settings.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Final, Self

import msgspec
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from bartizan._native import AuditProof, AuditProofDecoder, AuditProofRefused
from bartizan.config.transparency import Auditor
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.log import to_supervisor
from bartizan.transparency.database import open_tables
from bartizan.transparency.download import Unavailable, download
from bartizan.transparency.queue import CLAIM_MS, Claim, Proved, Queue

__all__ = ["Worker", "main"]

_IDLE_S: Final = 0.5
"""Between two looks for an epoch that waits."""

_AGAIN_S: Final = 5.0
"""Before a database that failed is asked again."""

_WORD_S: Final = CLAIM_MS / 1000 / 6
"""Between two words of a worker about what it is at."""

_log = logging.getLogger("bartizan.transparency")


class Worker:
    """Verifies the epochs of a database. `name` says who has claimed one."""

    def __init__(self, engine: Engine, settings: Auditor, name: str) -> None:
        self._queue = Queue(engine, name)
        self._settings = settings

    def run(self, stopping: threading.Event) -> None:
        """Works until it is to stop; an epoch in hand is given back."""
        while not stopping.is_set():
            try:
                claim = self._queue.claim()
                if claim is None:
                    stopping.wait(_IDLE_S)
                else:
                    self.verify(claim, stopping)
            except SQLAlchemyError as error:
                # What was claimed is free again when the claim runs out.
                _log.error("the database cannot be used: %s; tried again in %.0f s", error, _AGAIN_S)
                stopping.wait(_AGAIN_S)

    def verify(self, claim: Claim, stopping: threading.Event) -> None:
        """Comes to a verdict on an epoch, or puts it off."""
        with _Word(self._queue, claim, stopping) as word:
            self._judge(claim, word)

    def _judge(self, claim: Claim, word: _Word) -> None:
        try:
            proof = self._fetched(claim, word)
            proof.verify(
                claim.epoch, bytes.fromhex(claim.previous), bytes.fromhex(claim.digest), progress=word.verifying
            )
        except _Ended:
            self._queue.give_back(claim)
        except Unavailable as error:
            wait_s = self._queue.put_off(claim, str(error))
            _log.warning("%s epoch %d: %s; tried again in %.0f s", claim.namespace, claim.epoch, error, wait_s)
        except AuditProofRefused as refused:
            check, message, _ = refused.args
            if self._queue.refused(claim, check, message, word.fetched_bytes):
                _log.error(
                    "%s epoch %d: the check %s refuses the proof: %s; the log has broken its promise, or serves a "
                    "proof of something else",
                    claim.namespace, claim.epoch, check, message,
                )  # fmt: skip
        else:
            proved = Proved(word.fetched_bytes, proof.inserted, proof.unchanged, word.took_ms)
            if self._queue.verified(claim, proved):
                _log.info(
                    "%s epoch %d: verified, %d inserted, %d unchanged, %d bytes, %d ms",
                    claim.namespace, claim.epoch, proved.inserted, proved.unchanged, proved.proof_bytes, proved.took_ms,
                )  # fmt: skip

    def _fetched(self, claim: Claim, word: _Word) -> AuditProof:
        settings = self._settings
        decoder = AuditProofDecoder()
        with download(
            claim.log_directory,
            claim.name,
            most_bytes=settings.proof_limit_bytes,
            timeout_s=settings.proof_timeout_s,
            ca_file=settings.log_ca_file,
        ) as pieces:
            for piece in pieces:
                word.fetching(len(piece))
                decoder.feed(piece)
        return decoder.finish()


class _Ended(Exception):  # noqa: N818  named for what happened
    """The worker is to stop, or its claim ran out and is another's."""


class _Word:
    """What a worker says of an epoch while it is at it, so that its claim holds and people see how far it is.

    It is said on a thread of its own: a log that is silent for a while must not make it another worker's epoch.
    """

    def __init__(self, queue: Queue, claim: Claim, stopping: threading.Event) -> None:
        self._queue = queue
        self._claim = claim
        self._stopping = stopping
        self._began = time.monotonic()
        self._progress = "asking for the proof"
        self._over = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._say, name="word", daemon=True)
        self.fetched_bytes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def took_ms(self) -> int:
        """How long the worker has been at it."""
        return round((time.monotonic() - self._began) * 1000)

    def fetching(self, more_bytes: int) -> None:
        """A piece of the proof has come."""
        self.fetched_bytes += more_bytes
        self._note(f"fetching, {self.fetched_bytes:,} bytes")

    def verifying(self, done: int, total: int) -> None:
        """So many of the elements are verified."""
        self._note(f"verifying, {done:,} of {total:,} elements")

    def _note(self, progress: str) -> None:
        if self._stopping.is_set() or self._lost.is_set():
            raise _Ended
        self._progress = progress

    def _say(self) -> None:
        while not self._over.wait(_WORD_S):
            try:
                if not self._queue.keep(self._claim, self._progress):
                    self._lost.set()
            except SQLAlchemyError as error:
                _log.error("the database cannot be used: %s; the claim on an epoch may run out", error)


def main() -> int:
    """Runs a worker until SIGTERM, or until its standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m bartizan.transparency.worker", description="Verifies epochs.")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="state directory")
    parser.add_argument("--name", required=True, metavar="NAME", help="who claims epochs")
    arguments = parser.parse_args()
    log = to_supervisor("transparency")
    stopping = threading.Event()
    # A signal handler may run while this thread holds the lock of the event.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=stopping.set).start())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = msgspec.json.decode(sys.stdin.buffer.readline(), type=Auditor)
    threading.Thread(target=_stop_with_the_auditor, args=(stopping,), name="auditor", daemon=True).start()
    try:
        engine = open_tables(StateDirectory(arguments.state.absolute()))
    except Failure as failure:
        log.critical("%s", failure)
        return 1
    Worker(engine, settings, arguments.name).run(stopping)
    engine.dispose()
    return 0


def _stop_with_the_auditor(stopping: threading.Event) -> None:
    # Not by the buffer: a thread that waits in it keeps the interpreter from ending.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    stopping.set()


if __name__ == "__main__":
    sys.exit(main())
