"""Ports for programs that must be told theirs before they listen.

A port that was free a moment ago may be another's by the time that it is wanted: the system hands out ports of its
ephemeral range to whoever asks for any. So these come from below that range, and nobody who takes one from here is
given the same, in this process or in another.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_COUNT = 12_000

_reserved: list[socket.socket] = []
"""A UDP socket for each port that this process was given, which says so to others for as long as it lives."""


def reserved_port() -> int:
    """A port of loopback on which nobody listens, and that nobody else is given while this process lives."""
    end = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32_768
    start = os.getpid() * 61 + len(_reserved)
    for number in range(_COUNT):
        port = end - 1 - (start + number) % _COUNT
        if _reserve(port):
            return port
    raise RuntimeError(f"all {_COUNT} ports below {end} are taken")


def _reserve(port: int) -> bool:
    reservation = socket.socket(type=socket.SOCK_DGRAM)
    try:
        reservation.bind(("127.0.0.1", port))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
    except OSError:
        reservation.close()
        return False
    _reserved.append(reservation)
    return True
