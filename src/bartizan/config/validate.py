"""What only makes sense between settings, or outside the file: names claimed twice, addresses, missing files.

What a rule's expression means is not judged here but by the edge (`native`), which compiles it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import UNSET
from msgspec.structs import replace

from bartizan._native import ListFileRefused
from bartizan.config import lists
from bartizan.config.identity import ruleset_id
from bartizan.config.native import limits
from bartizan.config.problem import Finding, did_you_mean, where
from bartizan.config.problem import Path as SettingPath
from bartizan.config.sink_findings import sink_findings
from bartizan.config.site import Edge, ErrorPage, Listener, ListSource, Rule, Ruleset, Site, Zone
from bartizan.config.source import Source
from bartizan.config.transparency_findings import transparency_findings

__all__ = ["address_fault", "read_lists", "read_pages", "validate"]

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE | re.ASCII)
_PLAIN_HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z][a-z0-9-]{0,60}[a-z0-9])+", re.ASCII)
_PLAIN_URL = re.compile(r"https?://[a-z0-9][a-z0-9.-]{0,200}(:[1-9][0-9]{0,3})?", re.ASCII)
"""What most host names and URLs look like, to be let pass without a closer look: a thousand zones have thousands."""

_STATUS = re.compile(r"[1-5][0-9]{2}(-[1-5][0-9]{2})?(,[1-5][0-9]{2}(-[1-5][0-9]{2})?)*", re.ASCII)
_DEFAULT_PHASE = "http_request_firewall_custom"
_SECLANG_PHASE = "http_request_firewall_managed"


def validate(site: Site, source: Source) -> Iterator[Finding]:
    """Everything wrong with a site whose values have the right types. Paths of findings are those of `source`."""
    for finding in chain(
        _edge(site.edge, source),
        _zones(site, source.directory),
        _origins(site, source),
        _rules(site, source),
        sink_findings(site, source.directory),
        transparency_findings(site.transparency, source.directory, address_fault),
    ):
        yield replace(finding, path=source.original(finding.path))


def read_lists(site: Site, source: Source) -> tuple[dict[str, bytes], list[Finding]]:
    """The items of the lists by file as JSON, and the lists that have none or cannot be read."""
    items: dict[str, bytes] = {}
    findings = []
    directory = source.directory
    for name, entry in site.lists.items():
        wrong = _list(name, entry)
        if wrong is not None:
            findings.append(wrong)
        elif entry.file is not None:
            try:
                items[name] = lists.read(entry.kind, directory / entry.file)
            except OSError as error:
                findings.append(Finding(("lists", name, "file"), _unreadable("file", entry.file, directory, error)))
            except ListFileRefused as error:
                line, message = error.args
                findings.append(Finding(("lists", name), message, elsewhere=(source.shown(entry.file), line)))
    return items, findings


def read_pages(site: Site, source: Source) -> tuple[dict[str, str], list[Finding]]:
    """The error pages by file, and what is said of those that have no text or cannot be read."""
    pages: dict[str, str] = {}
    findings = []
    scopes: list[tuple[SettingPath, dict[str, ErrorPage]]] = [
        (("account", "error_pages"), site.account.error_pages),
        *((("zones", name, "error_pages"), zone.error_pages) for name, zone in site.zones.items()),
    ]
    for scope, given in scopes:
        for kind, page in given.items():
            path = (*scope, kind)
            if (page.file is None) == (page.content is None):
                has = "has neither a file nor content" if page.file is None else "has both a file and content"
                findings.append(Finding(path, f'"{kind}" {has}; give it file = "..." or content = "..."', "key"))
            elif page.file is not None:
                try:
                    pages[page.file] = (source.directory / page.file).read_text(encoding="utf-8")
                except OSError as error:
                    message = _unreadable("file", page.file, source.directory, error)
                    findings.append(Finding((*path, "file"), message))
                except UnicodeDecodeError:
                    message = f'"file" names {source.directory / page.file}, which is not UTF-8; save it as UTF-8'
                    findings.append(Finding((*path, "file"), message))
    return pages, findings


def _edge(edge: Edge, source: Source) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for key, listeners in (("listen", edge.listen), ("listen_tls", edge.listen_tls)):
        for index, listener in enumerate(listeners):
            address = listener.address if isinstance(listener, Listener) else listener
            path: SettingPath = ("edge", key, index)
            wrong = address_fault(address)
            if wrong is not None:
                yield Finding(path, wrong)
            elif address in seen and not address.endswith(":0"):
                yield Finding(path, f'"{address}" is listened on twice, here and in {seen[address]}; leave one out')
            seen.setdefault(address, f"{key} {source.ordinal(path)}")
    for index, network in enumerate(edge.trusted_proxies):
        wrong = _network_fault(network)
        if wrong is not None:
            yield Finding(("edge", "trusted_proxies", index), wrong)
    for key, file in (("location_file", edge.geo.location_file), ("asn_file", edge.geo.asn_file)):
        if file is not None:
            yield from _file(("edge", "geo", key), file, source.directory)
    known = {limit.name: limit for limit in limits()}
    for name, value in edge.limits.items():
        limit = known.get(name)
        path = ("edge", "limits", name)
        if limit is None:
            yield Finding(path, f'unknown limit "{name}"{did_you_mean(name, list(known))}', "key")
        elif not limit.min <= value <= limit.max:
            default = f"leave it out for {limit.default}"
            yield Finding(path, f'"{name}" is {value}; it must be from {limit.min} to {limit.max}, or {default}')


def _zones(site: Site, directory: Path) -> Iterator[Finding]:
    if not site.zones:
        yield Finding(("zones",), "there is no zone; add a table such as [zones.shop] with hosts and origins", gap=True)
    hosts: dict[str, str] = {}
    default: str | None = None
    for name, zone in site.zones.items():
        path: SettingPath = ("zones", name)
        if not zone.hosts and not zone.default:
            message = 'answers to no host; add hosts = ["..."], or default = true for every other name'
            yield Finding((*path, "hosts"), message, "key", gap=True)
        if zone.default and default is not None:
            yield Finding((*path, "default"), f'zone "{default}" is the default already; one zone can be')
        if zone.default and default is None:
            default = name
        for index, host in enumerate(zone.hosts):
            wrong = _host_fault(host)
            if wrong is not None:
                yield Finding((*path, "hosts", index), wrong)
                continue
            claimed = hosts.setdefault(host.lower(), name)
            if claimed != name:
                message = f'"{host}" belongs to zone "{claimed}" already; a host can be in one zone'
                yield Finding((*path, "hosts", index), message)
            elif any(host.lower() == other.lower() for other in zone.hosts[:index]):
                yield Finding((*path, "hosts", index), f'"{host}" is there twice; leave one out')
        yield from _pool(path, zone, directory)
        yield from _tls(path, zone, site.edge, directory)


def _origins(site: Site, source: Source) -> Iterator[Finding]:
    for name, zone in site.zones.items():
        yield from _servers(("zones", name), zone, source)


def _servers(path: SettingPath, zone: Zone, source: Source) -> Iterator[Finding]:
    if not zone.origins:
        message = '"origins" is empty; name at least one server, as in "http://127.0.0.1:8000"'
        yield Finding((*path, "origins"), message, gap=True)
    urls: dict[str, int] = {}
    weights = []
    for index, origin in enumerate(zone.origins):
        url = origin if isinstance(origin, str) else origin.url
        weights.append(1 if isinstance(origin, str) else origin.weight)
        wrong = _url_fault(url)
        if wrong is not None:
            yield Finding((*path, "origins", index), wrong)
        elif url in urls:
            first = source.ordinal((*path, "origins", urls[url]))
            message = f'"{url}" is origin {first} already; give that one a higher weight instead'
            yield Finding((*path, "origins", index), message)
        urls.setdefault(url, index)
    if weights and not any(weights):
        yield Finding((*path, "origins"), "every weight is 0, so no server would get a request; give one a weight")


def _pool(path: SettingPath, zone: Zone, directory: Path) -> Iterator[Finding]:
    pool = zone.pool
    if pool.host_header is not None and _authority_fault(pool.host_header):
        message = f'"host_header" is "{pool.host_header}"; it must be a host name, with or without a port'
        yield Finding((*path, "pool", "host_header"), message)
    if pool.tls.server_name is not None and _host_fault(pool.tls.server_name) is not None:
        message = f'"server_name" is "{pool.tls.server_name}"; it must be a host name or an IP address'
        yield Finding((*path, "pool", "tls", "server_name"), message)
    if pool.tls.ca_file is not None:
        yield from _file((*path, "pool", "tls", "ca_file"), pool.tls.ca_file, directory)
    health = pool.active_health
    if health is not None and not health.path.startswith("/"):
        message = f'"path" is "{health.path}"; it must begin with /'
        yield Finding((*path, "pool", "active_health", "path"), message)
    if health is not None and not _STATUS.fullmatch(health.status):
        message = f'"status" is "{health.status}"; write statuses as in "200", "200-399" or "200-299,404"'
        yield Finding((*path, "pool", "active_health", "status"), message)


def _tls(path: SettingPath, zone: Zone, edge: Edge, directory: Path) -> Iterator[Finding]:
    tls = zone.tls
    for index, files in enumerate(tls.certificates):
        certificate: SettingPath = (*path, "tls", "certificates", index)
        yield from _file((*certificate, "certificate_file"), files.certificate_file, directory)
        yield from _file((*certificate, "key_file"), files.key_file, directory)
    if tls.https_redirect and not edge.listen_tls and not edge.trusted_proxies:
        message = (
            "there is no HTTPS to redirect to; set listen_tls in [edge], or trusted_proxies if a proxy in front has it"
        )
        yield Finding((*path, "tls", "https_redirect"), message)
    if tls.acme is None:
        return
    acme: SettingPath = (*path, "tls", "acme")
    if tls.certificates:
        yield Finding(acme, "has certificates by file and by ACME; leave one of the two out", "key")
    if not zone.hosts:
        yield Finding((*path, "hosts"), "has no host for ACME to certify; add hosts", "key", gap=True)
    for host in zone.hosts:
        if host.startswith("*."):
            message = (
                f'HTTP-01 cannot prove the wildcard "{host}"; name its hosts one by one, or use certificates by file'
            )
            yield Finding(acme, message, "key")
        elif _is_address(host):
            message = f'the address "{host}" cannot be certified; name the zone by hosts, or use certificates by file'
            yield Finding(acme, message, "key")
    if not edge.listen_tls:
        yield Finding(acme, "there is no HTTPS to use the certificate; set listen_tls in [edge]", "key")
    elif not edge.listen:
        message = "the authority must reach the edge over plain HTTP on port 80 (HTTP-01); set listen in [edge]"
        yield Finding(acme, message, "key")
    if not tls.acme.directory_url.startswith("https://"):
        message = f'"directory_url" is "{tls.acme.directory_url}"; ACME needs https://'
        yield Finding((*acme, "directory_url"), message)
    if tls.acme.ca_file is not None:
        yield from _file((*acme, "ca_file"), tls.acme.ca_file, directory)


def _rules(site: Site, source: Source) -> Iterator[Finding]:
    places: dict[str, SettingPath] = {}
    rulesets = {name: ruleset_id(name, ruleset) for name, ruleset in site.rulesets.items()}
    known = set(rulesets.values())
    taken: dict[str, str] = {}
    for name, identifier in rulesets.items():
        if identifier in taken:
            message = f'id "{identifier}" is that of ruleset "{taken[identifier]}" already; leave one of them out'
            yield Finding(("rulesets", name, "id"), message)
        taken.setdefault(identifier, name)
    scopes: list[tuple[SettingPath, list[Rule]]] = [
        (("account", "rules"), site.account.rules),
        *((("rulesets", name, "rules"), ruleset.rules) for name, ruleset in site.rulesets.items()),
        *((("zones", name, "rules"), zone.rules) for name, zone in site.zones.items()),
    ]
    for path, rules in scopes:
        refs: dict[str, int] = {}
        for index, rule in enumerate(rules):
            if rule.ref is not None and refs.setdefault(rule.ref, index) != index:
                ordinal = source.ordinal((*path, refs[rule.ref]))
                message = f'ref "{rule.ref}" is that of rule {ordinal} already; a ref names one rule'
                yield Finding((*path, index, "ref"), message)
            if rule.id is not None and rule.id in places:
                first = where(source.original(places[rule.id]))
                message = f'id "{rule.id}" is that of {first} already; leave it out to have one derived'
                yield Finding((*path, index, "id"), message)
            elif rule.id is not None:
                places[rule.id] = (*path, index)
            if rule.action == "execute":
                yield from _execute((*path, index), rule, rulesets, known)
    for name, ruleset in site.rulesets.items():
        yield from _seclang(("rulesets", name), ruleset)
        phase = ruleset.phase or _DEFAULT_PHASE
        for index, rule in enumerate(ruleset.rules):
            if rule.phase not in (phase, _DEFAULT_PHASE):
                message = f'phase is "{rule.phase}", but the ruleset runs in "{phase}"; leave the phase out'
                yield Finding(("rulesets", name, "rules", index, "phase"), message)


def _seclang(path: SettingPath, ruleset: Ruleset) -> Iterator[Finding]:
    if ruleset.seclang is None:
        for key, value in (("paranoia_level", ruleset.paranoia_level), ("setup", ruleset.setup)):
            if value is not None:
                message = f'"{key}" is for rules of SecLang; add seclang = "crs", or leave it out'
                yield Finding((*path, key), message, "key")
        return
    if ruleset.rules:
        yield Finding((*path, "seclang"), "has both rules and seclang; make two rulesets of them", "key")
    if ruleset.phase not in (None, _SECLANG_PHASE):
        message = f'phase is "{ruleset.phase}", but SecLang begins in "{_SECLANG_PHASE}"; leave the phase out'
        yield Finding((*path, "phase"), message)


def _execute(path: SettingPath, rule: Rule, rulesets: dict[str, str], known: set[str]) -> Iterator[Finding]:
    given = (rule.action_parameters or {}).get("id")
    if not isinstance(given, str):
        message = 'action "execute" does not say which ruleset; add action_parameters = { id = "NAME" }'
        yield Finding((*path, "action"), message)
        return
    identifier = rulesets.get(given, given)
    if identifier not in known:
        message = (
            f'there is no ruleset "{given}"{did_you_mean(given, list(rulesets)) or "; define it as [rulesets.NAME]"}'
        )
        yield Finding((*path, "action_parameters", "id"), message)


def _list(name: str, entry: ListSource) -> Finding | None:
    both = entry.items is not UNSET and entry.file is not None
    if both:
        return Finding(("lists", name), "has both items and a file; keep one of them", "key")
    if entry.items is UNSET and entry.file is None:
        message = 'has neither items nor a file; add items = [...] or file = "..."'
        return Finding(("lists", name, "items"), message, "key", gap=True)
    return None


def _file(path: SettingPath, name: str, directory: Path) -> Iterator[Finding]:
    try:
        # Opened only to say what is wrong: a thousand zones name two thousand files, and the edge reads them anyway.
        if not _readable(os.path.join(directory, name)):  # noqa: PTH118  pathlib takes ten times as long
            with (directory / name).open("rb"):
                pass
    except OSError as error:
        yield Finding(path, _unreadable(str(path[-1]), name, directory, error))


def _readable(file: str) -> bool:
    return os.access(file, os.R_OK) and not os.path.isdir(file)  # noqa: PTH112  as above


def _unreadable(key: str, name: str, directory: Path, error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    return f'"{key}" names {directory / name}, which cannot be read ({reason}); correct the path or its permissions'


def address_fault(address: str) -> str | None:
    """What is wrong with an address to listen on; None if nothing is."""
    host, colon, port = address.rpartition(":")
    way_out = 'write it as in "0.0.0.0:8080" or "[::]:8080"'
    if not colon or not port.isascii() or not port.isdigit():
        return f'"{address}" has no port; {way_out}'
    if int(port) > 65535:
        return f'"{address}" has port {port}, but ports end at 65535'
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        version = ip_address(bare).version
    except ValueError:
        return f'"{address}" is not a numeric address; {way_out}'
    if (version == 6) != host.startswith("["):
        return f'"{address}" is ambiguous; an IPv6 address stands in brackets, as in "[::]:8080"'
    return None


def _network_fault(network: str) -> str | None:
    try:
        ip_network(network)
    except ValueError:
        pass
    else:
        return None
    try:
        meant = ip_network(network, strict=False)
    except ValueError:
        return f'"{network}" is not an address or a CIDR prefix; write it as in "10.0.0.0/8"'
    return f'"{network}" has bits set after its prefix; did you mean "{meant}"?'


def _host_fault(host: str) -> str | None:
    if _PLAIN_HOST.fullmatch(host):
        return None
    name = host.removeprefix("*.")
    if "://" in host:
        return f'"{host}" is a URL; leave out the scheme: "{urlsplit(host).netloc}"'
    if not name.isascii():
        try:
            coded = host.encode("idna").decode()
        except UnicodeError:
            return f'"{host}" is not a host name'
        return f'"{host}" must be written as DNS has it: "{coded}"'
    if "*" in name or name == "":
        return (
            f'"{host}" is no wildcard that can be served; only the whole first label can be *, as in "*.shop.example"'
        )
    if _is_address(name):
        return None
    if ":" in name:
        return f'"{host}" has a port; leave it out: the listeners say the ports'
    if name.endswith("."):
        return f'"{host}" ends with a dot; leave it out'
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        return f'"{host}" is not a host name; labels of letters, digits and hyphens, with dots between'
    return None


def _is_address(host: str) -> bool:
    try:
        ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _authority_fault(authority: str) -> bool:
    host, colon, port = authority.rpartition(":")
    if colon and port.isdigit() and not host.endswith(":"):
        return int(port) > 65535 or _host_fault(host) is not None
    return _host_fault(authority) is not None


def _url_fault(url: str) -> str | None:
    if _PLAIN_URL.fullmatch(url) and _PLAIN_HOST.fullmatch(url.partition("://")[2].partition(":")[0]):
        return None
    if url.startswith("unix:"):
        if url.startswith("unix:/"):
            return None
        return f'"{url}" is not an absolute path; write it as in "unix:/run/app.sock"'
    try:
        parsed = urlsplit(url)
        port, host = parsed.port, parsed.hostname
    except ValueError:
        return f'"{url}" is not a URL with a valid host and port; write it as in "http://127.0.0.1:8000"'
    if "://" not in url:
        return f'"{url}" has no scheme; did you mean "http://{url}"?'
    if parsed.scheme not in ("http", "https"):
        return f'"{url}" has scheme "{parsed.scheme}"; origins are http://, https:// or unix:/path'
    if not host or port == 0 or (_host_fault(host) is not None or host.startswith("*")):
        return f'"{url}" is not a URL with a valid host and port; write it as in "http://127.0.0.1:8000"'
    if parsed.username is not None:
        return "the URL holds a user name; leave it out: the edge sends no credentials of its own"
    if parsed.path not in ("", "/") or parsed.query or parsed.fragment:
        return f'"{url}" has a path; leave it out: requests keep the path that the client sent'
    return None
