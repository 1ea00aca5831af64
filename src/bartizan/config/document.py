"""The policy document: the JSON that the edge compiles, made of parts that are compared and stored one by one.

A part is a zone, a list, a ruleset, the account's rules or the edge's settings, in canonical JSON: every default
written out, keys in one order, zones by name. The digest of the document is made of the digests of its parts, so that
of a thousand zones only what changed is stored, shown by `diff` and compiled.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from bartizan.config import site as settings
from bartizan.config.identity import rule_ids, ruleset_id
from bartizan.config.rule_sets import SecLang
from bartizan.config.sinks import FILE_SETTINGS
from bartizan.config.site import CertificateFiles, Edge, ErrorPage, Rule, Ruleset, Site, Zone
from bartizan.config.transparency import located

__all__ = ["FORMAT", "NO_TRANSPARENCY", "AcmeZone", "Parts", "parts"]

FORMAT = 1
"""Version of the form of the document."""

DEFAULT_LISTEN = "127.0.0.1:8080"

NO_TRANSPARENCY = b"{}"
"""The settings of that room where the site file has none."""

_RULES_PHASE = "http_request_firewall_custom"
_SECLANG_PHASE = "http_request_firewall_managed"


class AcmeZone(msgspec.Struct, frozen=True):
    """A zone whose certificate an ACME authority issues."""

    hosts: list[str]
    email: str
    directory_url: str
    ca_file: str | None


class Parts(msgspec.Struct, frozen=True):
    """A policy in canonical JSON, part by part; lists, rulesets and zones by name or id, in order.

    `acme` is for the renewal of certificates, `sinks` for the event owner, `transparency` for the processes of that
    room; none is part of what the edge reads.
    """

    edge: bytes
    lists: dict[str, bytes]
    rulesets: dict[str, bytes]
    account: bytes
    zones: dict[str, bytes]
    sinks: bytes
    acme: dict[str, AcmeZone]
    transparency: bytes = NO_TRANSPARENCY

    def document(self, version: int) -> bytes:
        """The whole document, as the edge reads it."""
        return b"".join(self.pieces(version))

    def pieces(self, version: int) -> Iterator[bytes]:
        """The document in the pieces that it is made of, for who can do without the whole in memory."""
        yield b'{"format":%d,"version":%d,"edge":' % (FORMAT, version)
        yield self.edge
        yield b',"lists":{'
        yield from _members(self.lists)
        yield b'},"rulesets":{'
        yield from _members(self.rulesets)
        yield b'},"account":'
        yield self.account
        yield b',"zones":['
        for number, zone in enumerate(self.zones.values()):
            yield b"," if number else b""
            yield zone
        yield b"]}"


class _Rule(msgspec.Struct):
    id: str
    ref: str | None
    description: str
    expression: str
    action: str
    action_parameters: dict[str, Any] | None
    enabled: bool
    logging: settings.Logging | None
    categories: list[str]


class _Server(msgspec.Struct):
    url: str
    weight: int


class _Origin(msgspec.Struct):
    servers: list[_Server]
    stickiness: str
    host_header: str | None
    tls: settings.OriginTls
    http_version: str
    active_health: settings.ActiveHealth | None
    passive_health: settings.PassiveHealth
    retries: int
    connect_timeout_s: int | float


class _Tls(msgspec.Struct):
    certificates: list[CertificateFiles]
    min_version: str
    https_redirect: bool
    hsts: settings.Hsts | None


class _Zone(msgspec.Struct):
    name: str
    hosts: list[str]
    default: bool
    origin: _Origin
    tls: _Tls
    normalization: settings.Normalization
    body: settings.Body
    compression: settings.Compression
    ip_geolocation: bool
    error_pages: dict[str, str]
    phases: dict[str, list[_Rule]]


class _Listen(msgspec.Struct):
    address: str
    tls: bool
    proxy_protocol: bool


class _Edge(msgspec.Struct):
    listen: list[_Listen]
    trusted_proxies: list[str]
    colo: str
    threads: int
    limits: dict[str, int]
    geo: settings.Geo
    spool: settings.Spool
    events: settings.Events


class _List(msgspec.Struct):
    kind: str
    items: msgspec.Raw


class _Ruleset(msgspec.Struct):
    name: str
    phase: str
    rules: list[_Rule]


class _SecLangRuleset(msgspec.Struct):
    name: str
    phase: str
    seclang: SecLang


class _Account(msgspec.Struct):
    error_pages: dict[str, str]
    phases: dict[str, list[_Rule]]


_encode = msgspec.json.Encoder(order="deterministic").encode


def parts(
    site: Site,
    *,
    directory: Path,
    spool: Path,
    list_items: dict[str, bytes],
    pages: dict[str, str],
    rule_sets: dict[str, SecLang],
    certificates: dict[str, CertificateFiles],
) -> Parts:
    """The parts of a site's policy.

    Relative paths of the site are relative to `directory`. `spool` is where events go unless the site says otherwise,
    `list_items` are the items of lists by file as JSON, `pages` the error pages by file, `rule_sets` those of SecLang
    by the ruleset that names them, `certificates` those of zones that name none.
    """
    paths = _Paths(directory)
    rulesets = {name: ruleset_id(name, ruleset) for name, ruleset in site.rulesets.items()}
    return Parts(
        edge=_encode(_edge(site.edge, site.events, paths, spool)),
        lists={name: _list(source, list_items.get(name)) for name, source in sorted(site.lists.items())},
        rulesets={
            rulesets[name]: _encode(_ruleset(name, ruleset, rulesets, rule_sets.get(name)))
            for name, ruleset in sorted(site.rulesets.items(), key=lambda item: rulesets[item[0]])
        },
        account=_encode(
            _Account(_error_pages(site.account.error_pages, pages), _phases("account", site.account.rules, rulesets))
        ),
        zones={
            name: _encode(_zone(name, zone, paths, certificates.get(name), pages, rulesets))
            for name, zone in sorted(site.zones.items())
        },
        sinks=_encode({name: _located(sink, paths) for name, sink in sorted(site.sinks.items())}),
        acme={
            name: AcmeZone(_hosts(zone), acme.email, acme.directory_url, paths.optional(acme.ca_file))
            for name, zone in sorted(site.zones.items())
            if (acme := zone.tls.acme) is not None
        },
        transparency=_encode(located(site.transparency, directory)),
    )


def digest(part: bytes) -> str:
    """The digest under which a part is compared and stored."""
    return sha256(part).hexdigest()


class _Paths:
    """Makes paths of the site file absolute; a string join, because a thousand zones name two thousand files."""

    def __init__(self, directory: Path) -> None:
        self._prefix = f"{directory}/"

    def of(self, path: str) -> str:
        return path if path.startswith("/") else self._prefix + path

    def optional(self, path: str | None) -> str | None:
        return None if path is None else self.of(path)


def _located(part: Any, paths: _Paths) -> Any:
    """A part of a sink's settings with the files and directories in it made absolute."""
    if isinstance(part, dict):
        return {name: _located(item, paths) for name, item in part.items()}
    if not isinstance(part, msgspec.Struct):
        return part
    changed = {}
    for name in part.__struct_fields__:
        value = getattr(part, name)
        named = name in FILE_SETTINGS and isinstance(value, str)
        changed[name] = paths.of(value) if named else _located(value, paths)
    return msgspec.structs.replace(part, **changed)


