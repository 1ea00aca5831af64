"""The development CA: HTTPS that works on the first run, without a name in the DNS and without an authority.

It is made once per state directory (ECDSA P-256, RFC 5280) and signs a certificate for each zone that has none. Nobody
trusts it until its owner says so; whoever holds its key can pose as any site to those who do, so the key is readable by
its owner only, and a public site uses ACME or its own files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bartizan.config.site import CertificateFiles
from bartizan.durable import replace, replace_many
from bartizan.layout import StateDirectory
from bartizan.lock import in_turn

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

__all__ = ["ca_file", "certificate_files", "ensure_certificates", "leaf_file", "renew"]

CA_DAYS = 3650
LEAF_DAYS = 90
RENEW_DAYS = 30
"""A leaf with less than this left is made anew."""

_LOCAL = ("localhost", "127.0.0.1", "::1")


class Leaf(msgspec.Struct):
    """What is known of a leaf without reading it. `not_after` is in seconds since 1970."""

    hosts: list[str]
    not_after: int


def ca_file(state: StateDirectory) -> Path:
    """The certificate of the development CA, for those who want to trust it."""
    return state.ca / "ca.pem"


def leaf_file(state: StateDirectory, zone: str) -> Path:
    """Key and certificate of a zone."""
    return state.ca / "leaves" / f"{zone}.pem"


def certificate_files(state: StateDirectory, zone: str) -> CertificateFiles:
    """The file of a zone's certificate and key, made or not."""
    file = str(leaf_file(state, zone))
    return CertificateFiles(certificate_file=file, key_file=file)


def ensure_certificates(state: StateDirectory, zones: dict[str, list[str]]) -> None:
    """Makes a certificate for each zone and its hosts where there is none that is good for another 30 days.

    `zones` are host names by zone. Raises OSError where the state directory cannot be written.
    """
    if not _wanting(state, zones):
        return
    state.ca.mkdir(mode=0o700, parents=True, exist_ok=True)
    with in_turn(state.ca / "lock"):  # the supervisor's renewal and an apply may want to at the same time
        _make(state, _wanting(state, zones))


def renew(state: StateDirectory) -> list[str]:
    """Makes those leaves anew that are about to expire; the zones concerned.

    Those of zones that are in the policy no more are removed instead.
    """
    if not _expiring(state):
        return []
    with in_turn(state.ca / "lock"):
        expiring = _expiring(state)
        zones = _zones(state)
        stale = {name: hosts for name, hosts in expiring.items() if zones is None or name in zones}
        if stale != expiring:
            _forget(state, expiring.keys() - stale.keys())
        if stale:
            _make(state, stale)
        return sorted(stale)


def _wanting(state: StateDirectory, zones: dict[str, list[str]]) -> dict[str, list[str]]:
    """Those of the zones that have no certificate, one for other hosts, or one that is about to expire."""
    known = _leaves(state)
    expiring = _expiring(state)
    directory = state.ca / "leaves"
    present = (
        {entry.name for entry in os.scandir(directory)} if directory.exists() and ca_file(state).exists() else set()
    )
    return {
        name: hosts
        for name, hosts in zones.items()
        if name in expiring or (leaf := known.get(name)) is None or leaf.hosts != hosts or f"{name}.pem" not in present
    }


def _expiring(state: StateDirectory) -> dict[str, list[str]]:
    soon = time.time() + RENEW_DAYS * 86_400
    return {name: leaf.hosts for name, leaf in _leaves(state).items() if leaf.not_after < soon}


class _Named(msgspec.Struct):
    name: str


class _Policy(msgspec.Struct):
    zones: list[_Named]


def _zones(state: StateDirectory) -> set[str] | None:
    """The zones of the policy in effect; None where that cannot be read."""
    try:
        policy = msgspec.json.decode(state.current_policy.read_bytes(), type=_Policy)
    except (OSError, msgspec.MsgspecError):
        return None
    return {zone.name for zone in policy.zones}


def _forget(state: StateDirectory, zones: Iterable[str]) -> None:
    known = _leaves(state)
    for name in zones:
        leaf_file(state, name).unlink(missing_ok=True)
        del known[name]
    replace(state.ca / "leaves.json", msgspec.json.encode(known, order="deterministic"))


def _leaves(state: StateDirectory) -> dict[str, Leaf]:
    try:
        return msgspec.json.decode((state.ca / "leaves.json").read_bytes(), type=dict[str, Leaf])
    except (FileNotFoundError, msgspec.MsgspecError):
        return {}


def _make(state: StateDirectory, zones: dict[str, list[str]]) -> None:
    from cryptography.hazmat.primitives import serialization

    known = _leaves(state)
    authority, authority_key = _authority(state)
    (state.ca / "leaves").mkdir(mode=0o700, parents=True, exist_ok=True)
    files = {}
    for name, hosts in zones.items():
        certificate, key = _leaf(hosts, authority, authority_key)
        files[leaf_file(state, name)] = _private(key) + certificate.public_bytes(serialization.Encoding.PEM)
        known[name] = Leaf(hosts, int(certificate.not_valid_after_utc.timestamp()))
    replace_many(files)
    replace(state.ca / "leaves.json", msgspec.json.encode(known, order="deterministic"))


def _authority(state: StateDirectory) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    """The CA of this state directory, made where there is none yet or it ends before a leaf would."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key_file = state.ca / "ca.key"
    now = datetime.now(UTC)
    try:
        found = x509.load_pem_x509_certificate(ca_file(state).read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    except (FileNotFoundError, ValueError):
        found = None
    if (
        found is not None
        and isinstance(key, ec.EllipticCurvePrivateKey)
        and key.public_key() == found.public_key()
        and found.not_valid_after_utc > now + timedelta(days=LEAF_DAYS)
    ):
        return found, key
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Bartizan"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Bartizan development CA {serial:x}"[:40]),
        ]
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    replace(key_file, _private(key))
    replace(ca_file(state), made.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return made, key


def _leaf(
    hosts: list[str], authority: x509.Certificate, authority_key: EllipticCurvePrivateKey
) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    names = [_general_name(host) for host in dict.fromkeys((*hosts, *_LOCAL))]
    issuer_identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Bartizan development certificate")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=LEAF_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_identifier), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    return certificate, key


def _general_name(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
