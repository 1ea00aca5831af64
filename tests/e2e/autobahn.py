"""autobahntestsuite, the conformance tester of WebSocket (RFC 6455, RFC 7692), against servers behind the edge and not.

The tester judges the server, and the edge in between must not change the judgement of any case. It is a program for
Python 2.7, so it is installed beside everything else, into `.cache/autobahn`.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import pytest
from tests.e2e.conftest import zone
from tests.e2e.programs import REPOSITORY, alone, run
from tests.ports import reserved_port

_SITE = REPOSITORY / ".cache" / "autobahn"
_START = """
import site, sys
site.addsitedir(sys.argv[1])
del sys.argv[1]
from autobahntestsuite.wstest import run
run()
"""


class Verdict(NamedTuple):
    """What the tester says of one case: on the messages, on the closing, and the close code that it got."""

    behavior: str
    closing: str
    code: int | None


def verdicts(directory: Path, servers: dict[str, str], cases: Sequence[str]) -> dict[str, dict[str, Verdict]]:
    """Runs the cases (`7.*` for a group) against the servers (addresses by name): the verdicts by server and case."""
    specification = {
        "outdir": str(directory / "reports"),
        "servers": [{"agent": name, "url": address} for name, address in servers.items()],
        "cases": list(cases),
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    file = directory / "cases.json"
    file.write_text(json.dumps(specification))
    run(*tester(), "--mode", "fuzzingclient", "--spec", file, timeout_s=7200)
    index = json.loads((directory / "reports" / "index.json").read_text())
    return {
        server: {
            case: Verdict(said["behavior"], said["behaviorClose"], said["remoteCloseCode"])
            for case, said in judged.items()
        }
        for server, judged in index.items()
    }


def tester() -> list[str]:
    """The command that starts the tester, installed where it is not here yet; skips the test where it cannot be."""
    python = python2()
    if python is None:
        pytest.skip("there is no Python 2.7, which the WebSocket tester needs; pyenv install 2.7")
    with alone("autobahn"):
        if not (_SITE / "installed").exists():
            shutil.rmtree(_SITE, ignore_errors=True)
            requirements = REPOSITORY / "requirements" / "autobahn.txt"
            install = (python, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", _SITE)
            run(*install, "--requirement", requirements, timeout_s=300)
            (_SITE / "installed").touch()
    return [str(python), "-W", "ignore", "-c", _START, str(_SITE)]


def python2() -> Path | None:
    """A Python 2.7 with pip, of the system or of pyenv."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    known = [Path(found)] if (found := shutil.which("python2.7")) else []
    for python in (*known, *sorted(root.glob("versions/2.7*/bin/python2.7"))):
        if subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0:
            return python
    return None


class EchoServer:
    """The tester's own WebSocket server, which sends back what it gets, on a port of loopback; a context manager.

    It answers a message before it looks at the next frame. With a server that reads ahead it is chance whether the
    answer comes before the refusal of a bad frame behind it, and some verdicts hang on that.
    """

    def __init__(self) -> None:
        """Chooses a port."""
        self.port = reserved_port()
        self.address = f"ws://127.0.0.1:{self.port}"
        # It refuses a Host that does not name its own port.
        self.zone = zone(f"http://127.0.0.1:{self.port}", origin={"host_header": f"127.0.0.1:{self.port}"})

    def __enter__(self) -> EchoServer:
        """Starts it and waits until it listens."""
        command = [*tester(), "--mode", "testeeserver", "--wsuri", self.address]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while time.monotonic() < end and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                time.sleep(0.05)
            else:
                return self
        self._process.kill()
        raise AssertionError(f"the WebSocket server does not listen on port {self.port}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops it."""
        self._process.terminate()
        self._process.wait(60)
