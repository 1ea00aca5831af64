"""`bartizan demo`: protect a sample application and show what happens."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from bartizan.certificates.development import ca_file
from bartizan.demo.application import application
from bartizan.demo.drive import Answer, send, stored
from bartizan.demo.report import QUESTION, show
from bartizan.demo.requests import SAMPLES
from bartizan.demo.site import FIRST_LINE, site_file
from bartizan.events.engine import MISSING, installed
from bartizan.failure import Failure
from bartizan.layout import SITE_FILE, StateDirectory

_STARTS_S: Final = 60.0
_STOPS_S: Final = 60.0
_PLAIN: Final = 8080
_TLS: Final = 8443


def demo(*, once: bool, state: Path | None) -> int:
    """Run the demo. 0: every verdict was as expected; 1: one was not."""
    if not installed():
        raise Failure(MISSING)
    console = Console()
    if not console.is_terminal:
        console.width = 120
    # SIGTERM ends it as Ctrl-C does: the processes behind are stopped in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _directory(state) as directory, application(directory) as origin:
        site = directory / SITE_FILE
        if site.exists() and not site.read_text(encoding="utf-8", errors="replace").startswith(FIRST_LINE):
            raise Failure(f"{site} is a site file of your own; name another directory with --state")
        site.write_text(site_file(str(site), origin, _address(_PLAIN), _address(_TLS)), encoding="utf-8")
        place = StateDirectory(directory / ".bartizan")
        with _up(site, place, console) as serving:
            answers = _drive(serving, place, console)
            console.print(f"\n{len(answers)} requests to {origin} through Bartizan, over TLS:\n")
            show(answers, console)
            _ask_the_store(place, console)
            as_expected = all(answer.as_expected for answer in answers)
            if not once:
                _stay(serving, origin, site, place, console)
    return 0 if as_expected else 1


@contextmanager
def _directory(state: Path | None) -> Iterator[Path]:
    if state is not None:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield state.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="bartizan-demo-") as directory:
        yield Path(directory)


def _address(port: int) -> str:
    """The loopback address with this port, or with one that the system chooses where it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return "127.0.0.1:0"
    return f"127.0.0.1:{port}"


@contextmanager
def _up(site: Path, state: StateDirectory, console: Console) -> Iterator[dict[str, Any]]:
    """`bartizan up` while the block runs; gives its event "serving"."""
    command = [sys.executable, "-m", "bartizan.cli", "up", str(site), "--state", str(state.path), "--json"]
    log = site.with_name("bartizan.log")
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output, process_group=0) as process:
        try:
            with console.status("starting Bartizan"):
                yield_value = _serving(process, log)
            yield yield_value
        finally:
            process.terminate()
            process.wait(_STOPS_S)


def _serving(process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    end = time.monotonic() + _STARTS_S
    while time.monotonic() < end:
        for line in log.read_text().splitlines():
            if line.startswith("{") and line.endswith("}"):
                event: dict[str, Any] = json.loads(line)
                if event.get("message") == "serving":
                    return event
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise Failure(f"`bartizan up` did not start; its last words:\n{log.read_text()[-2000:]}")


def _drive(serving: dict[str, Any], state: StateDirectory, console: Console) -> list[Answer]:
    host, _, port = next(at["address"] for at in serving["listening"] if at["tls"]).rpartition(":")
    answers = []
    with console.status("sending requests"):
        for sample in SAMPLES:
            try:
                answers.append(send(sample, (host, int(port)), ca_file(state)))
            except (OSError, http.client.HTTPException) as error:
                raise Failure(f"no answer to {sample.title!r} ({sample.target}): {error}") from error
    with console.status("waiting for the events"):
        return stored(answers, state)


def _ask_the_store(state: StateDirectory, console: Console) -> None:
    console.print(
        f'\nthe same from the event store:\n\n  bartizan query --state {state.path} \\\n    "{QUESTION}"\n',
        soft_wrap=True,
    )
    command = [sys.executable, "-m", "bartizan.cli", "query", QUESTION, "--state", str(state.path)]
    asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    console.print(asked.stdout or asked.stderr, markup=False, highlight=False, soft_wrap=True)


def _stay(serving: dict[str, Any], origin: str, site: Path, state: StateDirectory, console: Console) -> None:
    addresses = {at["tls"]: at["address"] for at in serving["listening"]}
    console.print(
        "Bartizan keeps running until Ctrl-C. Try it:\n\n"
        f"  https://{addresses[True]}   the application behind Bartizan (its CA: {ca_file(state)})\n"
        f"  http://{addresses[False]}   the same without TLS\n"
        f"  {origin}   the application itself, unprotected\n\n"
        f"  curl --cacert {ca_file(state)} 'https://{addresses[True]}/shop/products?id=1+union+select+1'\n"
        f"  bartizan tail --state {state.path}\n"
        f"  edit {site}, then: bartizan apply {site} --state {state.path}\n",
        soft_wrap=True,
        highlight=False,
    )
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        console.print("stopping")
