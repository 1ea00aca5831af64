"""The monitor catches, in one look, what no honest auditor and log can bring about."""

from __future__ import annotations

import http.server
import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import URL
from tests.transparency.conftest import LOG, PUBLISHER, Log, Parts, Served, digest

from bartizan.cli import app
from bartizan.config.transparency import Monitor, WatchedAuditor
from bartizan.layout import StateDirectory
from bartizan.store.database import open_database
from bartizan.transparency.api import Api
from bartizan.transparency.database import SCHEMA, open_tables
from bartizan.transparency.epochs import Epochs
from bartizan.transparency.keys import Keys
from bartizan.transparency.listener import Listener
from bartizan.transparency.monitoring import monitor_status, tell, watch
from bartizan.transparency.namespaces import Namespaces, NewNamespace
from bartizan.transparency.publishing import Publishing
from bartizan.transparency.reports import Reports

PATIENCE_S = 200

Serve = Callable[[Log], Served]
Found = list[tuple[str, str, int]]


class Auditor(NamedTuple):
    """One that is listened to."""

    parts: Parts
    url: str


@pytest.fixture
def auditors(tmp_path: Path) -> Iterator[Callable[[], Auditor]]:
    """Makes auditors, each with its own tables, key and address."""
    with ExitStack() as stack:
        made: list[Auditor] = []

        def make() -> Auditor:
            state = StateDirectory(tmp_path / f"auditor {len(made)}")
            state.create()
            state.transparency.mkdir()
            engine = open_database(URL.create("sqlite", database=str(state.transparency / "t.sqlite3")), SCHEMA)
            stack.callback(engine.dispose)
            namespaces, keys = Namespaces(engine), Keys(engine, state)
            keys.provide()
            publishing, epochs = Publishing(engine, namespaces, keys), Epochs(engine, namespaces)
            reports = Reports(engine, namespaces, keys)
            complaints: list[str] = []
            api = Api(namespaces, publishing, epochs, reports, keys, [], complaints.append)
            parts = Parts(engine, state, namespaces, keys, publishing, epochs, reports, api, complaints)
            listener = stack.enter_context(Listener(["127.0.0.1:0"], [], None, api.answer, connections=64))
            made.append(Auditor(parts, f"http://{listener.listening[0][0]}"))
            return made[-1]

        yield make


def begun(auditor: Auditor, digests: list[str], log_directory: str | None = None) -> None:
    """Publishes epochs from 1 on."""
    new = NewNamespace(name=LOG, ciphersuite=2, publishers=(PUBLISHER,), log_directory=log_directory)
    auditor.parts.namespaces.add(new)
    for epoch, each in enumerate(digests, start=1):
        auditor.parts.publishing.publish(LOG, epoch, each)


def settings(*auditors: Auditor, webhook: str | None = None) -> Monitor:
    return Monitor(auditors=[WatchedAuditor(url=auditor.url) for auditor in auditors], log_delay_s=0, webhook=webhook)


def looked(engine: Engine, wanted: Monitor) -> Found:
    look = watch(engine, wanted).look()
    assert look.failures == []
    return [(finding.kind, finding.auditor, finding.epoch) for finding in look.found]


def test_honest_auditors_of_one_log_are_left_in_peace(
    auditors: Callable[[], Auditor], engine: Engine, log: Log, serve: Serve
) -> None:
    one, other = auditors(), auditors()
    served = serve(log)
    for auditor in (one, other):
        begun(auditor, [log.roots[epoch] for epoch in (1, 2, 3)], served.url)
    wanted = settings(one, other)
    assert looked(engine, wanted) == []
    for auditor in (one, other):
        auditor.parts.publishing.publish(LOG, 4, log.roots[4])
    assert looked(engine, wanted) == []
    assert set(served.asked) == {log.name(epoch) for epoch in (2, 3, 4)}


def test_a_split_view_is_caught_in_one_look_and_told_once(auditors: Callable[[], Auditor], engine: Engine) -> None:
    one, other = auditors(), auditors()
    begun(one, [digest(1), digest(2)])
    begun(other, [digest(1), digest(77)])
    wanted = settings(one, other)
    assert looked(engine, wanted) == [("split_view", other.url, 2)]
    assert looked(engine, wanted) == []
    assert monitor_status(engine).findings["split_view"] == 1


