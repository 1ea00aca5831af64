"""An auditor's parts on every database that is supported, and a log with epochs whose proofs are real."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import URL
from tests.databases import postgresql, url

from bartizan._native import KeyDirectory
from bartizan.layout import StateDirectory
from bartizan.store.database import open_database
from bartizan.transparency import listener
from bartizan.transparency.api import Api
from bartizan.transparency.database import SCHEMA
from bartizan.transparency.epochs import Epochs
from bartizan.transparency.keys import Keys
from bartizan.transparency.models import Base
from bartizan.transparency.namespaces import Namespaces, NewNamespace
from bartizan.transparency.publishing import Publishing
from bartizan.transparency.reports import Reports

__all__ = ["postgresql", "url"]

LOG = "log.example"
PUBLISHER = "publisher.log.example"
ADMINISTRATOR = "ops.auditor.example"


class Parts(NamedTuple):
    """An auditor without its sockets and processes."""

    engine: Engine
    state: StateDirectory
    namespaces: Namespaces
    keys: Keys
    publishing: Publishing
    epochs: Epochs
    reports: Reports
    api: Api
    complaints: list[str]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is left for being slow where it is the machine that is."""
    monkeypatch.setattr(listener, "_REQUEST_S", 300.0)
    monkeypatch.setattr(listener, "_IDLE_S", 300.0)


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    directory = StateDirectory(tmp_path / "state")
    directory.create()
    directory.transparency.mkdir(mode=0o700)
    return directory


@pytest.fixture(scope="session")
def emptied(postgresql: URL) -> URL:
    """A database that is emptied before each test: a new one for each would be a thousand files a test."""
    import psycopg

    with psycopg.connect(postgresql.set(drivername="postgresql").render_as_string(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE transparency")
    return postgresql.set(database="transparency")


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Tables without a row, on each database that is supported."""
    sqlite = URL.create("sqlite", database=str(tmp_path / "tables.sqlite3"))
    opened = open_database(sqlite if request.param == "sqlite" else request.getfixturevalue("emptied"), SCHEMA)
    if request.param == "postgresql":
        with opened.begin() as connection:
            names = ", ".join(table.name for table in Base.metadata.sorted_tables)
            connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
    yield opened
    opened.dispose()


@pytest.fixture
def parts(engine: Engine, state: StateDirectory) -> Parts:
    """An auditor with a key, and no namespace."""
    namespaces, keys, complaints = Namespaces(engine), Keys(engine, state), list[str]()
    keys.provide()
    publishing = Publishing(engine, namespaces, keys)
    epochs, reports = Epochs(engine, namespaces), Reports(engine, namespaces, keys)
    api = Api(namespaces, publishing, epochs, reports, keys, [ADMINISTRATOR], complaints.append)
    return Parts(engine, state, namespaces, keys, publishing, epochs, reports, api, complaints)


@pytest.fixture
def audited(parts: Parts) -> Parts:
    """An auditor of one log, whose proofs are nowhere."""
    parts.namespaces.add(NewNamespace(name=LOG, ciphersuite=1, publishers=(PUBLISHER,)))
    return parts


def digest(number: int) -> str:
    """A digest that is nothing else's."""
    return f"{number:064x}"


class Log:
    """A log of keys with some epochs, and its proofs by their names."""

    def __init__(self, epochs: int) -> None:
        directory = KeyDirectory(bytes(range(32)))
        self.roots = {0: directory.epoch[1].hex()}
        self.proofs: dict[str, bytes] = {}
        for number in range(1, epochs + 1):
            updates = [(b"user %d" % (number * 10 + each), b"key %d" % number) for each in range(4)]
            epoch, root = directory.publish([*updates, (b"everybody", b"key %d" % number)])
            self.roots[epoch] = root.hex()
            name, proof = directory.audit(epoch)
            self.proofs[name] = proof

    def name(self, epoch: int) -> str:
        """What the proof of an epoch is called."""
        return f"{epoch}/{self.roots[epoch - 1]}/{self.roots[epoch]}"


class Served(NamedTuple):
    """Proofs behind HTTP. What `answers` gives for a name goes before them, and a URL of `redirects` before both.

    Nobody gets an answer before each of `before` has returned.
    """

    url: str
    asked: list[str]
    answers: dict[str, bytes]
    redirects: dict[str, str]
    before: list[Callable[[], object]]


class _Quiet(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that has read enough of an answer leaves."""


@pytest.fixture(scope="session")
def log() -> Log:
    return Log(6)


@pytest.fixture
def serve() -> Iterator[Callable[[Log], Served]]:
    """Serves the proofs of a log on a free port."""
    servers: list[http.server.ThreadingHTTPServer] = []
    threads: list[threading.Thread] = []

    def start(log: Log) -> Served:
        asked: list[str] = []
        answers: dict[str, bytes] = {}
        redirects: dict[str, str] = {}
        before: list[Callable[[], object]] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                name = self.path.removeprefix("/proofs/")
                asked.append(name)
                for each in before:
                    each()
                found = answers.get(name, log.proofs.get(name))
                self.send_response(302 if name in redirects else 404 if found is None else 200)
                self.send_header("Location", redirects.get(name, ""))
                self.send_header("Content-Length", str(len(found or b"")))
                self.end_headers()
                self.wfile.write(found or b"")

            def log_message(self, *_: object) -> None:
                pass

        server = _Quiet(("127.0.0.1", 0), Handler)
        servers.append(server)
        threads.append(threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}))
        threads[-1].start()
        return Served(f"http://127.0.0.1:{server.server_port}/proofs", asked, answers, redirects, before)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
    for thread in threads:
        thread.join()
