"""Real applications with forms, each run as its own page says, and what people do in them through a browser.

They are installed beside everything else, into `.cache/applications`, from `requirements/applications.txt`; the one of
`bartizan demo` is there anyway. Nothing that is typed here was chosen to please or to annoy a rule: it is what people
type into a tracker, a shop, a magazine and a page for questions to a database.
"""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proofs import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["SITE", "Application", "Step", "installed", "serving"]

SITE: Final = "https://shop.test"
"""Where the browser finds whichever application runs."""

_REQUIREMENTS: Final = ROOT / "requirements" / "applications.txt"
_PLACE: Final = ROOT / ".cache" / "applications"
_STARTS_S: Final = 120.0

Step = tuple[str, "Callable[[Page], None]"]
"""What somebody wants to have done, and how it is done."""


@dataclass(frozen=True)
class Application:
    """An application, how it is made in a folder of its own and served from there, and what people do in it."""

    name: str
    what: str
    make: Callable[[Path], None]
    serve: Callable[[Path], AbstractContextManager[str]]
    steps: tuple[Step, ...]


def installed() -> Path:
    """The folder of the programs of the environment with the applications, made where it is not there as wanted.

    Its programs begin with the path of its Python, so one that was moved, or made through a link, is made anew.
    """
    stamp = _PLACE / "installed.txt"
    wanted = f"# {_PLACE}\n{_REQUIREMENTS.read_text()}"
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(_PLACE)], check=True)
        install: list[str | Path] = [
            _PLACE / "bin" / "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--require-hashes",
        ]
        subprocess.run([*install, "--no-deps", "--requirement", _REQUIREMENTS], check=True)
        stamp.write_text(wanted)
    return _PLACE / "bin"


@contextmanager
def serving(
    command: list[str | Path], address: str, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Runs the server of an application while the block runs; gives its address. Raises AssertionError if it fails."""
    with (
        log.open("w") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env=environment, process_group=0) as process,
    ):
        try:
            end = time.monotonic() + _STARTS_S
            while not _answers(address):
                running = process.poll() is None and time.monotonic() < end
                assert running, f"{command}: {log.read_text()[-2000:]}"
                time.sleep(0.1)
            yield address
        finally:
            process.terminate()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=30):  # noqa: S310  our own address
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
