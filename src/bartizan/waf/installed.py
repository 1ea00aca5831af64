"""Core Rule Sets in the state directory: installed whole or not at all, one folder for each version.

What is installed was unpacked beside its place, loaded once by the engine, and then renamed into it.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from bartizan.config import rule_folder
from bartizan.config.rule_sets import is_version, order, versions
from bartizan.durable import sync_directory
from bartizan.failure import Failure
from bartizan.waf import releases
from bartizan.waf.ruleset import RuleSet

_Fill = Callable[[Path], object]
"""Puts the files of a rule set into a folder."""

_IN_RULES: Final = re.compile(r"ver:'OWASP_CRS/(\d+\.\d+\.\d+(?:[-.]\w+)*)'")


class Installed(msgspec.Struct, frozen=True):
    """A rule set in the state directory."""

    version: str
    path: str
    rules: int


def listed(directory: Path) -> list[Installed]:
    """The rule sets that are installed in a directory, oldest version first."""
    return [_described(path) for path in versions(directory)]


def install_release(
    directory: Path, version: str | None, publisher: releases.Publisher, sha256: str | None = None
) -> Installed:
    """Installs a version, or the newest, as its project publishes it. Raises Failure, and then nothing is changed."""
    release = publisher.newest() if version is None else publisher.release(version)
    _is_free(directory, release.version)
    content = publisher.archive(release, sha256)
    return _install(
        directory, release.tag_name, release.version, lambda new: releases.unpack(content, release.tag_name, new)
    )


def install_file(directory: Path, file: Path, sha256: str | None = None) -> Installed:
    """Installs an archive that is here. Raises Failure, and then nothing is changed."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from error
    if sha256 is not None:
        releases.check_sum(content, sha256, file.name)
    return _install(directory, str(file), None, lambda new: releases.unpack(content, file.name, new))


def install_folder(directory: Path, source: Path) -> Installed:
    """Installs a copy of a folder. Raises Failure, and then nothing is changed."""

    def copy(new: Path) -> None:
        try:
            _copy(source.absolute(), new)
        except shutil.Error as error:
            # Of a folder each file with its reason, of one file a sentence, which a folder around it has by letters.
            told = error.args[0]
            files = [f"{each[0]}: {each[2]}" for each in told if isinstance(each, tuple)]
            raise Failure(f"{files[0] if files else ''.join(told)}; nothing was installed") from error
        except OSError as error:
            raise Failure(f"{error.filename or source}: {error.strerror}; nothing was installed") from error

    return _install(directory, str(source), None, copy)


def remove(directory: Path, version: str) -> None:
    """Removes an installed version. Raises Failure where there is none."""
    path = directory / version
    if not is_version(version) or not path.is_dir():
        known = ", ".join(each.version for each in listed(directory)) or "none"
        raise Failure(f"version {version} is not installed; installed: {known}")
    # Renamed first, so that a removal that is cut short leaves no half of a rule set under its name.
    gone = Path(tempfile.mkdtemp(prefix=".gone-", dir=directory))
    path.rename(gone / version)
    shutil.rmtree(gone)


def newer(version: str, than: str) -> bool:
    """Whether a version comes after another."""
    return order(version) > order(than)


def _install(directory: Path, source: str, version: str | None, fill: _Fill) -> Installed:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=directory) as temporary:
        new = Path(temporary) / "rules"
        new.mkdir(mode=0o700)
        fill(new)
        if not rule_folder.read(new).is_crs:
            raise Failure(f"{source}: there is no Core Rule Set in it; nothing was installed")
        found = _version(new)
        if found is None or (version is not None and found != version):
            raise Failure(f"{source}: its rules are of version {found or 'unknown'}; nothing was installed")
        _is_free(directory, found)
        RuleSet.load(new)
        new.rename(directory / found)
    sync_directory(directory)
    return _described(directory / found)


def _copy(source: Path, new: Path) -> None:
    """Copies a folder, and what of its rule set lies elsewhere, as Debian has the setup in /etc."""
    shutil.copytree(source, new, dirs_exist_ok=True)
    # Those of a folder that nobody may write to, such as that of a Go module, could be neither renamed nor removed.
    for copied in (new, *new.rglob("*")):
        copied.chmod(0o700 if copied.is_dir() else 0o600)
    found = rule_folder.read(source)
    for setup in found.setup:
        if not setup.is_relative_to(source):
            shutil.copy(setup, new / "crs-setup.conf")
    for rules in found.rules:
        if not rules.is_relative_to(source):
            shutil.copy(rules, new / "rules")


def _is_free(directory: Path, version: str) -> None:
    if (directory / version).exists():
        raise Failure(f"version {version} is installed already; `bartizan crs remove {version}` removes it")


def _version(path: Path) -> str | None:
    for file in rule_folder.read(path).rules:
        found = _IN_RULES.search(file.read_text(encoding="utf-8", errors="replace"))
        if found:
            return found[1]
    return None


def _described(path: Path) -> Installed:
    rules = sum(
        len(re.findall(r"^\s*Sec(?:Rule|Action)\b", file.read_text(errors="replace"), re.MULTILINE))
        for file in rule_folder.read(path).rules
    )
    return Installed(path.name, str(path), rules)
