"""A key directory that outlives its process, and a client that believes what is proved and nothing else."""

from __future__ import annotations

import errno
import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.transparency.conftest import LOG, PUBLISHER, Parts

from bartizan._native import AuditProof
from bartizan.cli import app
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.transparency import directory_control
from bartizan.transparency.api import Answer, Request
from bartizan.transparency.client import AuditedRoots, DirectoryAnswerRefused, DirectoryClient, Version
from bartizan.transparency.directory import Directory, DirectoryUnusable
from bartizan.transparency.directory_api import DirectoryApi
from bartizan.transparency.directory_control import ServedDirectory, key_directory, serve_commands
from bartizan.transparency.listener import Listener
from bartizan.transparency.namespaces import NewNamespace

ALICE, BOB = b"alice", b"bob"


@pytest.fixture
def listen() -> Iterator[Callable[..., str]]:
    """Listens with what answers, and gives the URL."""
    with ExitStack() as stack:

        def start(answer: Callable[[Request], Answer]) -> str:
            listener = stack.enter_context(Listener(["127.0.0.1:0"], [], None, answer, connections=64))
            return f"http://{listener.listening[0][0]}"

        yield start


def journal(state: StateDirectory) -> Path:
    return state.transparency / "directory" / "journal.ndjson"


def test_what_was_published_is_there_after_a_restart(state: StateDirectory) -> None:
    with Directory(state) as directory:
        directory.publish([(ALICE, b"1"), (BOB, b"1")])
        root = directory.publish([(ALICE, b"2")]).root
        public_key = directory.public_key
    with Directory(state) as directory:
        assert (directory.root(), directory.public_key) == (root, public_key)
        assert root.epoch == 2
        assert directory.publish([(ALICE, b"2")]) == (root, False)
        assert len(journal(state).read_bytes().splitlines()) == 2


def test_every_epoch_has_its_proof_as_a_file_and_one_that_is_lost_is_made_again(state: StateDirectory) -> None:
    with Directory(state) as directory:
        for number in range(1, 4):
            directory.publish([(ALICE, b"%d" % number)])
        files = sorted(
            str(file.relative_to(directory.proofs)) for file in directory.proofs.rglob("*") if file.is_file()
        )
        lost = directory.proofs / files[1]
        content = lost.read_bytes()
    lost.unlink()
    with Directory(state) as directory:
        assert lost.read_bytes() == content == directory.proof(files[1])
    assert [name.partition("/")[0] for name in files] == ["1", "2", "3"]
    for name in files:
        epoch, previous, current = name.split("/")
        proof = AuditProof.decode((state.transparency / "directory" / "proofs" / name).read_bytes())
        proof.verify(int(epoch), bytes.fromhex(previous), bytes.fromhex(current))


def test_a_publish_that_was_cut_off_was_never_made(state: StateDirectory) -> None:
    with Directory(state) as directory:
        root = directory.publish([(ALICE, b"1")]).root
    with journal(state).open("ab") as file:
        file.write(b'{"epoch":2,"root":"')
    with Directory(state) as directory:
        assert directory.root() == root
        assert directory.publish([(ALICE, b"2")]).root.epoch == 2


def test_a_journal_that_is_not_what_it_was_is_refused(state: StateDirectory) -> None:
    with Directory(state) as directory:
        directory.publish([(ALICE, b"1")])
    line = json.loads(journal(state).read_text())
    line["updates"] = [["Ym9i", "MQ=="]]
    journal(state).write_text(json.dumps(line) + "\n")
    with (
        pytest.raises(Failure, match=r"journal.ndjson:1: epoch 1 comes to the root [0-9a-f]{64}, and was"),
        Directory(state),
    ):
        pass


def test_one_process_has_it_at_a_time_and_its_key_is_for_its_owner(state: StateDirectory) -> None:
    with Directory(state) as directory:
        assert (state.transparency / "directory" / "key").stat().st_mode & 0o777 == 0o600
        with pytest.raises(Failure, match="a key directory runs here already"), Directory(state):
            pass
        assert directory.root().epoch == 0


def test_a_client_believes_what_an_auditor_has_signed(
    state: StateDirectory, parts: Parts, listen: Callable[..., str]
) -> None:
    with Directory(state) as directory:
        parts.namespaces.add(NewNamespace(name=LOG, ciphersuite=1, publishers=(PUBLISHER,)))
        for number in (1, 2):
            epoch, root = directory.publish([(ALICE, b"key %d" % number), (b"%d" % number, b"x")]).root
            parts.publishing.publish(LOG, epoch, root.hex())
        keys = [key.public_key for key in parts.keys.all()]
        audited = AuditedRoots(listen(parts.api.answer), LOG, keys)
        client = DirectoryClient(listen(DirectoryApi(directory).answer), directory.public_key, audited)
        assert client.lookup(ALICE) == Version(2, 2, b"key 2")
        assert client.history(ALICE) == [Version(2, 2, b"key 2"), Version(1, 1, b"key 1")]
        with pytest.raises(KeyError):
            client.lookup(b"nobody")
        directory.publish([(ALICE, b"key 3")])
        with pytest.raises(DirectoryAnswerRefused, match="has signed no epoch 3"):
            client.lookup(ALICE)


