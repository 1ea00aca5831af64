"""What differs between two policies: zones, rules and settings by name, and the site files as text.

Parts are compared by digest first, so of a thousand zones only the changed ones are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from bartizan.config.load import load
from bartizan.config.problem import SiteError
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.policy.build import policy_of
from bartizan.policy.effect import has_versions, open_versions
from bartizan.policy.skeleton import Skeleton, take_apart

if TYPE_CHECKING:
    from bartizan.store.versions import Versions

__all__ = ["Change", "Difference", "diff"]

_NOTHING_APPLIED: Final = "no version has been applied yet, so there is nothing to compare with; run: bartizan apply"


class Change(msgspec.Struct, frozen=True):
    """One difference. `what` is the thing, `field` the setting in it; `before` and `after` are its JSON values."""

    kind: Literal["added", "removed", "changed"]
    what: str
    field: str | None = None
    before: Any = None
    after: Any = None


class Difference(msgspec.Struct, frozen=True):
    """Everything that differs. `text` is the unified diff of the site files."""

    before: str
    after: str
    changes: list[Change]
    text: str


def diff(state: StateDirectory, before: int | None, after: int | Path) -> Difference:
    """What has to change for `before` to become `after`.

    `before` is a version, or None for the one in effect; `after` is a version or a site file. Raises Failure where
    there is no such version, SiteError where the site file has mistakes.
    """
    if not has_versions(state):
        raise Failure(_NOTHING_APPLIED)
    with open_versions(state) as versions:
        old = _stored(versions, _in_effect(versions) if before is None else before)
        new = _stored(versions, after) if isinstance(after, int) else _written(state, after)
        return _difference(old, new)


class _Side(msgspec.Struct, frozen=True):
    """One of the two policies. `bodies` reads parts by digest; `title` is what people call it."""

    title: str
    skeleton: Skeleton
    acme: Any
    source: str
    bodies: Callable[[list[str]], dict[str, bytes]]


def _in_effect(versions: Versions) -> int:
    found = versions.in_effect()
    if found is None:
        raise Failure(_NOTHING_APPLIED)
    return found.id


def _stored(versions: Versions, version: int) -> _Side:
    document, acme = versions.document(version)
    skeleton = msgspec.json.decode(document, type=Skeleton)
    return _Side(f"version {version}", skeleton, msgspec.json.decode(acme), versions.source(version), versions.parts)


def _written(state: StateDirectory, site: Path) -> _Side:
    loaded = load(site, state.rule_sets)
    if loaded.site is None or loaded.problems:
        raise SiteError(loaded.problems)
    policy = policy_of(loaded, loaded.site, state)
    skeleton, bodies = take_apart(policy)
    return _Side(str(site), skeleton, msgspec.to_builtins(policy.acme), loaded.source.text, lambda _: bodies)


def _difference(before: _Side, after: _Side) -> Difference:
    old, new = before.skeleton, after.skeleton
    pairs = _Pairs(before, after)
    changes = [
        *pairs.settings("edge", old.edge, new.edge),
        *pairs.settings("account", old.account, new.account),
        *pairs.named("ruleset", old.rulesets, new.rulesets),
        *pairs.named("list", old.lists, new.lists),
        *pairs.named("zone", old.zones, new.zones),
        *pairs.sinks(old.sinks, new.sinks),
        *pairs.transparency(old.transparency, new.transparency),
        *_acme(before.acme, after.acme),
    ]
    lines = unified_diff(before.source.splitlines(), after.source.splitlines(), before.title, after.title, lineterm="")
    return Difference(before.title, after.title, changes, "\n".join(lines))


class _Pairs:
    """The parts that differ, each read once."""

    def __init__(self, before: _Side, after: _Side) -> None:
        olds, news = set(before.skeleton.digests()), set(after.skeleton.digests())
        self._before = before.bodies(sorted(olds - news))
        self._after = after.bodies(sorted(news - olds))

    def settings(self, what: str, old: str, new: str) -> Iterator[Change]:
        if old != new:
            yield from _changes(what, msgspec.json.decode(self._before[old]), msgspec.json.decode(self._after[new]))

    def sinks(self, old: str, new: str) -> Iterator[Change]:
        """Sinks by name; a version of a release that had none has none."""
        if old == new:
            return
        olds: dict[str, Any] = msgspec.json.decode(self._before[old]) if old else {}
        news: dict[str, Any] = msgspec.json.decode(self._after[new]) if new else {}
        for name in sorted({*olds, *news}):
            title = f'sink "{name}"'
            if name not in news:
                yield Change("removed", title)
            elif name not in olds:
                yield Change("added", title)
            else:
                for key in sorted({*olds[name], *news[name]}):
                    yield from _values(title, key, olds[name].get(key), news[name].get(key))

    def transparency(self, old: str, new: str) -> Iterator[Change]:
        """The tables of key transparency, which most sites have none of."""
        if old != new:
            olds: dict[str, Any] = msgspec.json.decode(self._before[old]) if old else {}
            news: dict[str, Any] = msgspec.json.decode(self._after[new]) if new else {}
            yield from _changes("transparency", olds, news)

    def named(self, kind: str, olds: dict[str, str], news: dict[str, str]) -> Iterator[Change]:
        for name in sorted({*olds, *news}):
            old, new = olds.get(name), news.get(name)
            if old == new:
                continue
            if new is None and old is not None:
                yield Change("removed", _title(kind, name, self._before[old]))
            elif old is None and new is not None:
                yield Change("added", _title(kind, name, self._after[new]))
            elif old is not None and new is not None:
                yield from self.settings(_title(kind, name, self._after[new]), old, new)


def _title(kind: str, name: str, part: bytes) -> str:
    """What a part is called; a ruleset is known by its id and called by its name."""
    if kind == "ruleset":
        name = msgspec.json.decode(part)["name"]
    return f'{kind} "{name}"'


def _changes(what: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    for key in dict.fromkeys((*new, *old)):
        if key == "phases":
            yield from _phases(what, old[key], new[key])
        elif key == "rules":
            yield from _rules(what, old.get(key, []), new.get(key, []))
        elif key == "seclang":
            yield from _seclang(what, old.get(key, {}), new.get(key, {}))
        elif key == "items":
            yield from _items(what, old[key], new[key])
        else:
            yield from _values(what, key, old.get(key), new.get(key))


def _seclang(what: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    """A rule set: of its files the names, for what stands in them is long."""
    for key in dict.fromkeys((*new, *old)):
        if key != "files":
            yield from _values(what, f"seclang.{key}", old.get(key), new.get(key))
    olds, news = old.get("files", {}), new.get("files", {})
    for name in sorted({*olds, *news}):
        if name not in news:
            yield Change("removed", what, f"file {name}")
        elif name not in olds:
            yield Change("added", what, f"file {name}")
        elif olds[name] != news[name]:
            yield Change("changed", what, f"file {name}")


def _values(what: str, field: str, old: Any, new: Any) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _values(what, f"{field}.{key}", old.get(key), new.get(key))
    elif old != new:
        yield Change("changed", what, field, old, new)


def _phases(what: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    for phase in dict.fromkeys((*old, *new)):
        yield from _rules(f"{what} {phase}", old.get(phase, []), new.get(phase, []))


def _rules(what: str, old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[Change]:
    """Rules by id; and whether those in both now run in another order."""
    olds, news = {rule["id"]: rule for rule in old}, {rule["id"]: rule for rule in new}
    for identifier, rule in olds.items():
        if identifier not in news:
            yield Change("removed", f"{what} {_called(rule)}", before=rule)
    for identifier, rule in news.items():
        if identifier not in olds:
            yield Change("added", f"{what} {_called(rule)}", after=rule)
            continue
        for key in rule:
            yield from _values(f"{what} {_called(rule)}", key, olds[identifier].get(key), rule[key])
    kept_before = [identifier for identifier in olds if identifier in news]
    kept_after = [identifier for identifier in news if identifier in olds]
    if kept_before != kept_after:
        yield Change("changed", what, "order of rules", kept_before, kept_after)


def _called(rule: dict[str, Any]) -> str:
    name = rule["ref"] or rule["description"] or rule["id"]
    return f'rule "{name}"'


def _items(what: str, old: list[str], new: list[str]) -> Iterator[Change]:
    olds, news = set(old), set(new)
    removed = [item for item in old if item not in news]
    added = [item for item in new if item not in olds]
    if removed:
        yield Change("removed", what, f"{len(removed)} items", before=removed)
    if added:
        yield Change("added", what, f"{len(added)} items", after=added)
    if not removed and not added:
        yield Change("changed", what, "order of items")


def _acme(old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    for zone in sorted({*old, *new}):
        yield from _values(f'zone "{zone}"', "tls.acme", old.get(zone), new.get(zone))
