"""JA3 and JA4 computed a second time, in Python, from a ClientHello caught on a socket.

What the edge writes into events is held against this reading of the two specifications: JA3 (Salesforce, 2017) and JA4
(FoxIO, `technical_details/JA4.md`), for clients over TCP.
"""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator

_GREASE = {0x0A0A + 0x1010 * step for step in range(16)}
_VERSIONS = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10"}


class HelloCatcher:
    """Listens, keeps the first record of the first connection and closes it."""

    def __init__(self) -> None:
        """Listens on a free port of loopback."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._caught = bytearray()
        self._thread = threading.Thread(target=self._catch, daemon=True)
        self._thread.start()

    def _catch(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(30)
            while len(self._caught) < 5 or len(self._caught) < 5 + int.from_bytes(self._caught[3:5], "big"):
                data = connection.recv(65536)
                if not data:
                    return
                self._caught += data
        self._listener.close()

    def hello(self) -> bytes:
        """The body of the ClientHello message; waits for it."""
        self._thread.join(30)
        assert self._caught[:1] == b"\x16", f"no TLS record: {bytes(self._caught[:20])!r}"
        return bytes(self._caught[9 : 9 + int.from_bytes(self._caught[6:9], "big")])


def fingerprints(hello: bytes) -> tuple[str, str]:
    """JA3 (as MD5) and JA4 of a ClientHello's body."""
    version = int.from_bytes(hello[:2], "big")
    place = 34 + 1 + hello[34]
    suites_length = int.from_bytes(hello[place : place + 2], "big")
    suites = list(_numbers(hello[place + 2 : place + 2 + suites_length]))
    place += 2 + suites_length
    place += 1 + hello[place]
    extensions = dict(_extensions(hello[place + 2 :]))
    return _ja3(version, suites, extensions), _ja4(version, suites, extensions)


def _ja3(version: int, suites: list[int], extensions: dict[int, bytes]) -> str:
    curves = list(_numbers(extensions.get(10, b"\0\0")[2:]))
    formats = list(extensions.get(11, b"\0")[1:])
    parts = (suites, list(extensions), curves, formats)
    text = ",".join([str(version), *("-".join(str(n) for n in part if n not in _GREASE) for part in parts)])
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _ja4(version: int, suites: list[int], extensions: dict[int, bytes]) -> str:
    suites = [suite for suite in suites if suite not in _GREASE]
    kinds = [kind for kind in extensions if kind not in _GREASE]
    offered = [number for number in _numbers(extensions.get(43, b"\0")[1:]) if number not in _GREASE]
    spoken = _VERSIONS.get(max(offered, default=version), "00")
    protocol = extensions.get(16, b"")
    first = protocol[3 : 3 + protocol[2]].decode() if protocol else ""
    alpn = first[0] + first[-1] if first else "00"
    signatures = list(_numbers(extensions.get(13, b"\0\0")[2:]))
    name = "d" if 0 in extensions else "i"
    head = f"t{spoken}{name}{min(len(suites), 99):02}{min(len(kinds), 99):02}{alpn}"
    sorted_kinds = ",".join(f"{kind:04x}" for kind in sorted(kinds) if kind not in (0, 16))
    last = sorted_kinds + ("_" + ",".join(f"{number:04x}" for number in signatures) if signatures else "")
    return f"{head}_{_short(','.join(f'{suite:04x}' for suite in sorted(suites)))}_{_short(last)}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "0" * 12


def _numbers(data: bytes) -> Iterator[int]:
    for place in range(0, len(data) - 1, 2):
        yield int.from_bytes(data[place : place + 2], "big")


def _extensions(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        length = int.from_bytes(data[2:4], "big")
        yield int.from_bytes(data[:2], "big"), data[4 : 4 + length]
        data = data[4 + length :]
