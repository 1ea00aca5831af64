"""The walkthrough of the guide to key transparency does what it says, as it is written but for its ports."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.ports import reserved_port

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "guide" / "transparency.md"
PORTS = ("9420", "9421", "9422", "9423", "9430", "9431")
PATIENCE_S = 500


def script() -> str:
    """What one pastes into a shell."""
    (section,) = re.findall(r"(?ms)^## From a directory to a split view that is caught$(.*?)^## ", PAGE.read_text())
    blocks = re.findall(r"(?ms)^```sh\n(.*?)^```$", section)
    text = "".join(blocks)
    ports = {port: str(reserved_port()) for port in PORTS}
    assert all(port in text for port in ports)
    # All at once: a port that is put in may hold the digits of another.
    text = re.sub("|".join(ports), lambda found: ports[found[0]], text)
    plexi = shutil.which("plexi", path=os.pathsep.join([os.environ.get("BARTIZAN_PLEXI", ""), os.environ["PATH"]]))
    return text.replace("\nplexi ", f"\n{plexi} " if plexi is not None else "\n: ")


@pytest.mark.timeout(600)
def test_the_walkthrough_leads_to_a_split_view_that_is_caught(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, words in (("bartizan", "-m bartizan.cli"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        (programs / name).chmod(0o755)
    shell = tmp_path / "shell"
    shell.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BARTIZAN_")}
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    # What it starts is ended with it, wherever it stops.
    text = "set -e -o pipefail\ntrap 'kill $(jobs -p) 2> /dev/null; wait' EXIT\n" + script()
    with subprocess.Popen(
        ["bash", "-c", text],
        cwd=shell,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, errors = process.communicate(timeout=PATIENCE_S)
        finally:
            # Where bash itself is stopped it ends nothing.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode in (0, 143), out + errors
    before, _, after = out.partition("0 findings are new")
    assert "2 statements were read, " in before
    assert re.search(
        r"split_view: log.example epoch 2, .*: 2 digests of the epoch were signed: \w{64}, \w{64}\n", after
    )
    assert "exit code 1\n" in after
    assert "verified to 2" in after
    assert after.count("\nkey2\n") == 1
    assert after.endswith("refused\n")
    assert "stolen" not in after.partition("exit code 1")[2]
    assert re.search(r"DirectoryAnswerRefused: .*a split view", errors)