def _edge(edge: Edge, events: settings.Events, paths: _Paths, spool: Path) -> _Edge:
    plain = edge.listen if edge.listen or edge.listen_tls else [DEFAULT_LISTEN]
    return _Edge(
        listen=[_listen(listener, tls=False) for listener in plain]
        + [_listen(listener, tls=True) for listener in edge.listen_tls],
        trusted_proxies=edge.trusted_proxies,
        colo=edge.colo,
        threads=edge.threads,
        limits=edge.limits,
        geo=settings.Geo(paths.optional(edge.geo.location_file), paths.optional(edge.geo.asn_file)),
        spool=msgspec.structs.replace(
            edge.spool, dir=paths.of(edge.spool.dir) if edge.spool.dir is not None else str(spool)
        ),
        events=events,
    )


def _listen(listener: str | settings.Listener, *, tls: bool) -> _Listen:
    if isinstance(listener, str):
        return _Listen(listener, tls, proxy_protocol=False)
    return _Listen(listener.address, tls, listener.proxy_protocol)


def _list(source: settings.ListSource, items: bytes | None) -> bytes:
    if items is None:
        items = msgspec.json.encode([] if source.items is msgspec.UNSET else source.items)
    return _encode(_List(source.kind, msgspec.Raw(items)))


def _zone(
    name: str,
    zone: Zone,
    paths: _Paths,
    certificate: CertificateFiles | None,
    pages: dict[str, str],
    rulesets: dict[str, str],
) -> _Zone:
    pool = zone.pool
    certificates = [
        CertificateFiles(paths.of(files.certificate_file), paths.of(files.key_file)) for files in zone.tls.certificates
    ]
    if not certificates and certificate is not None:
        certificates = [certificate]
    return _Zone(
        name=name,
        hosts=_hosts(zone),
        default=zone.default,
        origin=_Origin(
            servers=[_server(origin) for origin in zone.origins],
            stickiness=pool.stickiness,
            host_header=pool.host_header,
            tls=settings.OriginTls(pool.tls.verify, paths.optional(pool.tls.ca_file), pool.tls.server_name),
            http_version=pool.http_version,
            active_health=pool.active_health,
            passive_health=pool.passive_health,
            retries=pool.retries,
            connect_timeout_s=pool.connect_timeout_s,
        ),
        tls=_Tls(certificates, zone.tls.min_version, zone.tls.https_redirect, zone.tls.hsts),
        normalization=zone.normalization,
        body=zone.body,
        compression=zone.compression,
        ip_geolocation=zone.ip_geolocation,
        error_pages=_error_pages(zone.error_pages, pages),
        phases=_phases(f"zone {name}", zone.rules, rulesets),
    )


