"""Long runs that prove what the tests, which take seconds, cannot; each ends with a line for docs/measurements.md."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent

_PROVED: Final = ("crates", "src", "proofs", "Cargo.lock")
"""What a figure depends on."""


def tell(figure: Mapping[str, Any]) -> None:
    """Prints what a proof found, its command, and the commit, with a plus sign where what ran differs from it."""
    command = " ".join(["python -m", f"proofs.{Path(sys.argv[0]).stem}", *sys.argv[1:]])
    sys.stdout.write(json.dumps({**figure, "command": command, "commit": _commit()}) + "\n")


def _commit() -> str:
    head = ["git", "rev-parse", "--short", "HEAD"]
    revision = subprocess.run(head, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    changes = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", *_PROVED], cwd=ROOT, check=False)
    return revision + ("+" if changes.returncode else "")