def test_a_client_finds_out_that_it_is_shown_another_directory(
    state: StateDirectory, tmp_path: Path, parts: Parts, listen: Callable[..., str]
) -> None:
    other_state = StateDirectory(tmp_path / "other")
    other_state.create()
    with Directory(state) as directory:
        epoch, root = directory.publish([(ALICE, b"her key")]).root
        parts.namespaces.add(NewNamespace(name=LOG, ciphersuite=1, publishers=(PUBLISHER,)))
        parts.publishing.publish(LOG, epoch, root.hex())
        (other_state.transparency / "directory").mkdir(parents=True)
        (other_state.transparency / "directory" / "key").write_bytes(
            (state.transparency / "directory" / "key").read_bytes()
        )
        with Directory(other_state) as forged:
            forged.publish([(ALICE, b"the key of somebody who reads along")])
            keys = [key.public_key for key in parts.keys.all()]
            audited = AuditedRoots(listen(parts.api.answer), LOG, keys)
            client = DirectoryClient(listen(DirectoryApi(forged).answer), directory.public_key, audited)
            with pytest.raises(DirectoryAnswerRefused, match="a split view"):
                client.lookup(ALICE)


def test_a_key_that_is_not_the_auditors_signs_nothing(
    state: StateDirectory, parts: Parts, listen: Callable[..., str]
) -> None:
    with Directory(state) as directory:
        epoch, root = directory.publish([(ALICE, b"1")]).root
        parts.namespaces.add(NewNamespace(name=LOG, ciphersuite=1, publishers=(PUBLISHER,)))
        parts.publishing.publish(LOG, epoch, root.hex())
        with pytest.raises(DirectoryAnswerRefused, match="is signed by no key of the auditor"):
            AuditedRoots(listen(parts.api.answer), LOG, ["ab" * 32])(epoch)


def test_the_commands_publish_and_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = ["--state", str(tmp_path / "state"), "--json"]
    for words in (["publish", "alice=1", "bob=1"], ["publish", "alice=2"], ["publish", "alice=2"]):
        assert app.run(["transparency", "directory", *words, *state]) == 0
    published = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["epoch"], each["published"]) for each in published] == [(1, True), (2, True), (2, False)]
    assert app.run(["transparency", "directory", "lookup", "alice", *state]) == 0
    assert json.loads(capsys.readouterr().out) == {"version": 2, "epoch": 2, "value": "2"}
    assert app.run(["transparency", "directory", "history", "alice", *state]) == 0
    assert [each["value"] for each in json.loads(capsys.readouterr().out)] == ["2", "1"]
    assert app.run(["transparency", "directory", "root", *state]) == 0
    assert json.loads(capsys.readouterr().out)["root"] == published[-1]["root"]
    assert app.run(["transparency", "directory", "lookup", "nobody", *state]) == 1
    assert "nobody" in capsys.readouterr().err