def _error_pages(given: dict[str, ErrorPage], pages: dict[str, str]) -> dict[str, str]:
    """The text of the pages by type; nothing of one that could not be read, which is told where it was."""
    return {
        kind: pages.get(page.file, "") if page.file is not None else page.content or "" for kind, page in given.items()
    }


def _hosts(zone: Zone) -> list[str]:
    return [host.lower() for host in zone.hosts]


def _server(origin: str | settings.OriginServer) -> _Server:
    if isinstance(origin, str):
        return _Server(origin, 1)
    return _Server(origin.url, origin.weight)


def _ruleset(
    name: str, ruleset: Ruleset, rulesets: dict[str, str], rule_set: SecLang | None
) -> _Ruleset | _SecLangRuleset:
    if rule_set is not None:
        return _SecLangRuleset(name, ruleset.phase or _SECLANG_PHASE, rule_set)
    return _Ruleset(name, ruleset.phase or _RULES_PHASE, _rules(f"ruleset {name}", ruleset.rules, rulesets))


def _phases(scope: str, rules: list[Rule], rulesets: dict[str, str]) -> dict[str, list[_Rule]]:
    phases: dict[str, list[_Rule]] = {}
    for rule, written in zip(rules, _rules(scope, rules, rulesets), strict=True):
        phases.setdefault(rule.phase, []).append(written)
    return phases


def _rules(scope: str, rules: list[Rule], rulesets: dict[str, str]) -> list[_Rule]:
    return [
        _Rule(
            rule_id,
            rule.ref,
            rule.description,
            rule.expression,
            rule.action,
            _parameters(rule, rulesets),
            rule.enabled,
            rule.logging,
            rule.categories,
        )
        for rule, rule_id in zip(rules, rule_ids(scope, rules), strict=True)
    ]


def _parameters(rule: Rule, rulesets: dict[str, str]) -> dict[str, Any] | None:
    """The parameters as the edge reads them: a site file may call rulesets by their names, the edge knows their ids."""
    given = rule.action_parameters
    if given is None:
        return None
    match rule.action, given:
        case "execute", {"id": str(name)}:
            return {**given, "id": rulesets.get(name, name)}
        case "skip", {"rulesets": list(names)}:
            given = {
                **given,
                "rulesets": [rulesets.get(name, name) if isinstance(name, str) else name for name in names],
            }
    match rule.action, given:
        case "skip", {"rules": dict(rules)}:
            return {**given, "rules": {rulesets.get(name, name): ids for name, ids in rules.items()}}
    return given


def _members(members: dict[str, bytes]) -> Iterator[bytes]:
    """The members of a JSON object that are JSON already. Names are plain by their pattern."""
    for number, (name, part) in enumerate(members.items()):
        yield b'%s"%s":' % (b"," if number else b"", name.encode())
        yield part
