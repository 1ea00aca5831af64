"""The lists of a site file, for people: what is in each, which rules use it, and whether a value is in it now."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from bartizan.config import lists
from bartizan.config.document import parts
from bartizan.config.load import load
from bartizan.config.problem import did_you_mean, where
from bartizan.config.site import Rule, Site
from bartizan.failure import Failure
from bartizan.layout import StateDirectory

__all__ = ["Listed", "listed", "verdict"]


class Listed(msgspec.Struct, frozen=True):
    """A list: its items as written, how many of them expire or have, how many have, and the rules that use it."""

    name: str
    kind: str
    items: int
    expiring: int
    expired: int
    used_by: list[str]


def listed(file: Path, state: StateDirectory) -> list[Listed]:
    """The lists of a site file by name. Raises Failure for a file with mistakes."""
    site, documents = _read(file, state)
    used = list(_uses(site))
    found = []
    for name, part in documents.items():
        counts = lists.counts(part)
        rules = [place for place, names in used if name in names]
        found.append(Listed(name, site.lists[name].kind, counts.items, counts.expiring, counts.expired, rules))
    return found


def verdict(file: Path, state: StateDirectory, name: str, value: str) -> lists.Verdict:
    """What a list says of a value. Raises Failure where there is no such list, or the value is of another kind."""
    _, documents = _read(file, state)
    if name not in documents:
        known = did_you_mean(name, list(documents))
        raise Failure(f"{file} has no list {name!r}{known}; `bartizan lists show` shows them all")
    try:
        return lists.verdict(documents[name], value)
    except ValueError as error:
        raise Failure(f"list {name!r}: {error}") from None


def _read(file: Path, state: StateDirectory) -> tuple[Site, dict[str, bytes]]:
    loaded = load(file, state.rule_sets)
    if loaded.site is None or loaded.problems:
        raise Failure(f"{file} has mistakes; `bartizan check {file}` says which")
    policy = parts(
        loaded.site,
        directory=loaded.source.directory,
        spool=state.spool,
        list_items=loaded.list_items,
        pages=loaded.pages,
        rule_sets=loaded.rule_sets,
        certificates={},
    )
    return loaded.site, policy.lists


def _uses(site: Site) -> Iterator[tuple[str, set[str]]]:
    """Each rule by the words for its place, and the lists that it names."""
    scopes: list[tuple[tuple[str, ...], list[Rule]]] = [
        (("account",), site.account.rules),
        *((("rulesets", name), ruleset.rules) for name, ruleset in site.rulesets.items()),
        *((("zones", name), zone.rules) for name, zone in site.zones.items()),
    ]
    for scope, rules in scopes:
        for index, rule in enumerate(rules):
            # The last key of a path is in the message, which is not what is wanted here.
            yield where((*scope, "rules", index, "expression")), set(_named(rule))


def _named(rule: Rule) -> Iterator[str]:
    parameters: dict[str, Any] = rule.action_parameters or {}
    for text in (rule.expression, *_texts(parameters)):
        yield from re.findall(r"\$([a-z0-9_]+)", text)
    redirects = parameters.get("from_list")
    if isinstance(redirects, dict) and isinstance(redirects.get("name"), str):
        yield redirects["name"]


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
