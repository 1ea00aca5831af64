"""Plexi's own command line, unmodified, against our auditor and a log with real proofs, for both forms of signatures.

`cargo install --locked plexi` installs it; it needs Debian's protobuf-compiler.
"""

from __future__ import annotations

import http.client
import http.server
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy.engine import URL

from bartizan._native import KeyDirectory
from bartizan.config.transparency import Auditor as Settings
from bartizan.layout import StateDirectory
from bartizan.store.database import open_database
from bartizan.transparency.api import Api
from bartizan.transparency.database import SCHEMA
from bartizan.transparency.epochs import Epochs
from bartizan.transparency.keys import Keys
from bartizan.transparency.listener import Listener
from bartizan.transparency.namespaces import Namespaces, NewNamespace
from bartizan.transparency.publishing import Publishing
from bartizan.transparency.queue import Queue
from bartizan.transparency.reports import Reports
from bartizan.transparency.worker import Worker

LOG = "log.example"
EPOCHS = 3
PATIENCE_S = 300


class Audited(NamedTuple):
    """An auditor with a log whose epochs are all verified."""

    url: str
    signed: Callable[[int], str]
    public_key: str
    proofs: dict[str, bytes]
    roots: list[str]


@pytest.fixture(scope="session")
def plexi() -> str:
    found = shutil.which("plexi") or shutil.which("plexi", path=os.environ.get("BARTIZAN_PLEXI", ""))
    if found is None:
        pytest.skip("plexi is not installed; cargo install --locked plexi")
    return found


@pytest.fixture(params=[1, 2], ids=["protobuf", "bincode"])
def audited(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Audited]:
    directory = KeyDirectory(bytes(range(32)))
    roots = [directory.epoch[1].hex()]
    proofs: dict[str, bytes] = {}
    for number in range(1, EPOCHS + 1):
        directory.publish([(b"user %d" % each, b"key %d" % number) for each in range(8)])
        name, proof = directory.audit(number)
        roots.append(directory.epoch[1].hex())
        proofs[name] = proof
    with ExitStack() as stack:
        log = stack.enter_context(_serving(proofs))
        state = StateDirectory(tmp_path / "state")
        state.transparency.mkdir(parents=True)
        engine = open_database(URL.create("sqlite", database=str(tmp_path / "tables.sqlite3")), SCHEMA)
        stack.callback(engine.dispose)
        namespaces, keys = Namespaces(engine), Keys(engine, state)
        keys.provide()
        epochs, publishing = Epochs(engine, namespaces), Publishing(engine, namespaces, keys)
        api = Api(namespaces, publishing, epochs, Reports(engine, namespaces, keys), keys, [], pytest.fail)
        namespaces.add(NewNamespace(name=LOG, ciphersuite=request.param, log_directory=log))
        for epoch in range(1, EPOCHS + 1):
            publishing.publish(LOG, epoch, roots[epoch])
        queue, worker = Queue(engine, "test"), Worker(engine, Settings(), "test")
        while (claim := queue.claim()) is not None:
            worker.verify(claim, threading.Event())
        listener = stack.enter_context(Listener(["127.0.0.1:0"], [], None, api.answer, connections=64))
        address = listener.listening[0][0]

        def signed(epoch: int) -> str:
            connection = http.client.HTTPConnection(address, timeout=PATIENCE_S)
            connection.request("GET", f"/namespaces/{LOG}/audits/{epoch}")
            text = connection.getresponse().read().decode()
            connection.close()
            return text

        yield Audited(f"http://{address}", signed, keys.all()[0].public_key, proofs, roots)


class _serving:  # noqa: N801  used as a function is
    """A log's proofs at the root of a host, where Plexi's client asks for them."""

    def __init__(self, proofs: dict[str, bytes]) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = proofs.get(self.path.lstrip("/"))
                self.send_response(404 if found is None else 200)
                self.send_header("Content-Length", str(len(found or b"")))
                self.end_headers()
                self.wfile.write(found or b"")

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def said(*words: str) -> str:
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_it_lists_what_is_audited(plexi: str, audited: Audited) -> None:
    assert said(plexi, "ls", "--remote-url", audited.url).split() == [LOG]
    long = said(plexi, "ls", "--remote-url", audited.url, "--namespace", LOG, "--long")
    assert "Status     : Online" in long
    assert f"Root       : 1/{audited.roots[1]}" in long


@pytest.mark.parametrize("epoch", [None, 1, 2, EPOCHS])
def test_it_finds_signature_and_proof_good(plexi: str, audited: Audited, epoch: int | None) -> None:
    words = [plexi, "audit", "--remote-url", audited.url, "--namespace", LOG]
    words += [] if epoch is None else ["--epoch", str(epoch)]
    assert said(*words).split() == ["success"]
    long = said(*words, "--long")
    assert f"Epoch height          : {epoch or EPOCHS}" in long
    assert f"Epoch digest          : {audited.roots[epoch or EPOCHS]}" in long
    assert "Signature verification: success" in long
    assert "Proof verification    : success" in long


def test_it_finds_them_good_from_files(plexi: str, audited: Audited, tmp_path: Path) -> None:
    signature, proof = tmp_path / "signature.json", tmp_path / "proof"
    signature.write_text(audited.signed(2))
    proof.write_bytes(audited.proofs[f"2/{audited.roots[1]}/{audited.roots[2]}"])
    words = [plexi, "local-audit", "--verifying-key", audited.public_key, "--proof-path", str(proof), "--long"]
    long = said(*words, str(signature))
    assert "Signature verification: success" in long
    assert "Proof verification    : success" in long


def test_it_refuses_a_signature_that_was_altered(plexi: str, audited: Audited, tmp_path: Path) -> None:
    """That it says "success" above is worth what it says here."""
    altered = json.loads(audited.signed(2))
    altered["digest"] = audited.roots[3]
    signature = tmp_path / "signature.json"
    signature.write_text(json.dumps(altered))
    words = [plexi, "local-audit", "--verifying-key", audited.public_key, "--long"]
    assert "Signature verification: failed" in said(*words, str(signature))
