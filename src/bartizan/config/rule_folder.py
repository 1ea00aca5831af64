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
_DEBIAN: Final = "modsecurity-crs"
"""Debian has the rules in usr/share/modsecurity-crs, and what people edit in etc/modsecurity/crs."""


_REPUTATION: Final = "REQUEST-910-IP-REPUTATION.conf"
"""Of version 3 alone."""

_NO_REPUTATION: Final = (
    "left out: its rules ask a database of places and the DNS for each request; use ip.src.country and lists in the "
    "rules of the edge"
)


class Folder(msgspec.Struct, frozen=True):
    """The files of a rule set."""

    setup: list[Path]
    """What comes first: the setup of a Core Rule Set and of its plugins."""
    rules: list[Path]
    """What comes then."""
    is_crs: bool
    """Whether it is a Core Rule Set, which says nothing about the engine."""
    left_out: list[tuple[Path, str]] = []
    """Files that are not read, and why."""


def read(folder: Path) -> Folder:
    """The files of a rule set that lies in a folder. Raises Failure where there are none."""
    rules = next((place for place in (folder, *(folder / name for name in _RULES)) if (place / _FIRST).is_file()), None)
    if rules is not None:
        plugins = folder / "plugins"
        edited = _edited(rules)
        setup = _setup(folder, rules, edited)
        files = _rules(rules, edited)
        return Folder(
            [*([setup] if setup else []), *_named(plugins, "*-config.conf"), *_named(plugins, "*-before.conf")],
            [*(file for file in files if file.name != _REPUTATION), *_named(plugins, "*-after.conf")],
            is_crs=True,
            left_out=[(file, _NO_REPUTATION) for file in files if file.name == _REPUTATION],
        )
    files = _named(folder, "*.conf")
    if not files:
        raise Failure(
            f"{folder}: there is neither a Core Rule Set ({_FIRST}, beside or below it) nor a *.conf file; give a rule "
            "file, or the folder that `bartizan crs list` shows"
        )
    return Folder([], files, is_crs=False)


def _edited(rules: Path) -> Path | None:
    """Where Debian has the files of a rule set that people edit."""
    if rules.parent.name != _DEBIAN:
        return None
    return rules.absolute().parents[3] / "etc" / "modsecurity" / "crs"


def _setup(folder: Path, rules: Path, edited: Path | None) -> Path | None:
    places = [folder, rules.parent, rules] if edited is None else [edited, folder]
    candidates = [place / name for place in places for name in _SETUP]
    return next((file for file in candidates if file.is_file()), None)


def _rules(rules: Path, edited: Path | None) -> list[Path]:
    files = _named(rules, "*.conf")
    if edited is not None:
        files += [file for file in _named(edited, "RE*.conf") if file.name not in {each.name for each in files}]
    return sorted((file for file in files if file.name not in _SETUP), key=lambda file: file.name)


def _named(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern))