def test_one_auditor_that_signs_two_digests_is_caught(auditors: Callable[[], Auditor], engine: Engine) -> None:
    auditor = auditors()
    begun(auditor, [digest(1), digest(2)])
    assert looked(engine, settings(auditor)) == []
    forged, _ = auditor.parts.keys.sign(2, LOG, 2, digest(3))
    with auditor.parts.engine.begin() as connection:
        change = (
            "UPDATE transparency_epochs SET digest = :digest, signature = :signature, signed_ms = :at WHERE epoch = 2"
        )
        connection.execute(text(change), {"digest": digest(3), "signature": forged.signature, "at": forged.timestamp})
    assert looked(engine, settings(auditor)) == [("split_view", auditor.url, 2)]


def test_a_digest_whose_proof_the_log_does_not_serve_is_caught(
    auditors: Callable[[], Auditor], engine: Engine, log: Log, serve: Serve
) -> None:
    auditor = auditors()
    begun(auditor, [log.roots[1], log.roots[2], digest(3)], serve(log).url)
    assert looked(engine, settings(auditor)) == [("not_served", auditor.url, 3)]


def test_a_log_has_time_to_serve_a_proof(
    auditors: Callable[[], Auditor], engine: Engine, log: Log, serve: Serve
) -> None:
    auditor = auditors()
    begun(auditor, [log.roots[1], digest(2)], serve(log).url)
    patient = Monitor(auditors=[WatchedAuditor(url=auditor.url)], log_delay_s=3600)
    assert looked(engine, patient) == []


@pytest.mark.parametrize("column", ["digest", "previous"])
def test_a_verification_that_does_not_join_what_was_signed_is_caught(
    auditors: Callable[[], Auditor], engine: Engine, column: str
) -> None:
    auditor = auditors()
    begun(auditor, [digest(1), digest(2), digest(3)])
    assert looked(engine, settings(auditor)) == []
    with auditor.parts.engine.begin() as connection:
        connection.execute(text("UPDATE transparency_epochs SET proof = 'verified' WHERE epoch > 1"))
        # Of the newest epoch, which is asked for again, only what was verified is another.
        wrong = f"UPDATE transparency_epochs SET {column} = '{digest(9)}' WHERE epoch = 2"  # noqa: S608
        connection.execute(text(wrong))
        connection.execute(text("UPDATE transparency_epochs SET proof = 'refused' WHERE epoch = 3"))
    assert looked(engine, settings(auditor)) == [("chain", auditor.url, 2)]


def test_a_statement_that_no_key_signed_is_caught(auditors: Callable[[], Auditor], engine: Engine) -> None:
    auditor = auditors()
    begun(auditor, [digest(1)])
    stranger = Monitor(auditors=[WatchedAuditor(url=auditor.url, keys=["ab" * 32])], log_delay_s=0)
    assert looked(engine, stranger) == [("signature", auditor.url, 1)]


def test_a_key_that_has_not_begun_to_sign_signs_nothing(auditors: Callable[[], Auditor], engine: Engine) -> None:
    auditor = auditors()
    begun(auditor, [digest(1)])
    with auditor.parts.engine.begin() as connection:
        connection.execute(text("UPDATE transparency_epochs SET signed_ms = signed_ms"))
        connection.execute(text("UPDATE transparency_keys SET not_before_ms = not_before_ms + 3600000"))
    assert looked(engine, settings(auditor)) == [("signature", auditor.url, 1)]


def test_an_epoch_that_is_gone_is_caught(auditors: Callable[[], Auditor], engine: Engine) -> None:
    auditor = auditors()
    begun(auditor, [digest(1), digest(2)])
    assert looked(engine, settings(auditor)) == []
    with auditor.parts.engine.begin() as connection:
        connection.execute(text("DELETE FROM transparency_epochs WHERE epoch = 2"))
        connection.execute(text("UPDATE transparency_namespaces SET last_epoch = 1"))
    assert looked(engine, settings(auditor)) == [("gone", auditor.url, 2)]


def test_an_auditor_that_does_not_answer_keeps_nobody_from_looking_at_the_others(
    auditors: Callable[[], Auditor], engine: Engine
) -> None:
    auditor = auditors()
    begun(auditor, [digest(1)])
    dead = WatchedAuditor(url="http://127.0.0.1:1")
    look = watch(engine, Monitor(auditors=[dead, WatchedAuditor(url=auditor.url)])).look()
    assert (look.statements, look.found) == (1, [])
    assert look.failures[0].startswith("http://127.0.0.1:1 gives no answer: ")


