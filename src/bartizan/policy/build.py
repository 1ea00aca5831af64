"""The policy of a site file, and the certificates that this installation has to provide for it."""

from __future__ import annotations

import msgspec

from bartizan.certificates import acme, development
from bartizan.config.document import Parts, parts
from bartizan.config.load import Loaded
from bartizan.config.site import CertificateFiles, Site
from bartizan.layout import StateDirectory

__all__ = ["made_here", "made_here_before", "policy_of", "provide_certificates"]


def policy_of(loaded: Loaded, site: Site, state: StateDirectory) -> Parts:
    """The policy that a site file asks for. Writes nothing: certificates are named, not made."""
    return parts(
        site,
        directory=loaded.source.directory,
        spool=state.spool,
        list_items=loaded.list_items,
        pages=loaded.pages,
        rule_sets=loaded.rule_sets,
        certificates=_certificates(site, state),
    )


def made_here(site: Site, state: StateDirectory) -> dict[str, list[str]]:
    """The hosts of the zones whose certificates are this installation's to make, by zone."""
    return {name: [host.lower() for host in site.zones[name].hosts] for name in _certificates(site, state)}


def made_here_before(policy: Parts, state: StateDirectory) -> dict[str, list[str]]:
    """As `made_here`, of a policy whose site file is history."""
    wanted: dict[str, list[str]] = {}
    for name, part in policy.zones.items():
        zone = msgspec.json.decode(part, type=_Zone)
        if _file(state, name, policy) in {files.certificate_file for files in zone.tls.certificates}:
            wanted[name] = zone.hosts
    return wanted


def provide_certificates(policy: Parts, wanted: dict[str, list[str]], state: StateDirectory) -> None:
    """Makes the certificates of those zones and hosts where they are not there."""
    development.ensure_certificates(state, wanted)
    acme.ensure_placeholders(state, [name for name in wanted if name in policy.acme])


class _Tls(msgspec.Struct):
    certificates: list[CertificateFiles]


class _Zone(msgspec.Struct):
    hosts: list[str]
    tls: _Tls


def _certificates(site: Site, state: StateDirectory) -> dict[str, CertificateFiles]:
    """Certificates of the zones that bring none, where TLS is spoken at all."""
    if not site.edge.listen_tls:
        return {}
    return {
        name: (development if zone.tls.acme is None else acme).certificate_files(state, name)
        for name, zone in site.zones.items()
        if not zone.tls.certificates
    }


def _file(state: StateDirectory, zone: str, policy: Parts) -> str:
    files = (acme if zone in policy.acme else development).certificate_files(state, zone)
    return str(files.certificate_file)