def test_epochs_are_published_while_the_directory_is_served(
    state: StateDirectory, listen: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--state", str(state.path), "--json"]
    with Directory(state) as directory, serve_commands(state, directory):
        url = listen(DirectoryApi(directory).answer)
        for value in ("1", "2"):
            assert app.run(["transparency", "directory", "publish", f"alice={value}", *words]) == 0
        published = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [each["epoch"] for each in published] == [1, 2]
        assert app.run(["transparency", "directory", "root", *words]) == 0
        assert json.loads(capsys.readouterr().out)["root"] == published[-1]["root"]
        assert app.run(["transparency", "directory", "history", "alice", *words]) == 0
        assert [each["value"] for each in json.loads(capsys.readouterr().out)] == ["2", "1"]
        assert app.run(["transparency", "directory", "lookup", "nobody", *words]) == 1
        assert "nothing was published of label" in capsys.readouterr().err
        client = DirectoryClient(url, directory.public_key, lambda epoch: published[epoch - 1]["root"])
        assert client.lookup(ALICE) == Version(2, 2, b"2")
    with Directory(state) as directory:
        assert directory.root().root.hex() == published[-1]["root"]


def test_a_publish_that_cannot_be_written_down_was_never_made(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Directory(state) as directory:
        first = directory.publish([(ALICE, b"1")]).root
        content = journal(state).read_bytes()
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full_once())
            with pytest.raises(Failure, match=r"journal.ndjson cannot be written: No space.*; nothing was published"):
                directory.publish([(ALICE, b"2")])
        assert (directory.root(), journal(state).read_bytes()) == (first, content)
        second = directory.publish([(ALICE, b"3")]).root
    with Directory(state) as directory:
        assert directory.root() == second
        assert [line.epoch for line in map(decoded, journal(state).read_bytes().splitlines())] == [1, 2]


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def full_once() -> Callable[[int], None]:
    """`os.fsync` on a disk that has room again at the second time."""
    fsync, calls = os.fsync, itertools.count()
    return lambda file: fsync(file) if next(calls) else full()


def test_a_directory_that_cannot_take_back_what_it_could_not_write_answers_nothing_until_it_is_opened_anew(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Directory(state) as directory:
        first = directory.publish([(ALICE, b"1")]).root
        answers = DirectoryApi(directory).answer
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            patched.setattr(Directory, "_replayed", full)
            with pytest.raises(
                DirectoryUnusable, match=r"cannot be written: No space.*, nor can it be made what it was"
            ):
                directory.publish([(ALICE, b"2")])
        for ask in (directory.root, lambda: directory.publish([(ALICE, b"3")]), lambda: directory.lookup(ALICE)):
            with pytest.raises(DirectoryUnusable):
                ask()
        asked = ["/root", f"/lookup/{ALICE.hex()}", f"/1/{bytes(32).hex()}/{first.root.hex()}"]
        assert [answers(Request("GET", target)).status for target in asked] == [503, 503, 503]
    with Directory(state) as directory:
        assert directory.publish([(ALICE, b"4")]).root.epoch == directory.root().epoch
        root = directory.root()
    with Directory(state) as directory:
        assert directory.root() == root


def test_a_proof_that_cannot_be_written_comes_when_the_directory_is_next_opened(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Directory(state) as directory:
        with monkeypatch.context() as patched:
            patched.setattr(Directory, "_write_proof", full)
            with pytest.raises(Failure, match=r"epoch 1 is published with the root .* its proof cannot be written"):
                directory.publish([(ALICE, b"1")])
            patched.setattr(os, "fsync", full_once())
            with pytest.raises(Failure, match="nothing was published"):
                directory.publish([(ALICE, b"2")])
        assert directory.root().epoch == 1
        with monkeypatch.context() as patched:
            patched.setattr(Directory, "_write_proof", full)
            with pytest.raises(Failure, match="a key directory runs here already"), Directory(state):
                pass
    with monkeypatch.context() as patched:
        patched.setattr(Directory, "_write_proof", full)
        with pytest.raises(Failure, match="the proof of epoch 1 is missing"), Directory(state):
            pass
    with Directory(state) as directory:
        assert directory.root().epoch == 1
        assert sum(file.is_file() for file in directory.proofs.rglob("*")) == 1


def test_a_directory_is_not_given_up_while_somebody_publishes_in_it(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    note = Directory._note

    def slow(self: Directory, line: bytes) -> None:
        begun.set()
        assert go_on.wait(60)
        note(self, line)

    monkeypatch.setattr(Directory, "_note", slow)
    directory = Directory(state).__enter__()
    publisher = threading.Thread(target=directory.publish, args=([(ALICE, b"1")],))
    publisher.start()
    assert begun.wait(60)
    closer = threading.Thread(target=directory.__exit__, args=(None, None, None))
    closer.start()
    with pytest.raises(Failure, match="a key directory runs here already"), Directory(state):
        pass
    go_on.set()
    publisher.join(60)
    closer.join(60)
    with pytest.raises(DirectoryUnusable, match="is closed"):
        directory.publish([(ALICE, b"2")])
    with Directory(state) as again:
        assert again.root().epoch == 1


def test_a_command_waits_for_who_opens_the_directory_or_is_at_work_in_it(state: StateDirectory) -> None:
    found: list[tuple[type, int]] = []

    def ask() -> None:
        with key_directory(state) as directory:
            found.append((type(directory), directory.root().epoch))

    with Directory(state) as directory:
        asker = threading.Thread(target=ask)
        asker.start()
        directory.publish([(ALICE, b"1")])
        assert found == []
        with serve_commands(state, directory):
            asker.join(60)
        assert found == [(ServedDirectory, 1)]
        asker = threading.Thread(target=ask)
        asker.start()
    asker.join(60)
    assert found[1:] == [(Directory, 1)]


def test_a_large_epoch_is_published_while_the_directory_is_served_and_a_larger_one_is_refused(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Directory(state) as directory, serve_commands(state, directory), key_directory(state) as served:
        assert isinstance(served, ServedDirectory)
        updates = [(b"%d" % number, bytes(100_000)) for number in range(20)]
        assert served.publish(updates) == (directory.root(), True)
        assert served.publish(updates) == (directory.root(), False)
        monkeypatch.setattr(directory_control, "_REQUEST_BYTES", 2_000_000)
        with pytest.raises(Failure, match="more than the 2,000,000 that a directory takes while it is served"):
            served.publish(updates)


def decoded(line: bytes) -> SimpleNamespace:
    return SimpleNamespace(**json.loads(line))
