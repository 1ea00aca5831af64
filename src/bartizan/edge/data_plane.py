"""`bartizan.Edge`: the data plane inside a Python process."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import msgspec

from bartizan import _native
from bartizan._native import PolicyRefused

__all__ = ["Edge", "Policy", "PolicyRefused"]

Policy = Mapping[str, Any] | bytes | str | os.PathLike[str]
"""A policy document: the document itself, its JSON, or the file that holds it, read at each start."""


class Edge:
    """A reverse proxy that applies a policy, on native threads of this process.

        with bartizan.Edge(policy) as edge:
            print(edge.listening)

    At most one edge runs in a process at a time; a second one raises RuntimeError when it starts. An edge that is
    dropped stops at once. In a forked child the threads of its parent's edge do not exist: every method raises
    RuntimeError there, and the child makes an edge of its own.

    `events` says whether requests leave events in the policy's spool; `acme_challenges` names the directory from which
    ACME HTTP-01 challenges are answered (RFC 8555 §8.3); `sticky_key` names the file of the key that signs stickiness
    cookies, made where it is missing: without one, clients change their origin server when the edge starts anew.
    `address_key` names that of the key under which events hash the addresses of clients, where the policy says so.
    `audit_logs` names the folder of the audit logs of rule sets in the ModSecurity rule language, made where it is
    missing: without one none is written.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        events: Literal["spool", "off"] = "spool",
        acme_challenges: Path | None = None,
        sticky_key: Path | None = None,
        address_key: Path | None = None,
        audit_logs: Path | None = None,
    ) -> None:
        options: dict[str, str] = {"events": events}
        if acme_challenges is not None:
            options["acme_challenges"] = str(acme_challenges)
        if sticky_key is not None:
            options["sticky_key"] = str(sticky_key)
        if address_key is not None:
            options["address_key"] = str(address_key)
        if audit_logs is not None:
            options["audit_logs"] = str(audit_logs)
        # A file is read when it is needed: the document of a thousand zones is 28 MB, too much to keep.
        self._policy = msgspec.json.encode(policy) if isinstance(policy, Mapping) else policy
        self._native = _native.Edge(msgspec.json.encode(options))

    def start(self) -> None:
        """Compile the policy, bind its addresses and start the threads, then return.

        Raises PolicyRefused where the policy has errors, OSError where the policy's file, an address or the spool
        cannot be opened, and RuntimeError where an edge runs in this process already.
        """
        self._native.start(_document(self._policy))

    def take_over(self, sockets: Sequence[int], spool_lock: int | None) -> None:
        """`start` in the place of another edge, with the descriptors that its `hand_over` gave; they are given away."""
        self._native.start(_document(self._policy), list(sockets), spool_lock)

    def hand_over(self) -> tuple[list[int], int | None]:
        """Descriptors for an edge in another process, which closes them: listening sockets, and the spool's lock.

        This edge serves on until it is stopped. Raises OSError where there are no descriptors left.
        """
        return self._native.hand_over()

    def stay(self) -> None:
        """Go on as if nothing had been handed over, because the other edge did not come up."""
        self._native.stay()

    def wait(self) -> None:
        """Block until the edge is stopped, by `stop` in another thread or by a signal.

        A signal handler that raises (KeyboardInterrupt for Ctrl-C) first lets the requests in hand finish.
        """
        self._native.wait()

    def serve(self) -> None:
        """`start`, then `wait`: what a program does that is nothing but an edge."""
        self.start()
        self.wait()

    def stop(self, grace_s: float | None = None) -> None:
        """Accept no more, let the requests in hand finish for at most `grace_s` seconds, and end the threads.

        Without `grace_s` the policy's limit `drain_timeout_ms` holds. Does nothing where the edge is not running.
        """
        self._native.shutdown(grace_s)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def apply(self, policy: Policy) -> dict[str, Any]:
        """Put another policy into effect for the requests that come from now on; none in hand is disturbed.

        The report names `version`, `zones`, `changed_zones`, `compile_ms` and `warnings`. Raises PolicyRefused where
        the policy has errors; the one before then stays.
        """
        report: dict[str, Any] = msgspec.json.decode(self._native.apply(_document(policy)))
        self._policy = msgspec.json.encode(policy) if isinstance(policy, Mapping) else policy
        return report

    @property
    def listening(self) -> list[tuple[str, bool]]:
        """The bound addresses as `host:port`, each with whether TLS is spoken there."""
        return self._native.listening()

    def status(self) -> dict[str, Any]:
        """Version of the policy, zones, addresses, threads, connections, uptime and every metric."""
        status: dict[str, Any] = msgspec.json.decode(self._native.status())
        return status

    def metrics(self) -> str:
        """The metrics in Prometheus' text format, version 0.0.4."""
        return self._native.metrics()

    def reload_certificates(self) -> tuple[int, list[str]]:
        """Read certificates again that changed on disk: how many did, and what is wrong with the others."""
        return self._native.reload_certificates()


def _document(policy: Policy) -> bytes:
    if isinstance(policy, bytes):
        return policy
    if isinstance(policy, Mapping):
        return msgspec.json.encode(policy)
    return Path(policy).read_bytes()
