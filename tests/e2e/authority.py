"""Certificates for the zones of a test, from the product's own development CA."""

from __future__ import annotations

import ssl
from pathlib import Path

from tests.e2e.conftest import Document

from bartizan.certificates import development
from bartizan.layout import StateDirectory


class Authority:
    """The development CA of one test, and those who trust it."""

    def __init__(self, directory: Path) -> None:
        """Keeps its files below `directory`."""
        self.state = StateDirectory(directory / "state")
        self.state.create()

    @property
    def file(self) -> Path:
        """The certificate to trust."""
        return development.ca_file(self.state)

    def tls(self, zone: str, *hosts: str, **settings: str | bool | Document) -> Document:
        """The `tls` object of a zone with a certificate for these hosts."""
        development.ensure_certificates(self.state, {zone: list(hosts)})
        files = development.certificate_files(self.state, zone)
        return {
            "certificates": [{"certificate_file": files.certificate_file, "key_file": files.key_file}],
            **settings,
        }

    def leaf(self, zone: str) -> Path:
        """Key and certificate of a zone."""
        return development.leaf_file(self.state, zone)

    def trust(self, *protocols: str) -> ssl.SSLContext:
        """A client's context that trusts this CA and nothing else, with these protocols in ALPN."""
        context = ssl.create_default_context(cafile=self.file)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context


def listen(*, plain: bool = True) -> Document:
    """The `edge` settings of an edge that speaks TLS on a free port, and without TLS on another."""
    listeners: list[Document] = [{"address": "127.0.0.1:0", "tls": True}]
    if plain:
        listeners.append({"address": "127.0.0.1:0"})
    return {"listen": listeners}
