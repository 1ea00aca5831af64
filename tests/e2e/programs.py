"""Client programs as a person would run them: curl, openssl, h2load, wrk, h2spec."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
BINARIES = REPOSITORY / ".cache" / "bin"
GO_MINOR = 21
"""From this version on Go fetches whatever newer version a module asks for; Debian 12 has 1.19."""

H2SPEC = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"


def run(
    *command: str | Path, stdin: bytes = b"", timeout_s: float = 60, check: bool = True
) -> subprocess.CompletedProcess[bytes]:
    """Runs a program to its end; fails with all that it said where it fails and `check` is set."""
    done = subprocess.run(
        [str(part) for part in command], input=stdin, capture_output=True, timeout=timeout_s, check=False
    )
    if check and done.returncode != 0:
        raise AssertionError(
            f"{command[0]} ended with {done.returncode}\n{done.stdout.decode(errors='replace')[-4000:]}\n"
            f"{done.stderr.decode(errors='replace')[-4000:]}"
        )
    return done


@contextmanager
def alone(what: str) -> Iterator[None]:
    """Holds up whoever else, in another process, would make the same thing below `.cache` until it is there."""
    BINARIES.mkdir(parents=True, exist_ok=True)
    with (BINARIES / f"{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def h2spec() -> Path:
    """The HTTP/2 conformance tester, built by Go where it is not here yet; skips the test where there is no Go."""
    with alone("h2spec"):
        return _h2spec()


def _h2spec() -> Path:
    found = shutil.which("h2spec", path=f"{BINARIES}:{os.environ.get('PATH', '')}")
    if found is not None:
        return Path(found)
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed, and it builds the HTTP/2 tester; https://go.dev/dl has it")
    version = re.search(rb"go1\.(\d+)", run(go, "version").stdout)
    if version is None or int(version.group(1)) < GO_MINOR:
        pytest.skip(f"the HTTP/2 tester needs Go 1.{GO_MINOR} or newer, and {go} is older; https://go.dev/dl has it")
    environment = {**os.environ, "GOBIN": str(BINARIES)}
    subprocess.run([go, "install", H2SPEC], env=environment, check=True, capture_output=True, timeout=280)
    return BINARIES / "h2spec"
