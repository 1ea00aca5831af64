"""The edge as it is run: a process of its own, whose memory can be read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from tests.e2e.conftest import Document

from bartizan.layout import StateDirectory


class EdgeProcess:
    """`python -m bartizan.edge` with a policy; a context manager. `port` and `tls_port` are set once it serves.

    `said` is its log, whole once it has stopped.
    """

    def __init__(self, state: StateDirectory, document: Document) -> None:
        """Writes the policy into the state directory."""
        state.create()
        state.current_policy.write_text(json.dumps(document))
        self.state = state
        self.port = 0
        self.tls_port = 0
        self.said = ""

    def __enter__(self) -> EdgeProcess:
        """Starts it and waits until it says where it listens."""
        command = [sys.executable, "-m", "bartizan.edge", "--state", str(self.state.path)]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.said += line
            if addresses := re.findall(r"(https?)://[\d.]+:(\d+)", line):
                ports = {scheme: int(port) for scheme, port in addresses}
                self.port, self.tls_port = ports.get("http", 0), ports.get("https", 0)
                return self
        raise AssertionError(f"the edge did not start: {self.said}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops it."""
        self._process.terminate()
        try:
            self.said += self._process.communicate(timeout=60)[1]
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.said += self._process.communicate()[1]

    def peak_bytes(self) -> int:
        """The most memory that was resident since the last `forget_peak`."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found.group(1)) * 1024

    def forget_peak(self) -> None:
        """Lets the peak start again from what is resident now (proc(5), `clear_refs`)."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")


def document(zone: Document, spool: Path, **edge: object) -> Document:
    """A policy document with one zone, for an edge that listens with TLS and without."""
    listeners = [{"address": "127.0.0.1:0", "tls": True}, {"address": "127.0.0.1:0"}]
    settings = {"listen": listeners, "threads": min(2, os.cpu_count() or 1), "spool": {"dir": str(spool)}, **edge}
    return {"format": 1, "version": 1, "edge": settings, "zones": [zone]}
