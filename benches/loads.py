"""The load on a proxy: closed loop by `wrk` and `h2load`, open loop by `h2load --rps` and by our own `steady`.

Closed loop (the next request follows the answer) finds what a proxy can do; open loop (requests come at their time)
finds how long answers take. `h2load` sends the requests that fell due in bursts of at least 10 ms, so each connection
is given fewer than 90 requests a second: then none shares its burst with another.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benches.machine import CLIENT_CORE, pinned
from benches.origin import program
from benches.proxies import HOST, Protocol, Proxy

from bartizan.failure import Failure

CONNECTIONS: Final = 64
"""Of HTTP/1.1, each with one request at a time."""

H2_CONNECTIONS: Final = 16
H2_STREAMS: Final = 4
"""HTTP/2 has the same 64 requests in hand, four on each connection."""

_RATE_PER_CONNECTION: Final = 90.0
_UNIT_S: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass(frozen=True)
class Served:
    """What a closed loop got."""

    requests: int
    seconds: float
    failed: int

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


@dataclass(frozen=True)
class Latency:
    """What an open loop saw, in microseconds. `rate` is the one that was reached.

    `answered` counts every request, those of the start too that are left out of all other figures.
    """

    answered: int
    requests: int
    failed: int
    rate: float
    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float


def closed(proxy: Proxy, protocol: Protocol, path: str, seconds: float) -> Served:
    """As many requests as the proxy answers in `seconds`."""
    if protocol == "HTTP/1.1":
        return _wrk(proxy.url(protocol, path), seconds)
    streams = H2_STREAMS if protocol == "HTTP/2+TLS" else 1
    connections = H2_CONNECTIONS if protocol == "HTTP/2+TLS" else CONNECTIONS
    options = ["-D", f"{seconds * 1000:.0f}ms", "-c", str(connections), "-m", str(streams), *_version(protocol)]
    begin = time.monotonic()
    text = _output(["h2load", *options, proxy.url(protocol, path)])
    # A timed h2load reports over -D, and lets what is in hand at its end finish: the whole run is the truth.
    seconds_taken = time.monotonic() - begin
    done, succeeded = _h2load_requests(text)
    return Served(succeeded, seconds_taken, done - succeeded)


def open_loop(proxy: Proxy, protocol: Protocol, path: str, rate: float, seconds: float, log: Path) -> Latency:
    """Latencies at `rate` requests a second by `h2load --rps`; the log that they are taken from is removed."""
    connections = max(H2_CONNECTIONS, int(rate / _RATE_PER_CONNECTION) + 1)
    streams = H2_STREAMS if protocol == "HTTP/2+TLS" else 1
    options = ["-D", f"{seconds * 1000:.0f}ms", "-c", str(connections), "-m", str(streams)]
    options += ["--rps", f"{rate / connections:.3f}", f"--log-file={log}", *_version(protocol)]
    _output(["h2load", *options, proxy.url(protocol, path)])
    lines = [line.split("\t") for line in log.read_text().splitlines()]
    log.unlink()
    rows = sorted((int(start), int(status), int(us)) for start, status, us in lines)
    begin = rows[0][0] if rows else 0
    # Connections are opened in the first second, and the proxy pays for their handshakes then.
    settled = [(status, us) for start, status, us in rows if start - begin >= 1_000_000]
    right = sorted(us for status, us in settled if status == 200)
    span_s = max(seconds - 1, 0.001)
    return Latency(
        len(rows),
        len(settled),
        len(settled) - len(right),
        len(settled) / span_s,
        *(_at(right, s) for s in (0.5, 0.99, 0.999, 1)),
    )


def steady(
    proxy: Proxy,
    length: int,
    rate: float,
    seconds: float,
    hosts: Path,
    *,
    connections: int = 64,
    log: Path | None = None,
) -> Latency:
    """Latencies over HTTP/1.1 at `rate` by our own open loop, which checks every byte of every answer."""
    with start_steady(proxy.http, length, rate, seconds, hosts, connections=connections, log=log) as process:
        output, _ = process.communicate(timeout=seconds + 60)
    return steady_result(output, seconds)


def start_steady(
    port: int, length: int, rate: float, seconds: float, hosts: Path, *, connections: int = 64, log: Path | None = None
) -> subprocess.Popen[str]:
    """The same in the background; its output is read by `steady_result`."""
    command = [program("steady"), f"127.0.0.1:{port}", length, rate, connections, seconds, hosts]
    if log is not None:
        command.append(log)
    pinned_command = pinned(CLIENT_CORE, [str(part) for part in command])
    return subprocess.Popen(pinned_command, stdout=subprocess.PIPE, text=True)


def steady_result(output: str, seconds: float) -> Latency:
    """What `steady` printed. Raises Failure with its reasons where every request failed."""
    said = json.loads(output)
    if said["failed"] == said["requests"]:
        raise Failure(f"every request of the steady load failed: {said['reasons']}")
    rate = said["requests"] / seconds
    return Latency(
        said["requests"],
        said["requests"],
        said["failed"],
        rate,
        said["p50_us"],
        said["p99_us"],
        said["p999_us"],
        said["max_us"],
    )


def host_file(directory: Path, hosts: list[str] | None = None) -> Path:
    """The file from which `steady` takes the names it asks for."""
    file = directory / "hosts"
    file.write_text("".join(f"{host}\n" for host in hosts or [HOST]))
    return file


def _wrk(url: str, seconds: float) -> Served:
    # wrk takes whole seconds only.
    text = _output(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", url])
    totals = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)", text)
    if totals is None:
        raise Failure(f"wrk printed no totals for {url}: {text.strip()[:300]}")
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    failed = sum(map(int, errors.groups())) if errors else 0
    if other := re.search(r"Non-2xx or 3xx responses: (\d+)", text):
        failed += int(other.group(1))
    return Served(int(totals.group(1)), float(totals.group(2)) * _UNIT_S[totals.group(3)], failed)


def _version(protocol: Protocol) -> list[str]:
    return [] if protocol == "HTTP/2+TLS" else ["--h1"]


def _h2load_requests(text: str) -> tuple[int, int]:
    found = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text)
    if found is None:
        raise Failure(f"h2load printed no totals: {text.strip()[:300]}")
    done, succeeded, failed, errored, _ = map(int, found.groups())
    return max(done, succeeded + failed + errored), succeeded


def _output(command: list[str]) -> str:
    run = subprocess.run(pinned(CLIENT_CORE, command), capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise Failure(f"{' '.join(command)} ended with {run.returncode}: {(run.stderr or run.stdout).strip()[:300]}")
    return run.stdout


def _at(ordered: list[int], share: float) -> float:
    if not ordered:
        return float("nan")
    return float(ordered[min(int(len(ordered) * share), len(ordered) - 1)])
