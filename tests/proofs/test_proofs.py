"""Every long run works, for seconds: `make prove NAME=...` runs it for as long as it takes to prove something."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.autobahn import python2

REPOSITORY = Path(__file__).parents[2]

SHORT: dict[str, list[str]] = {
    "ambiguity": ["--only", "responses"],
    "autobahn": ["--cases", "1.*"],
    "browser": ["--mib", "2"],
    "fuzz": ["http1_request", "5"],
    "h2spec": ["--times", "1"],
    "reload": ["--reloads", "2", "--upgrades", "1", "--clients", "2"],
    "rules": ["--pairs", "5000", "--printed", "500"],
}
"""The arguments with which each proof is over in seconds."""


def test_every_proof_is_run_here() -> None:
    assert {proof.stem for proof in (REPOSITORY / "proofs").glob("*.py")} == set(SHORT)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", sorted(SHORT))
def test_a_short_run_prints_one_line(name: str) -> None:
    if name == "fuzz" and not has_cargo_fuzz():
        pytest.skip("cargo fuzz or the nightly toolchain is not installed; cargo install cargo-fuzz")
    if name == "autobahn":
        from tests.e2e.autobahn import tester

        tester()
    if name == "h2spec" and shutil.which("go") is None:
        pytest.skip("go is not installed, and it builds the HTTP/2 tester")
    if name == "autobahn" and python2() is None:
        pytest.skip("there is no Python 2.7, which the WebSocket tester needs; pyenv install 2.7")
    command = [sys.executable, f"proofs/{name}.py", *SHORT[name]]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=590)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (line,) = ended.stdout.splitlines()
    assert isinstance(json.loads(line), dict)


def has_cargo_fuzz() -> bool:
    """Whether nightly `cargo fuzz` can be run."""
    if shutil.which("cargo-fuzz") is None:
        return False
    asked = subprocess.run(["cargo", "+nightly", "--version"], capture_output=True, check=False, timeout=60)
    return asked.returncode == 0


def test_a_fuzz_run_that_did_not_run_is_no_proof() -> None:
    clean = runpy.run_path(str(REPOSITORY / "proofs" / "fuzz.py"))["clean"]
    runs = [(0, 1000, 0), (0, None, 0), (0, 0, 0), (127, 1000, 0), (0, 1000, 1)]
    assert [clean(*run) for run in runs] == [True, False, False, False, False]
