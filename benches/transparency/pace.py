"""Whether an auditor on one core keeps up with WhatsApp's directory, from the log's files to the verdict, as JSON.

    python -m benches.transparency.pace
    python -m benches.transparency.pace --elements 1000000 --epochs 3

Epochs that follow one another are made before, by default with proofs of as many bytes as the largest that anybody has
told of (291.6 MB: facebook/akd, pull request 470). A log serves them as files and has each signed by an auditor that is
the real one, `bartizan transparency auditor serve` with one worker, both held to one core; log and publisher have the
other. Every epoch is published as soon as the one before has its verdict; its seconds are from the request for its
signature to the moment in which `last-verified-epoch` has it. The run ends with 1 where an epoch takes longer than
there are between two of WhatsApp's.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benches.transparency.__main__ import PACE_S, build
from tests.ports import reserved_port
from tests.transparency.auditors import auditor_site, publisher_context

from bartizan.control import ask
from bartizan.layout import StateDirectory

LOG: Final = "log.example"
PUBLISHER: Final = "publisher.log.example"
ELEMENTS: Final = 5_000_000
"""Whose proofs have some 291.6 MB in the middle of five epochs."""

_PATIENCE_S: Final = 600.0
_LOOK_S: Final = 0.25


class Auditor:
    """The auditor on its core, and who asks it from the other."""

    def __init__(self, directory: Path) -> None:
        self._state = StateDirectory(directory / "auditor")
        self._site, authority = auditor_site(directory, workers=1)
        self._context = publisher_context(authority, PUBLISHER)

    @contextlib.contextmanager
    def running(self) -> Iterator[int]:
        """Its process id, while it runs."""
        words = ["serve", str(self._site), "--state", str(self._state.path)]
        with subprocess.Popen(["taskset", "-c", "0", *_command(words)], stderr=subprocess.DEVNULL) as process:
            try:
                self._address = self._listening()
                yield process.pid
            finally:
                process.terminate()

    def add(self, log_directory: str) -> None:
        """Adds the log."""
        words = ["namespace", "add", LOG, "--publisher", PUBLISHER, "--log-directory", log_directory]
        subprocess.run(_command([*words, "--state", str(self._state.path)]), check=True, stdout=subprocess.DEVNULL)

    def request(self, method: str, path: str, body: object = None) -> Any:
        """What it answers. Raises RuntimeError where it refuses."""
        connection = http.client.HTTPSConnection(self._address, timeout=_PATIENCE_S, context=self._context)
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            content = answer.read()
            if answer.status not in (200, 201):
                raise RuntimeError(content.decode())
            return json.loads(content)

    def _listening(self) -> str:
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            with contextlib.suppress(OSError, ValueError):
                reply = ask(self._state.auditor_socket, {"command": "status"})
                if reply is not None and reply["ok"] and reply["status"]["workers"] == 1:
                    return str(reply["status"]["listening"][0][0])
            time.sleep(_LOOK_S)
        raise RuntimeError("the auditor does not start")


def main() -> int:
    """Make epochs, have them audited, print. Returns 1 where one took too long, 2 where nothing could be run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--elements", type=int, default=ELEMENTS, help="of a proof, in the middle (default: 5 million)")
    parser.add_argument("--epochs", type=int, default=5, help="that follow one another (default: 5)")
    arguments = parser.parse_args()
    program = build()
    if program is None:
        return 2
    with tempfile.TemporaryDirectory(prefix="bartizan-pace-") as made:
        directory = Path(made)
        epochs = _audited(program, directory, arguments.elements, arguments.epochs)
    slowest = max(epoch["seconds"] for epoch in epochs["epochs"])
    figure = {
        "figure": "epochs of WhatsApp's pace, from directory to verdict on one core",
        **epochs,
        "slowest_s": slowest,
        "pace_s": PACE_S,
        "of_the_pace": round(slowest / PACE_S, 3),
        "kept_up": slowest < PACE_S,
    }
    sys.stdout.write(json.dumps(figure) + "\n")
    return 0 if figure["kept_up"] else 1


def _audited(program: Path, directory: Path, elements: int, count: int) -> dict[str, Any]:
    proofs = directory / "proofs"
    words = [str(program), "chain", str(count), str(elements), str(proofs)]
    made = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
    first, digests = made["first"] - 1, made["digests"]
    port = reserved_port()
    serving = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(proofs)]
    auditor = Auditor(directory)
    nowhere = subprocess.DEVNULL
    with subprocess.Popen(["taskset", "-c", "1", *serving], stdout=nowhere, stderr=nowhere) as log:
        os.sched_setaffinity(0, {1})
        try:
            auditor.add(f"http://127.0.0.1:{port}")
            with auditor.running() as pid:
                epochs = [_verdict(auditor, first + number, digest) for number, digest in enumerate(digests)]
                history = auditor.request("GET", f"/namespaces/{LOG}/history")["epochs"]
                peak_mib = max(_peak_mib(worker) for worker in _children(pid))
        finally:
            log.terminate()
    told = {epoch["epoch"]: epoch for epoch in history}
    return {
        "epochs": [
            {
                "bytes": told[epoch]["proof_bytes"],
                "inserted": told[epoch]["inserted"],
                "unchanged": told[epoch]["unchanged"],
                "seconds": round(seconds, 2),
                "worker_s": told[epoch]["took_ms"] / 1000,
            }
            for epoch, seconds in epochs[1:]
        ],
        "mean_bytes": sum(told[epoch]["proof_bytes"] for epoch, _ in epochs[1:]) // count,
        "worker_peak_mib": round(peak_mib),
    }


def _verdict(auditor: Auditor, epoch: int, digest: str) -> tuple[int, float]:
    """Has an epoch signed, and waits until it is verified; the epoch and the seconds. Raises RuntimeError if not."""
    began = time.monotonic()
    auditor.request("POST", f"/namespaces/{LOG}/audits", {"epoch": epoch, "digest": digest})
    while time.monotonic() < began + _PATIENCE_S:
        if auditor.request("GET", f"/namespaces/{LOG}/last-verified-epoch")["epoch"] == epoch:
            return epoch, time.monotonic() - began
        newest = auditor.request("GET", f"/namespaces/{LOG}/history?limit=1")["epochs"][0]
        if newest["proof"] == "refused":
            raise RuntimeError(newest["problem"])
        time.sleep(_LOOK_S)
    raise RuntimeError(f"epoch {epoch} has no verdict after {_PATIENCE_S:.0f} s")


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) / 1024


def _command(words: list[str]) -> list[str]:
    return [sys.executable, "-m", "bartizan.cli", "transparency", "auditor", *words]


if __name__ == "__main__":
    sys.exit(main())
