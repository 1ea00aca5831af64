"""A site file, read whole: settings, lists, and everything wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path as FilePath

import msgspec

from bartizan.config import source as sources
from bartizan.config.convert import convert
from bartizan.config.problem import Path, Problem, SiteError
from bartizan.config.rule_sets import SecLang, read_rule_sets
from bartizan.config.site import Site
from bartizan.config.source import Source
from bartizan.config.validate import read_lists, read_pages, validate

__all__ = ["Loaded", "load"]


class Loaded(msgspec.Struct, frozen=True):
    """What a site file says. With `problems` it cannot be applied, and `site` is what is left of it."""

    source: Source
    site: Site | None
    list_items: dict[str, bytes]
    pages: dict[str, str]
    rule_sets: dict[str, SecLang]
    problems: list[Problem]
    wrong: list[Path]
    """Where the problems are, as paths into the site file."""

    @property
    def judged_whole(self) -> bool:
        """Whether lists, rulesets and error pages are all there, so that the edge does not take offence at a gap."""
        return self.site is not None and not any(
            path[:1] in (("lists",), ("rulesets",)) or "error_pages" in path for path in self.wrong
        )


def load(file: FilePath, installed: FilePath, as_read: Callable[[bytes], None] = lambda _: None) -> Loaded:
    """Reads a site file with the lists, pages and rule sets that it names. What is wrong with them is in `problems`.

    `installed` is the directory of installed versions of the Core Rule Set. `as_read` is called with the file's bytes
    before they are parsed, which lets other threads run.
    """
    try:
        data = sources.read(str(file))
        as_read(data)
        source = sources.parse(str(file), data)
    except SiteError as error:
        empty = sources.parse(str(file), b"")
        return Loaded(empty, None, {}, {}, {}, error.problems, [])
    site, findings = convert(source)
    list_items: dict[str, bytes] = {}
    pages: dict[str, str] = {}
    rule_sets: dict[str, SecLang] = {}
    if site is not None:
        list_items, unread = read_lists(site, source)
        pages, missing = read_pages(site, source)
        rule_sets, unreadable = read_rule_sets(site, source, installed)
        wrong = [finding.path for finding in findings]
        for finding in chain(validate(site, source), unread, missing, unreadable):
            if not (finding.gap and any(_explains(other, finding.path) for other in wrong)):
                findings.append(finding)
    problems, places = source.problems(findings), [finding.path for finding in findings]
    return Loaded(source, site, list_items, pages, rule_sets, problems, places)


def _explains(wrong: Path, missing: Path) -> bool:
    """Whether something is missing only because it is wrong itself, or written under another name beside."""
    return wrong[: len(missing)] == missing or wrong[:-1] == missing[:-1]
