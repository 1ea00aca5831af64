"""The origin of the benches and the client with a steady rate: small programs in `benches/load`, compiled on first use.

They are Rust without a crate, so that `rustc` alone builds them in a second or two, and quick enough that a proxy
between them is near saturation: the origin answers about 200,000 requests a second on one core.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benches.machine import CLIENT_CORE, ROOT, pinned

from bartizan.failure import Failure

_SOURCES: Final = ROOT / "benches" / "load"
_BUILT: Final = ROOT / ".cache" / "benches" / "bin"


def program(name: str) -> Path:
    """The compiled form of `benches/load/NAME.rs`. Raises Failure where it does not compile."""
    built = _BUILT / name
    source = _SOURCES / f"{name}.rs"
    if built.exists() and built.stat().st_mtime > max(one.stat().st_mtime for one in _SOURCES.glob("*.rs")):
        return built
    _BUILT.mkdir(parents=True, exist_ok=True)
    command = ["rustc", "--edition", "2024", "-O", "-o", str(built), str(source)]
    compiled = subprocess.run(command, capture_output=True, text=True, check=False)
    if compiled.returncode != 0:
        raise Failure(f"{source} does not compile with rustc: {compiled.stderr.strip()[:2000]}")
    return built


@contextmanager
def origin() -> Iterator[int]:
    """An origin on the client's core for as long as the block lasts; its port."""
    command = pinned(CLIENT_CORE, [program("origin"), "127.0.0.1:0"])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline().rpartition(":")[2])
        finally:
            process.kill()


def body(length: int) -> bytes:
    """What the origin answers to `/bytes/LENGTH`."""
    return (bytes(range(251)) * (length // 251 + 1))[:length]
