"""Rule sets in the ModSecurity rule language: where they are, and in which order their files take effect.

A rule set is arranged in two halves, between which the directive stands that sets the paranoia level: it wins over
the setup of a Core Rule Set, and the rules ask for it. `bartizan.waf` loads rule sets so, and site files have them so:
both come to the same verdict.
"""

from __future__ import annotations

import glob
import re
from pathlib import Path
from typing import Any, Final

import msgspec

from bartizan._native import waf_files
from bartizan.config import rule_folder
from bartizan.config.problem import Finding
from bartizan.config.site import Ruleset, Site
from bartizan.config.source import Source
from bartizan.failure import Failure

__all__ = ["Arranged", "SecLang", "arranged", "is_version", "order", "read_rule_sets", "setup_file", "versions"]

DEFAULT_LEVEL: Final = 1

_BASE: Final = Path(__file__).with_name("base.conf")
_VERSION: Final = re.compile(r"^\d+\.\d+\.\d+(?:[-.]\w+)*$")
_INSTALLED: Final = re.compile(r"crs(?:@(.+))?")


class Arranged(msgspec.Struct, frozen=True):
    """The directives that read a rule set, before and after the one that sets the paranoia level."""

    before: str
    after: str
    left_out: list[tuple[Path, str]]
    """Files that are not read, and why."""


class SecLang(msgspec.Struct, frozen=True):
    """A rule set with all that it reads, as the policy document has it."""

    paranoia_level: int
    before: str
    after: str
    files: dict[str, Any]
    """By path; text as text, other files as `{"latin1": …}` with a character for each byte."""
    left_out: dict[str, str]


def arranged(path: Path, setup: str = "") -> Arranged:
    """How a rule file or a folder of rules is read, with more `setup` after its own.

    A folder with a Core Rule Set has the engine as `base.conf` sets it; a file says itself what the engine does. Raises
    Failure for a folder without rules.
    """
    if path.is_file():
        return Arranged("", _lines([setup, _include(path)]), [])
    found = rule_folder.read(path)
    base = [_include(_BASE)] if found.is_crs else []
    return Arranged(
        _lines([*base, *map(_include, found.setup)]), _lines([setup, *map(_include, found.rules)]), found.left_out
    )


def read_rule_sets(site: Site, source: Source, installed: Path) -> tuple[dict[str, SecLang], list[Finding]]:
    """The rule sets that rulesets of a site name, as they are on the disk now, and what of them cannot be read."""
    found: dict[str, SecLang] = {}
    findings: list[Finding] = []
    for name, ruleset in site.rulesets.items():
        if ruleset.seclang is None:
            continue
        try:
            path = _located(ruleset.seclang, source.directory, installed)
            found[name] = _read(name, ruleset, path, source, findings)
        except Failure as error:
            findings.append(Finding(("rulesets", name, "seclang"), str(error)))
    return found, findings


def setup_file(name: str, directory: Path) -> str:
    """The name under which the `setup` of a ruleset is read; what it includes is found beside the site file."""
    return f"{directory}/rulesets.{name}.setup"


def is_version(text: str) -> bool:
    """Whether a text is the number of a version such as 4.25.0."""
    return _VERSION.match(text) is not None


def order(version: str) -> list[tuple[int, int, str]]:
    """What versions are sorted by."""
    return [(int(part.isdigit()), int(part) if part.isdigit() else 0, part) for part in re.split(r"[.-]", version)]


def versions(directory: Path) -> list[Path]:
    """The rule sets that are installed in a directory, oldest version first."""
    found = [path for path in directory.glob("*") if path.is_dir() and is_version(path.name)]
    return sorted(found, key=lambda path: order(path.name))


def _located(given: str, directory: Path, installed: Path) -> Path:
    named = _INSTALLED.fullmatch(given)
    if named is None:
        path = directory / given
        if not path.exists():
            raise Failure(f'"seclang" names {path}, which is not there; name a rule file, a folder of rules, or "crs"')
        return path
    there = versions(installed)
    if named[1] is None and there:
        return there[-1]
    for path in there:
        if path.name == named[1]:
            return path
    known = f"; installed: {', '.join(path.name for path in there)}" if there else ""
    version = named[1] or "4.25.0"
    what = "no Core Rule Set" if named[1] is None else f'no Core Rule Set "{named[1]}"'
    raise Failure(f"{what} is installed; `bartizan crs install {version}` installs it{known}")


def _read(name: str, ruleset: Ruleset, path: Path, source: Source, findings: list[Finding]) -> SecLang:
    setup = setup_file(name, source.directory)
    plan = arranged(path, _include(Path(setup)) if ruleset.setup is not None else "")
    files: dict[str, bytes] = {}
    texts = [(plan.before, name), (ruleset.setup or "", setup), (_lines(_other(plan.after, setup)), name)]
    for text, file in texts:
        read, unread = waf_files(text.encode(), file, source.directory)
        files.update(read)
        findings.extend(_unread(name, setup, source, *each) for each in unread)
    if ruleset.setup is not None:
        files[setup] = ruleset.setup.encode()
    level = DEFAULT_LEVEL if ruleset.paranoia_level is None else ruleset.paranoia_level
    return SecLang(
        paranoia_level=level,
        before=f"SecRuleEngine On\n{plan.before}",
        after=plan.after,
        files={_name(file): _content(content) for file, content in sorted(files.items())},
        left_out={_name(str(file)): why for file, why in plan.left_out},
    )


def _other(after: str, setup: str) -> list[str]:
    """The directives but for the one that reads the setup, which is in no file."""
    return [line for line in after.splitlines() if line != _include(Path(setup))]


def _unread(name: str, setup: str, source: Source, file: str, line: int, message: str) -> Finding:
    if file == setup:
        return Finding(("rulesets", name, "setup"), message, within=(line, 1))
    if file == name:
        return Finding(("rulesets", name, "seclang"), message)
    return Finding(("rulesets", name, "seclang"), message, elsewhere=(source.shown(file), line))


def _name(file: str) -> str:
    try:
        file.encode()
    except UnicodeEncodeError:
        raise Failure(f"{file!a}: the name of the file is not UTF-8, which a policy cannot hold; rename it") from None
    return file


def _content(content: bytes) -> Any:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"latin1": content.decode("latin-1")}


def _lines(directives: list[str]) -> str:
    return "".join(f"{directive}\n" for directive in directives if directive)


def _include(path: Path) -> str:
    quoted = glob.escape(str(path)).replace('"', '\\"')
    return f'Include "{quoted}"'
