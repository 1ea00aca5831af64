"""What every proxy under measurement is to a bench: a name, a process and two addresses."""

from __future__ import annotations

import hashlib
import socket
import subprocess
from dataclasses import dataclass
from typing import Final, Literal

from benches.machine import CLIENT_CORE, pinned

from bartizan.failure import Failure

HOST: Final = "localhost"
"""The name that all load tools send in Host and SNI; it must resolve, because not all of them can connect elsewhere."""

Protocol = Literal["HTTP/1.1", "HTTP/1.1+TLS", "HTTP/2+TLS"]
PROTOCOLS: Final[tuple[Protocol, ...]] = ("HTTP/1.1", "HTTP/1.1+TLS", "HTTP/2+TLS")


@dataclass(frozen=True)
class Proxy:
    """A running proxy. `left_out` are threads of the process whose time is not the proxy's."""

    name: str
    pid: int
    http: int
    https: int
    left_out: frozenset[int] = frozenset()

    def url(self, protocol: Protocol, path: str) -> str:
        """Where it serves `path`."""
        if protocol == "HTTP/1.1":
            return f"http://{HOST}:{self.http}{path}"
        return f"https://{HOST}:{self.https}{path}"


@dataclass(frozen=True)
class Answer:
    """What a client got: compared before anything is measured."""

    status: int
    version: str
    digest: str
    length: int


def answer(proxy: Proxy, protocol: Protocol, path: str) -> Answer:
    """One answer of a proxy, taken by curl. Raises Failure where there is none."""
    version = "--http2" if protocol == "HTTP/2+TLS" else "--http1.1"
    form = "\\n%{http_code} %{http_version}"
    url = proxy.url(protocol, path)
    command = pinned(CLIENT_CORE, ["curl", "-sSk", "--max-time", "10", version, "--write-out", form, url])
    taken = subprocess.run(command, capture_output=True, check=False)
    if taken.returncode != 0:
        raise Failure(f"{proxy.name} gave no answer to {url}: {taken.stderr.decode().strip()}")
    body, _, last = taken.stdout.rpartition(b"\n")
    status, _, spoken = last.decode().partition(" ")
    return Answer(int(status), spoken, hashlib.sha256(body).hexdigest(), len(body))


def cipher(proxy: Proxy) -> str:
    """TLS version and cipher suite that a proxy agrees on with OpenSSL, as every load tool here is OpenSSL."""
    import ssl

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", proxy.https), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as wrapped,
    ):
        agreed = wrapped.cipher()
    assert agreed is not None
    return f"{agreed[1]} {agreed[0]}"


def free_port() -> int:
    """A port of the loopback address that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
