"""`bartizan crs`: versions of the OWASP Core Rule Set in the state directory."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from bartizan.cli.waiting import waiting
from bartizan.config.rule_sets import is_version
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.waf import installed
from bartizan.waf.releases import OFFICIAL, Publisher


def install(
    *, source: str, site: Path | None, state: Path | None, sha256: str | None, index: str | None, json: bool
) -> int:
    """Installs a version, an archive or a folder. Always 0; what keeps it from that is a Failure."""
    directory = StateDirectory.locate(state=state, site=site).rule_sets
    path = Path(source)
    with waiting(f"installing {source}"):
        if path.is_dir():
            if sha256 is not None:
                raise Failure(f"{source} is a folder, and --sha256 is of an archive")
            made = installed.install_folder(directory, path)
        elif path.is_file():
            made = installed.install_file(directory, path, sha256)
        elif is_version(source):
            made = installed.install_release(directory, source, Publisher(index or OFFICIAL), sha256)
        else:
            raise Failure(f"{source} is no version such as 4.25.0, and there is no such file or folder")
    _print(made, f"installed {made.version}: {made.rules:,} rules in {made.path}", json=json)
    return 0


def list_installed(*, site: Path | None, state: Path | None, json: bool) -> int:
    """Lists what is installed. Always 0."""
    found = installed.listed(StateDirectory.locate(state=state, site=site).rule_sets)
    if not found and not json:
        sys.stdout.write("no Core Rule Set is installed; `bartizan crs install 4.25.0` installs one\n")
    else:
        _print(found, "\n".join(f"{each.version}  {each.rules:,} rules  {each.path}" for each in found), json=json)
    return 0


def update(*, site: Path | None, state: Path | None, sha256: str | None, index: str | None, json: bool) -> int:
    """Installs the newest version where it is not there. Always 0."""
    directory = StateDirectory.locate(state=state, site=site).rule_sets
    publisher = Publisher(index or OFFICIAL)
    with waiting("asking for the newest version"):
        newest = publisher.newest().version
        known = installed.listed(directory)
        if known and not installed.newer(newest, known[-1].version):
            made, said = known[-1], f"{known[-1].version} is installed, and {newest} is the newest version"
        else:
            made = installed.install_release(directory, newest, publisher, sha256)
            said = f"installed {made.version}: {made.rules:,} rules in {made.path}"
    _print(made, said, json=json)
    return 0


def remove(*, version: str, site: Path | None, state: Path | None, json: bool) -> int:
    """Removes an installed version. Always 0; where there is none is a Failure."""
    installed.remove(StateDirectory.locate(state=state, site=site).rule_sets, version)
    _print({"removed": version}, f"removed {version}", json=json)
    return 0


def _print(report: object, text: str, *, json: bool) -> None:
    sys.stdout.write((msgspec.json.encode(report).decode() if json else text) + "\n")
