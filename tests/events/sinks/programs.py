"""Servers that sinks are tested with, as their makers publish them."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CACHE = Path(__file__).parents[3] / ".cache"
GO_MINOR = 21
"""From this version on Go fetches whatever newer version a module asks for; Debian 12 has 1.19."""

VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"


def versitygw() -> Path:
    """An S3 server, built by Go where it is not here yet; skips the test where there is no Go."""
    program = CACHE / "bin" / "versitygw"
    if program.exists():
        return program
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed, and it builds the S3 server; https://go.dev/dl has it")
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"go1\.(\d+)", said)
    if version is None or int(version[1]) < GO_MINOR:
        pytest.skip(f"the S3 server needs Go 1.{GO_MINOR} or newer, and {go} is older; https://go.dev/dl has it")
    environment = {**os.environ, "GOBIN": str(program.parent)}
    subprocess.run([go, "install", VERSITYGW], env=environment, check=True, capture_output=True, timeout=500)
    return program


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def listening(
    command: list[str], port: int, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that listens on a port, until the end of the block."""
    process = subprocess.Popen(
        command, env=os.environ | (environment or {}), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while not _accepts(port):
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{command[0]} does not listen"
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False
