"""The Core Rule Set 4.25.0 with its regression tests, as a Go module, which Go checks against its checksum database."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

REPOSITORY: Final = Path(__file__).parents[2]
MODULE: Final = "github.com/corazawaf/coraza-coreruleset/v4@v4.25.0"


def module() -> Path:
    """The folder of the module, fetched by Go where it is not here yet; skips the test where there is no Go."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed, and it fetches the Core Rule Set with its tests; https://go.dev/dl has it")
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw"}
    done = subprocess.run(
        [go, "mod", "download", "-json", MODULE],
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        timeout=280,
        check=True,
    )
    return Path(json.loads(done.stdout)["Dir"])
