"""An auditor as a process of its own: its site file and certificates, and what its publishers connect with."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


def auditor_site(directory: Path, *, workers: int) -> tuple[Path, trustme.CA]:
    """A site file of an auditor that listens on a free port of 127.0.0.1, and who its certificates are from."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(directory / "own.pem")
    site = directory / "auditor.toml"
    site.write_text(
        '[transparency.auditor]\nlisten_tls = ["127.0.0.1:0"]\ncertificate_file = "own.pem"\nkey_file = "own.pem"\n'
        f'client_ca_file = "ca.pem"\nworkers = {workers}\n'
    )
    return site, authority


def publisher_context(authority: trustme.CA, name: str | None) -> ssl.SSLContext:
    """What the publisher of that name connects with, or who has no certificate."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if name is not None:
        authority.issue_cert(name).configure_cert(context)
    return context