class Hook(NamedTuple):
    """A webhook, what it was told, and what it answers."""

    url: str
    told: list[dict[str, Any]]
    answers: list[int]


@pytest.fixture
def hook() -> Iterator[Hook]:
    told: list[dict[str, Any]] = []
    answers = [503]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = answers.pop() if answers else 204
            if status == 204:
                told.append(json.loads(body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield Hook(f"http://127.0.0.1:{server.server_port}/secret", told, answers)
        server.shutdown()
        thread.join()


def test_a_webhook_is_told_with_evidence_until_it_takes_it(
    auditors: Callable[[], Auditor], engine: Engine, hook: Hook
) -> None:
    one, other = auditors(), auditors()
    begun(one, [digest(1)])
    begun(other, [digest(2)])
    wanted = settings(one, other, webhook=hook.url)
    looked(engine, wanted)
    (wrong,) = tell(engine, wanted)
    assert wrong == "the webhook at 127.0.0.1 answers 503"
    assert (tell(engine, wanted), tell(engine, wanted)) == ([], [])
    (alert,) = hook.told
    assert (alert["kind"], alert["namespace"], alert["epoch"]) == ("split_view", LOG, 1)
    assert sorted(statement["digest"] for statement in alert["evidence"]) == [digest(1), digest(2)]
    assert {statement["auditor"] for statement in alert["evidence"]} == {one.url, other.url}


def test_the_command_says_by_its_exit_code_what_it_found(
    auditors: Callable[[], Auditor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = auditors(), auditors()
    begun(one, [digest(1)])
    begun(other, [digest(1)])
    site = tmp_path / "monitor.toml"
    site.write_text(f'[transparency.monitor]\nauditors = [{{ url = "{one.url}" }}, {{ url = "{other.url}" }}]\n')
    words = ["transparency", "monitor", "poll", str(site), "--state", str(tmp_path / "state")]
    assert app.run(words) == 0
    one.parts.publishing.publish(LOG, 2, digest(2))
    other.parts.publishing.publish(LOG, 2, digest(3))
    assert app.run(words) == 1
    assert (
        f"split_view: {LOG} epoch 2, auditor {other.url}: 2 digests of the epoch were signed" in capsys.readouterr().out
    )
    listed = ["transparency", "monitor", "findings", "--state", str(tmp_path / "state"), "--json"]
    assert app.run(listed) == 1
    found = json.loads(capsys.readouterr().out)
    assert {each["kind"] for each in found} == {"split_view"}
    open_tables(StateDirectory(tmp_path / "state")).dispose()


def test_what_it_found_is_a_number_for_watchers(auditors: Callable[[], Auditor], tmp_path: Path) -> None:
    one, other = auditors(), auditors()
    begun(one, [digest(1), digest(2)])
    begun(other, [digest(1), digest(77)])
    site = tmp_path / "monitor.toml"
    listed = ", ".join(f'{{ url = "{url}" }}' for url in (one.url, other.url, "http://127.0.0.1:1"))
    site.write_text(f"[transparency.monitor]\nauditors = [{listed}]\n")
    words = ["serve", str(site), "--state", str(tmp_path / "state"), "--monitor", "127.0.0.1:0"]
    command = [sys.executable, "-m", "bartizan.cli", "transparency", "monitor", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = ""
            while "gives no answer" not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            address = re.findall(r"http://([0-9.:]+)/metrics", said)[0]
            end = time.monotonic() + PATIENCE_S
            while 'timestamp_seconds{process="monitor"} 0\n' in (text := scraped(address)):
                assert time.monotonic() < end, text
                time.sleep(0.05)
            process.terminate()
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
    assert f"<3>split_view: {LOG} epoch 2, auditor {other.url}: 2 digests" in said
    assert 'bartizan_transparency_findings{kind="split_view"} 1\n' in text
    assert 'bartizan_transparency_findings{kind="gone"} 0\n' in text
    assert 'bartizan_transparency_monitor_failures{process="monitor"} 1\n' in text


def scraped(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=PATIENCE_S) as answer:
        text: str = answer.read().decode()
    return text
