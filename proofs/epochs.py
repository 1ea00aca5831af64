"""`kill -9` of an auditor, of its workers, of the log or of all, in the middle of an epoch; one JSON line.

A log publishes epoch after epoch in a key directory of its own and has each signed, over TLS with a client
certificate; its proofs come slowly, so that workers are in the middle of them. The moment of a kill is by chance behind
the beginning of what is to be cut short: a request for a signature, the fetching of a proof, its last byte, a publish
in the directory. What was killed is started again and nothing is repaired; all trials happen to one installation. An
epoch that got no answer is asked for again, as a log does.

The judge is the log: every epoch is there once, signed as it was answered, with the root that was published; every one
is verified, and no verdict was written twice or changed; every label that was published has one version, and its proof.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import http.server
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from tests.databases import missing_postgresql, postgresql_server
from tests.transparency.auditors import auditor_site, publisher_context

from bartizan._native import AuditProof
from bartizan.control import ask
from bartizan.layout import StateDirectory
from bartizan.transparency.directory import Directory
from bartizan.transparency.statement import Statement
from proofs import ROOT, tell
from proofs._beside import Beside

DATABASES: Final = ("sqlite", "postgresql")
LOG: Final = "log.example"
PUBLISHER: Final = "publisher.log.example"

MOMENTS: Final = {
    "auditor": {"signing": 0.03, "fetching": 0.3, "fetched": 0.03},
    "workers": {"fetching": 0.3, "fetched": 0.03},
    "log": {"publishing": 0.03},
    "all": {"signing": 0.03, "fetching": 0.3, "fetched": 0.03, "publishing": 0.03},
}
"""What is killed, after the beginning of what, and within how many seconds of it."""

_CUT_SHORT: Final = ("signing", "publishing", "fetching")
"""What may be cut short."""

_MANY: Final = 20
"""Of so many trials, some are in the middle of each of these."""

_SLOWEST_S: Final = 0.3
"""A proof takes up to so long to come."""

_PIECES: Final = 8
_LABELS: Final = 2
_PATIENCE_S: Final = 900.0

_PUBLISHES: Final = """\
import json, sys
from pathlib import Path
from bartizan.layout import StateDirectory
from bartizan.transparency.directory import Directory

with Directory(StateDirectory(Path(sys.argv[1]))) as directory:
    print(flush=True)
    for line in sys.stdin:
        epoch, root = directory.publish([(label.encode(), value.encode()) for label, value in json.loads(line)]).root
        print(json.dumps([epoch, root.hex()]), flush=True)
"""


class Begun:
    """What begins, by its name: who waits for the next is told, and how many are not over yet."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._times: Counter[str] = Counter()
        self._open: Counter[str] = Counter()
        self._over = False

    @contextlib.contextmanager
    def within(self, what: str) -> Iterator[None]:
        """Begins, and is over with the block."""
        self.tell(what)
        with self._changed:
            self._open[what] += 1
        try:
            yield
        finally:
            with self._changed:
                self._open[what] -= 1

    def tell(self, what: str) -> None:
        """It has begun."""
        with self._changed:
            self._times[what] += 1
            self._changed.notify_all()

    def end(self) -> None:
        """Nothing begins any more."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def wait(self, what: str) -> bool:
        """Waits until it begins the next time; whether it did, and not all is over."""
        with self._changed:
            before = self._times[what]
            if not self._changed.wait_for(lambda: self._over or self._times[what] > before, _PATIENCE_S):
                raise AssertionError(f"waited {_PATIENCE_S:.0f} s for {what}")
            return not self._over

    def now(self) -> list[str]:
        """What is not over at this moment."""
        with self._changed:
            return [what for what, number in self._open.items() if number]


class Proofs:
    """A web server on the proofs of a directory, which are long in coming: each as long whenever it is asked for."""

    def __init__(self, proofs: Path, begun: Begun, seed: str) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                file = proofs / self.path.lstrip("/")
                found = file.read_bytes() if file.is_file() else None
                self.send_response(404 if found is None else 200)
                self.send_header("Content-Length", str(len(found or b"")))
                self.end_headers()
                if found is not None:
                    with begun.within("fetching"):
                        self._slowly(found)
                    begun.tell("fetched")

            def _slowly(self, content: bytes) -> None:
                chance = random.Random(f"{seed} {self.path.split('/')[1]}")
                pause_s = chance.uniform(0, _SLOWEST_S) / _PIECES
                size = -(-len(content) // _PIECES)
                for at in range(0, len(content), size):
                    time.sleep(pause_s)
                    self.wfile.write(content[at : at + size])

            def log_message(self, *_: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A worker that was killed reads no more."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()


class Published:
    """The key directory of the log, in a process of its own."""

    def __init__(self, state: Path, begun: Begun) -> None:
        self.state = StateDirectory(state)
        self.state.create()
        self._begun = begun
        self._child: subprocess.Popen[str] | None = None

    def publish(self, updates: list[tuple[str, str]]) -> tuple[int, str]:
        """Publishes an epoch, again where the process was killed meanwhile; its number and root."""
        while True:
            try:
                child = self._running()
                assert child.stdin is not None
                assert child.stdout is not None
                with self._begun.within("publishing"):
                    child.stdin.write(json.dumps(updates) + "\n")
                    child.stdin.flush()
                    line = child.stdout.readline()
                if line.endswith("\n"):
                    epoch, root = json.loads(line)
                    return epoch, root
            except BrokenPipeError:
                pass
            self.kill()

    def kill(self) -> None:
        """Kills it with SIGKILL."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def _running(self) -> subprocess.Popen[str]:
        if self._child is None or self._child.poll() is not None:
            words = [sys.executable, "-c", _PUBLISHES, str(self.state.path)]
            self._child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert self._child.stdout is not None
            if self._child.stdout.readline() != "\n" and self._child.wait() != -signal.SIGKILL:
                raise AssertionError("the directory does not open again")
        return self._child


