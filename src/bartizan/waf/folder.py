"""Which files a folder of rules is, and in which order they are read.

A folder with a Core Rule Set is known by the file that begins its rules. People have it as its release archive lays it
out, as Debian installs it, or as Coraza's Go module carries it; any other folder is its `*.conf` files by their names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from bartizan.failure import Failure

_SETUP: Final = ("crs-setup.conf", "crs-setup.conf.example", "@crs-setup.conf.example")
_FIRST: Final = "REQUEST-901-INITIALIZATION.conf"
_RULES: Final = ("rules", "@owasp_crs", "rules/@owasp_crs")
_DEBIAN_RULES: Final = Path("/usr/share/modsecurity-crs/rules")
_DEBIAN_SETUP: Final = Path("/etc/modsecurity/crs/crs-setup.conf")


class Folder(msgspec.Struct, frozen=True):
    """The files of a rule set."""

    setup: list[Path]
    """What comes first: the setup of a Core Rule Set and of its plugins."""
    rules: list[Path]
    """What comes then."""
    is_crs: bool
    """Whether it is a Core Rule Set, which says nothing about the engine."""


def read(folder: Path) -> Folder:
    """The files of a rule set that lies in a folder. Raises Failure where there are none."""
    rules = next((place for place in (folder, *(folder / name for name in _RULES)) if (place / _FIRST).is_file()), None)
    if rules is not None:
        plugins = folder / "plugins"
        setup = _setup(folder, rules)
        return Folder(
            [*([setup] if setup else []), *_named(plugins, "*-config.conf"), *_named(plugins, "*-before.conf")],
            [*_named(rules, "*.conf"), *_named(plugins, "*-after.conf")],
            is_crs=True,
        )
    files = _named(folder, "*.conf")
    if not files:
        raise Failure(
            f"{folder}: there is neither a Core Rule Set ({_FIRST}, beside or below it) nor a *.conf file; give a rule "
            "file, or the folder that `bartizan crs list` shows"
        )
    return Folder([], files, is_crs=False)


def _setup(folder: Path, rules: Path) -> Path | None:
    candidates = [place / name for place in (folder, rules.parent, rules) for name in _SETUP]
    if rules.resolve() == _DEBIAN_RULES:
        candidates.insert(0, _DEBIAN_SETUP)
    return next((file for file in candidates if file.is_file()), None)


def _named(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern))
