"""The same engines in proxies: nginx with ModSecurity, Go's reverse proxy behind Coraza's middleware, and the edge.

Each proxy is one process on one core; the client (`benches/load/once.rs`, 16 kept-alive connections) and the origin
share the other. What is counted is the processor time of the proxy's process, everything in it. A request that may pass
is answered by the origin, which has nothing but 404s; the status of any other is that of the refusal.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from benches import edge, usage
from benches.certificates import certificate
from benches.machine import CLIENT_CORE, PROXY_CORE, pinned
from benches.nginx import nginx
from benches.origin import origin, program
from benches.proxies import HOST, Proxy, free_port
from benches.waf import harness, rules
from benches.waf.harness import CORAZA, LIBMODSECURITY, OURS, PREFILTER, Judged, Verdict

from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.policy.apply import apply

_CONNECTIONS: Final = 16
_PASSED: Final = 404

_SITE: Final = """\
[edge]
listen = ["127.0.0.1:{http}"]
listen_tls = ["127.0.0.1:{https}"]
threads = 1
limits.requests_per_connection = 1_000_000_000

[rulesets.crs]
phase = "http_request_firewall_managed"
seclang = "{rules}"
paranoia_level = {level}

[zones.bench]
default = true
origins = ["{origin}"]

[[zones.bench.tls.certificates]]
certificate_file = "{certificate}"
key_file = "{key}"

[[zones.bench.rules]]
phase = "http_request_firewall_managed"
expression = "true"
action = "execute"
action_parameters.id = "crs"
"""


class Behind:
    """A proxy, and the client that asks it."""

    def __init__(self, proxy: Proxy, client: subprocess.Popen[bytes]) -> None:
        self.pid = proxy.pid
        self._proxy = proxy
        self._client = client

    def judge(self, requests: list[bytes]) -> Judged:
        """Sends it a batch. Raises Failure where the client ends instead of telling what was answered."""
        assert self._client.stdin is not None
        assert self._client.stdout is not None
        before = usage.spent(self.pid, without=self._proxy.left_out)
        # A client that has ended takes nothing; the line that does not come says so.
        with suppress(BrokenPipeError):
            harness.write_batch(self._client.stdin, requests)
        line = self._client.stdout.readline()
        spent_s = usage.spent(self.pid, without=self._proxy.left_out).since(before)
        if not line:
            raise Failure(f"the client of {self._proxy.name} ended with {self._client.wait()}; see what it says above")
        statuses = json.loads(line)
        verdicts = (Verdict(0 if status == _PASSED else status, frozenset()) for status in statuses)
        return Judged(round(spent_s * 1e9), tuple(verdicts))


@contextmanager
def sides(folder: Path, level: int, directory: Path) -> Iterator[dict[str, Behind]]:
    """All proxies with the rules of a paranoia level, for as long as the block lasts."""
    built = harness.build_go("coraza-proxy", "./proxy")
    client = program("once")
    directory.mkdir()
    with ExitStack() as stack:
        upstream = stack.enter_context(origin())
        plain, prefiltered = (rules.entry(folder, level, prefilter=prefilter) for prefilter in (False, True))
        modsecurity = nginx("as the edge", upstream, directory / "nginx", modsecurity=plain)
        proxies = {
            LIBMODSECURITY: stack.enter_context(modsecurity),
            CORAZA: stack.enter_context(_go(built, plain, upstream)),
            PREFILTER: stack.enter_context(_go(built, prefiltered, upstream)),
            OURS: stack.enter_context(_edge(plain, level, upstream, directory)),
        }
        yield {name: stack.enter_context(behind(proxy, client)) for name, proxy in proxies.items()}


@contextmanager
def behind(proxy: Proxy, client: Path) -> Iterator[Behind]:
    """A proxy with a client of its own, for as long as the block lasts."""
    command = pinned(CLIENT_CORE, [client, f"127.0.0.1:{proxy.http}", str(_CONNECTIONS)])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Behind(proxy, process)
        finally:
            process.kill()
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.close()


@contextmanager
def _go(built: Path, file: Path, upstream: int) -> Iterator[Proxy]:
    command = pinned(PROXY_CORE, [built, file, f"http://127.0.0.1:{upstream}"])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline()
            if not address:
                raise Failure(f"{built} ended with {process.wait()}; what it wrote above says why")
            port = int(address.rpartition(":")[2])
            yield Proxy("Go with Coraza", process.pid, port, port)
        finally:
            process.kill()


@contextmanager
def _edge(file: Path, level: int, upstream: int, directory: Path) -> Iterator[Proxy]:
    with the_edge(write_site(directory / "site.toml", file, level, upstream), directory) as proxy:
        yield proxy


@contextmanager
def the_edge(site: Path, directory: Path) -> Iterator[Proxy]:
    """The edge with the policy that a site file makes; each request leaves an event in the spool."""
    state = StateDirectory(directory / "state")
    applied = apply(site, state, author="benches.waf", ask_edge=False)
    if applied.outcome != "applied":
        raise Failure(f"the policy of the bench is {applied.outcome}: {'; '.join(map(str, applied.problems))}")
    policy: dict[str, Any] = json.loads(state.current_policy.read_bytes())
    with edge.edge("the edge", policy, directory / "edge", events="spool") as proxy:
        yield proxy


def write_site(site: Path, file: Path, level: int, upstream: int) -> Path:
    """Writes the site file of the edge: one zone, and the rules of a paranoia level for every request."""
    certificate_file, key_file = certificate(HOST)
    text = _SITE.format(
        http=free_port(),
        https=free_port(),
        origin=f"http://127.0.0.1:{upstream}",
        certificate=certificate_file,
        key=key_file,
        rules=file,
        level=level,
    )
    site.write_text(text)
    return site
