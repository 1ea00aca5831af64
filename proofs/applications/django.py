"""Sites of Django, each with settings of its own in `sites`: made in a folder, and served by gunicorn."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.ports import reserved_port

from proofs.applications import installed, serving

_SITES: Final = Path(__file__).parent / "sites"


def call(settings: str, folder: Path, *command: str) -> None:
    """Runs a module that does something to the site."""
    python: list[str | Path] = [installed() / "python", "-m", *command]
    done = subprocess.run(python, env=_environment(settings, folder), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@contextmanager
def serving_site(settings: str, folder: Path) -> Iterator[str]:
    """Serves the site while the block runs; its address."""
    port = reserved_port()
    options = ["--no-control-socket", "--bind", f"127.0.0.1:{port}", "--threads", "8"]
    command: list[str | Path] = [installed() / "gunicorn", *options, "django_site:application"]
    address = f"http://127.0.0.1:{port}"
    with serving(command, address, folder / "application.log", _environment(settings, folder)):
        yield address


def _environment(settings: str, folder: Path) -> dict[str, str]:
    """What the processes of a site are told: its settings, and the folder for what it keeps."""
    return {
        **os.environ,
        "PYTHONPATH": f"{_SITES}:{folder}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "DJANGO_SETTINGS_MODULE": settings,
        "APPLICATION_FOLDER": str(folder),
    }