class Auditor:
    """`bartizan transparency auditor serve` with two workers, its certificates, and who asks it."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.state = StateDirectory(directory / "auditor")
        self.log = directory / "log.txt"
        self._environment = {**os.environ, **environment}
        self._site, authority = auditor_site(directory, workers=2)
        self._context = publisher_context(authority, PUBLISHER)
        self._process: subprocess.Popen[bytes] | None = None
        self._address: str | None = None

    def begin(self, log_directory: str) -> None:
        """Adds the namespace of the log."""
        words = ["namespace", "add", LOG, "--publisher", PUBLISHER, "--log-directory", log_directory]
        command = [sys.executable, "-m", "bartizan.cli", "transparency", "auditor", *words]
        subprocess.run(
            [*command, "--state", str(self.state.path)], env=self._environment, check=True, stdout=subprocess.DEVNULL
        )

    def start(self) -> None:
        """Starts it unless it runs, and waits until it answers with all its workers."""
        if self._process is None or self._process.poll() is not None:
            self._address = None
            command = [sys.executable, "-m", "bartizan.cli", "transparency", "auditor", "serve", str(self._site)]
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [*command, "--state", str(self.state.path)], env=self._environment, stderr=log
                )
        found: list[dict[str, Any]] = []

        def answers() -> bool:
            status = self.status()
            found.extend([status] if status is not None else [])
            return bool(found) and len(self.workers()) == 2

        until(answers, "an auditor with its workers")
        self._address = found[-1]["listening"][0][0]

    def kill(self, what: str, chance: random.Random) -> None:
        """Kills it, one of its workers or both, with SIGKILL."""
        assert self._process is not None
        if what in ("auditor", "all"):
            self._process.kill()
            self._process.wait()
        else:
            chosen = sorted(self.workers())
            for pid in chosen if chance.random() < 0.5 else chosen[:1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Stops it in order."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(_PATIENCE_S)

    def workers(self) -> set[int]:
        """Its workers' process ids."""
        assert self._process is not None
        pids = set()
        for file in Path(f"/proc/{self._process.pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                pids |= {int(pid) for pid in file.read_text().split()}
        return pids

    def status(self) -> dict[str, Any] | None:
        """What it says of itself; None where it does not."""
        try:
            reply = ask(self.state.auditor_socket, {"command": "status"}, timeout_s=10)
        except (OSError, ValueError):
            return None
        return None if reply is None or not reply["ok"] else reply["status"]

    def asked(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """The status and what it answers. Raises OSError, HTTPException where it gives no answer."""
        if self._address is None:
            raise ConnectionRefusedError
        connection = http.client.HTTPSConnection(self._address, timeout=30, context=self._context)
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if answer.headers["Content-Type"] == "application/json" else None

    def answer(self, path: str) -> Any:
        """What it answers, when it does: a machine that is busy with others is no finding."""
        found: list[tuple[int, Any]] = []

        def answered() -> bool:
            with contextlib.suppress(OSError, http.client.HTTPException):
                found.append(self.asked("GET", path))
            return bool(found)

        until(answered, f"an answer to {path}")
        status, content = found[0]
        if status != 200:
            raise AssertionError(f"{path} is answered with {status}: {content}")
        return content

    def history(self) -> list[dict[str, Any]]:
        """Every epoch with the state of its proof, the newest first."""
        epochs: list[dict[str, Any]] = []
        while True:
            before = f"&before={epochs[-1]['epoch']}" if epochs else ""
            page = self.answer(f"/namespaces/{LOG}/history?limit=1000{before}")
            if not page["epochs"]:
                return epochs
            epochs += page["epochs"]


class Publisher(Beside):
    """Publishes epoch after epoch, and has each signed, whatever dies meanwhile."""

    def __init__(self, published: Published, auditor: Auditor, begun: Begun) -> None:
        self.roots: dict[int, str] = {}
        self.labels: list[str] = []
        self.answered: dict[int, Any] = {}
        """The statements, as they were first read."""
        self.asked_again = 0
        self.wrong: list[str] = []
        self._published = published
        self._auditor = auditor
        self._begun = begun
        super().__init__(self._run)

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                self._next()
        except Exception as error:
            self.wrong.append(f"the log stopped: {error!r}")
            self._begun.end()
            raise

    def _next(self) -> None:
        labels = [f"user {len(self.labels) + number}" for number in range(_LABELS)]
        epoch, root = self._published.publish([(label, "a key") for label in labels])
        if epoch != len(self.roots) + 1:
            self.wrong.append(f"epoch {epoch} was published after {len(self.roots)}")
        self.labels += labels
        self.roots[epoch] = root
        self._sign(epoch, root)

    def _sign(self, epoch: int, root: str) -> None:
        path = f"/namespaces/{LOG}/audits"
        while True:
            try:
                with self._begun.within("signing"):
                    status, statement = self._auditor.asked("POST", path, {"epoch": epoch, "digest": root})
                if status == 409:
                    # The answer to an earlier request was cut off.
                    self.asked_again += 1
                    status, statement = self._auditor.asked("GET", f"{path}/{epoch}")
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
                continue
            if status not in (200, 201):
                self.wrong.append(f"epoch {epoch} is answered with {status}")
            else:
                self.answered[epoch] = statement
            return


class Verdicts(Beside):
    """Looks again and again at what is verified, and notes each verdict as it was first seen."""

    def __init__(self, auditor: Auditor) -> None:
        self.first: dict[int, tuple[object, ...]] = {}
        self.changed: set[int] = set()
        self.wrong: list[str] = []
        self._auditor = auditor
        super().__init__(self._run)

    def look(self) -> None:
        """Compares all verdicts with what they were."""
        for epoch in self._auditor.history():
            if epoch["judged"] is not None:
                found = tuple(epoch[part] for part in ("proof", "digest", "judged", "took_ms", "inserted"))
                if self.first.setdefault(epoch["epoch"], found) != found:
                    self.changed.add(epoch["epoch"])

    def _run(self) -> None:
        try:
            while not self._over.wait(0.5):
                self.look()
        except Exception as error:
            self.wrong.append(f"nobody looks at verdicts any more: {error!r}")
            raise


def trials(database: str, count: int, seed: int) -> dict[str, Any]:
    """Runs the trials on one installation, and judges it."""
    chance = random.Random(f"{database} {seed}")
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bartizan-epochs-")))
        environment = {"BARTIZAN_STORE_URL": ""}
        if database == "postgresql":
            environment["BARTIZAN_STORE_URL"] = stack.enter_context(postgresql_server()).render_as_string()
        begun = Begun()
        published = Published(directory / "log", begun)
        stack.callback(published.kill)
        proofs = Proofs(published.state.transparency / "directory" / "proofs", begun, f"{database} {seed}")
        stack.callback(proofs.close)
        auditor = Auditor(directory, environment)
        stack.callback(auditor.stop)
        auditor.begin(proofs.url)
        auditor.start()
        publisher, verdicts = Publisher(published, auditor, begun), Verdicts(auditor)
        cut: Counter[str] = Counter()
        kills: Counter[str] = Counter()
        for trial in range(count):
            target = tuple(MOMENTS)[trial % len(MOMENTS)]
            moment = chance.choice(sorted(MOMENTS[target]))
            if not begun.wait(moment):
                break
            time.sleep(chance.uniform(0, MOMENTS[target][moment]))
            cut.update(begun.now())
            if target in ("log", "all"):
                published.kill()
            if target != "log":
                auditor.kill(target, chance)
            kills[target] += 1
            auditor.start()
            if publisher.wrong or verdicts.wrong:
                break
            sys.stderr.write(f"{database} {trial + 1}/{count}: {target}, {moment}, {len(publisher.answered)} epochs\n")
        publisher.stop()
        if not publisher.wrong:
            until(lambda: all_judged(auditor, len(publisher.roots)), "a verdict on every epoch")
        verdicts.stop()
        verdicts.look()
        judged = judge(auditor, publisher, verdicts)
        auditor.stop()
        published.kill()
        judged.update(judge_directory(published.state, publisher))
    return {"kills": dict(kills), "in_the_middle": dict(cut), **judged}


def all_judged(auditor: Auditor, epochs: int) -> bool:
    """Whether every epoch up to that one has a verdict."""
    status = auditor.status()
    return status is not None and status["namespaces"][0]["verified_to"] == epochs


def judge(auditor: Auditor, publisher: Publisher, verdicts: Verdicts) -> dict[str, Any]:
    """What became of the epochs at the auditor."""
    history = auditor.history()
    numbers = Counter(epoch["epoch"] for epoch in history)
    states = Counter(epoch["proof"] for epoch in history)
    keys = [key["public_key"] for key in auditor.answer("/info")["keys"]]
    changed = unsigned = 0
    for epoch, statement in publisher.answered.items():
        now = auditor.answer(f"/namespaces/{LOG}/audits/{epoch}")
        changed += now != statement or now["digest"] != publisher.roots[epoch]
        signed = Statement(**{part: now[part] for part in Statement.__struct_fields__})
        unsigned += all(signed.refusal(key) is not None for key in keys)
    said = Counter(re.findall(r"epoch (\d+): verified", auditor.log.read_text()))
    return {
        "epochs": len(publisher.roots),
        "answered_twice_asked": publisher.asked_again,
        "missing": len(publisher.roots.keys() - numbers.keys()),
        "doubled": sum(number > 1 for number in numbers.values()) + len(numbers.keys() - publisher.roots.keys()),
        "signed_otherwise_than_answered": changed,
        "signature_not_good": unsigned,
        "with_another_digest": sum(epoch["digest"] != publisher.roots.get(epoch["epoch"]) for epoch in history),
        "not_verified": len(publisher.roots) - states["verified"] - states["root"] + abs(states["root"] - 1),
        "verdicts_written_twice": sum(number > 1 for number in said.values()),
        "verdicts_changed": len(verdicts.changed),
        "wrong": publisher.wrong + verdicts.wrong,
    }


def in_the_middle(cut: dict[str, int], trials: int) -> bool:
    """Whether the kills were in the middle of something; where there were many, of everything that can be cut short."""
    return all(cut.get(what, 0) for what in _CUT_SHORT) if trials >= _MANY else any(cut.values())


def judge_directory(state: StateDirectory, publisher: Publisher) -> dict[str, int]:
    """What became of the epochs in the directory of the log."""
    with Directory(state) as directory:
        newest, _ = directory.root()
        lines = (state.transparency / "directory" / "journal.ndjson").read_bytes().splitlines()
        unproved = 0
        before = {1: "", **{epoch + 1: root for epoch, root in publisher.roots.items()}}
        for epoch, root in publisher.roots.items():
            (file,) = (directory.proofs / str(epoch)).glob(f"*/{root}")
            try:
                start = before[epoch] or file.parent.name
                AuditProof.decode(file.read_bytes()).verify(epoch, bytes.fromhex(start), bytes.fromhex(root))
            except ValueError:
                unproved += 1
        versions = sum(_versions(directory, label) != 1 for label in publisher.labels)
    return {
        "epochs_of_the_directory_too_many_or_few": abs(newest - len(publisher.roots)) + abs(newest - len(lines)),
        "proofs_that_do_not_prove": unproved,
        "labels_without_their_one_version": versions,
    }


def _versions(directory: Directory, label: str) -> int:
    from bartizan._native import verify_history

    found = directory.history(label.encode())
    return len(verify_history(directory.public_key, found.epoch, found.root, label.encode(), found.proof))


def until(holds: Callable[[], bool], what: str) -> None:
    """Waits until it holds."""
    end = time.monotonic() + _PATIENCE_S
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"waited {_PATIENCE_S:.0f} s for {what}")
        time.sleep(0.05)


def main() -> int:
    """Run the trials and judge. Returns 1 where anything is lost, doubled or changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=DATABASES, action="append", help="where its tables are (default: both)")
    parser.add_argument("--trials", type=int, default=100, help="kills on each database (default: 100)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments and of how long proofs take (default: 1)")
    arguments = parser.parse_args()
    databases: list[str] = arguments.database or list(DATABASES)
    why = missing_postgresql() if "postgresql" in databases else None
    if why is not None:
        sys.stderr.write(f"{why}\n")
        return 2
    os.chdir(ROOT)
    started = time.monotonic()
    found = {database: trials(database, arguments.trials, arguments.seed) for database in databases}
    told = {"kills", "in_the_middle", "epochs", "answered_twice_asked"}
    passed = all(not value for each in found.values() for name, value in each.items() if name not in told)
    passed = passed and all(each["epochs"] > arguments.trials / 2 for each in found.values())
    passed = passed and all(in_the_middle(each["in_the_middle"], arguments.trials) for each in found.values())
    seconds = round(time.monotonic() - started)
    tell({"proof": "epochs", "trials": arguments.trials, **found, "seconds": seconds, "passed": passed})
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
