"""What the edge says about a policy document, said about the site file that the document was made from."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bartizan.config import lists
from bartizan.config.load import Loaded
from bartizan.config.native import Diagnostic
from bartizan.config.problem import Finding, Problem
from bartizan.config.problem import Path as SettingPath
from bartizan.config.rule_sets import setup_file
from bartizan.config.site import Rule, Site, Zone
from bartizan.config.source import Source

__all__ = ["problems"]


def problems(diagnostics: list[Diagnostic], loaded: Loaded) -> list[Problem]:
    """The diagnostics as problems of the site file, in its order.

    What the site file itself was found wrong with is not told again, nor what may follow from it.
    """
    site = loaded.site
    if site is None:
        return []
    zones = sorted(site.zones)
    findings = [_finding(diagnostic, site, zones, loaded) for diagnostic in diagnostics]
    source = loaded.source
    placed = [msgspec.structs.replace(each, path=source.original(each.path)) for each in findings]
    new = [each for each in placed if not any(_within(source.existing(each.path), wrong) for wrong in loaded.wrong)]
    return source.problems(new)


def _within(path: SettingPath, other: SettingPath) -> bool:
    """Whether one of the two is part of the other."""
    shared = min(len(path), len(other))
    return path[:shared] == other[:shared]


def _finding(diagnostic: Diagnostic, site: Site, zones: list[str], loaded: Loaded) -> Finding:
    path = _site_path(diagnostic.path, site, zones)
    if diagnostic.file is not None:
        return _in_file(diagnostic, diagnostic.file, path, loaded.source)
    within = None if diagnostic.column is None else (diagnostic.line or 1, diagnostic.column)
    return Finding(
        path,
        _message(diagnostic),
        severity=diagnostic.severity,
        within=within,
        elsewhere=_list_line(path, site, loaded.source),
    )


def _in_file(diagnostic: Diagnostic, file: str, path: SettingPath, source: Source) -> Finding:
    """Of a file of a rule set, or of the `setup` that stands in the site file."""
    line, severity = diagnostic.line or 1, diagnostic.severity
    match path:
        case ("rulesets", str(name), *_) if file == setup_file(name, source.directory):
            return Finding(("rulesets", name, "setup"), diagnostic.message, severity=severity, within=(line, 1))
    return Finding(path, diagnostic.message, severity=severity, elsewhere=(source.shown(file), line))


def _message(diagnostic: Diagnostic) -> str:
    message = diagnostic.message
    if diagnostic.column is not None and "column" not in message:
        line = f"line {diagnostic.line}, " if diagnostic.line is not None and diagnostic.line > 1 else ""
        wrong, semicolon, way_out = message.partition("; ")
        message = f"{wrong} at {line}column {diagnostic.column}{semicolon}{way_out}"
    meant = diagnostic.suggestion
    if meant is not None and meant not in message:
        message += f"; did you mean {meant}?" if '"' in meant else f'; did you mean "{meant}"?'
    return message


def _site_path(path: SettingPath, site: Site, zones: list[str]) -> SettingPath:
    match path:
        case ("zones", int(index), *rest) if index < len(zones):
            return ("zones", zones[index], *_zone_path(rest, site.zones[zones[index]]))
        case ("account", *rest):
            return ("account", *_rule_path(rest, site.account.rules))
        case ("rulesets", str(identifier), *rest):
            from bartizan.config.identity import ruleset_id

            named = (name for name, ruleset in site.rulesets.items() if ruleset_id(name, ruleset) == identifier)
            return ("rulesets", next(named, identifier), *rest)
        case ("edge", "listen", int(index), *rest):
            plain = len(site.edge.listen) or (0 if site.edge.listen_tls else 1)
            key, place = ("listen", index) if index < plain else ("listen_tls", index - plain)
            return ("edge", key, place, *rest)
        case ("edge", "events", *rest):
            return ("events", *rest)
    return path


def _zone_path(rest: list[str | int], zone: Zone) -> SettingPath:
    match rest:
        case ["origin", "servers", int(index), *more]:
            return ("origins", index, *more)
        case ["origin", "servers"]:
            return ("origins",)
        case ["origin", *more]:
            return ("pool", *more)
    return _rule_path(rest, zone.rules)


def _rule_path(rest: list[str | int], rules: list[Rule]) -> SettingPath:
    """A path into the rules of one phase, as a path into the rules as they are written."""
    match rest:
        case ["phases", str(phase), int(index), *more]:
            places = [place for place, rule in enumerate(rules) if rule.phase == phase]
            if index < len(places):
                return ("rules", places[index], *more)
        case ["phases", str(phase)]:
            place = next((place for place, rule in enumerate(rules) if rule.phase == phase), None)
            return ("rules",) if place is None else ("rules", place, "phase")
    return tuple(rest)


def _list_line(path: SettingPath, site: Site, source: Source) -> tuple[str, int] | None:
    match path:
        case ("lists", str(name), "items", int(index), *_):
            given = site.lists.get(name)
            if given is not None and given.file is not None:
                return source.shown(given.file), _line(given.kind, source.directory / given.file, index)
    return None


def _line(kind: str, file: Path, index: int) -> int:
    try:
        line = lists.line_of_item(kind, file.read_bytes(), index)
    except OSError:
        line = None
    return line or 1  # without one the file has changed since the policy was made
