"""The Core Rule Set 4.25.0 with its regression tests, as a Go module, which Go checks against its checksum database."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from bartizan.failure import Failure

REPOSITORY: Final = Path(__file__).parents[2]
MODULE: Final = "github.com/corazawaf/coraza-coreruleset/v4@v4.25.0"


def missing_go() -> str | None:
    """Why the module cannot be fetched; None where it can, for tests to skip where there is no Go."""
    if shutil.which("go") is None:
        return "go is not installed, and it fetches the Core Rule Set with its tests; https://go.dev/dl has it"
    return None


def fetched() -> Path:
    """The folder of the module, fetched by Go where it is not here yet. Raises Failure."""
    why = missing_go()
    if why is not None:
        raise Failure(why)
    done = subprocess.run(
        ["go", "mod", "download", "-json", MODULE],
        env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    if done.returncode != 0:
        raise Failure(f"go does not fetch {MODULE}: {(done.stderr or done.stdout).strip()[:500]}")
    return Path(json.loads(done.stdout)["Dir"])


def module() -> Path:
    """The same; skips the test where there is no Go."""
    why = missing_go()
    if why is not None:
        pytest.skip(why)
    return fetched()
