"""Sends the requests of the demo over TLS, and finds what was stored of each."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bartizan.demo.requests import Sample
from bartizan.events import control
from bartizan.failure import Failure
from bartizan.layout import StateDirectory

_ARRIVES_S: Final = 120.0
"""How long the event of a request may take to the event store; it is under a second on an idle machine."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one request: as its client saw it, and as the event store has it."""

    sample: Sample
    status: int
    ray_id: str
    action: str = ""
    rule: str = ""

    @property
    def as_expected(self) -> bool:
        """Whether status, action and rule are those that the sample must get."""
        acted = {"pass": "", "refuse": ""}.get(self.sample.verdict, self.sample.verdict)
        return (self.status, self.action, self.rule) == (self.sample.expected_status, acted, self.sample.rule)


def send(sample: Sample, address: tuple[str, int], authority: Path) -> Answer:
    """Send one request and read its answer; only the development CA is trusted.

    Raises OSError or http.client.HTTPException where there is none.
    """
    context = ssl.create_default_context(cafile=str(authority))
    if sample.raw:
        with (
            socket.create_connection(address, 10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            tls.sendall(sample.raw)
            response = http.client.HTTPResponse(tls)
            response.begin()
            return _answer(sample, response)
    connection = http.client.HTTPSConnection(*address, context=context, timeout=10)
    try:
        host = {"Host": sample.host} if sample.host else {}
        connection.request("GET", sample.target, headers={"User-Agent": sample.user_agent} | host)
        return _answer(sample, connection.getresponse())
    finally:
        connection.close()


def stored(answers: Sequence[Answer], state: StateDirectory) -> list[Answer]:
    """The answers with the action and the rule that the event store has for each.

    Raises Failure where a request that left no event is waited for in vain, or where there is no event store.
    """
    rays = [answer.ray_id for answer in answers if answer.ray_id]
    deadline = time.monotonic() + _ARRIVES_S
    while missing := set(rays) - _arrived(rays, state, deadline):
        if time.monotonic() > deadline:
            raise Failure(
                f"no event of {', '.join(sorted(missing))} after {_ARRIVES_S:.0f} s; `bartizan doctor` may say why"
            )
        time.sleep(0.1)
    acted = _actions(rays, state)
    return [msgspec.structs.replace(answer, **acted.get(answer.ray_id, {})) for answer in answers]


def _answer(sample: Sample, response: http.client.HTTPResponse) -> Answer:
    response.read()
    ray_id = (response.headers.get("CF-Ray") or "").partition("-")[0]
    return Answer(sample=sample, status=response.status, ray_id=ray_id)


def _arrived(rays: Sequence[str], state: StateDirectory, deadline: float) -> set[str]:
    """Which requests are in the event store with every rule that acted; the two tables are filled one after the other.

    None is until the event owner, which starts beside the edge, answers.
    """
    among = f"WHERE RayID IN ({_quoted(rays)})"
    sql = (
        f"SELECT RayID FROM (SELECT RayID, length(SecurityActions) AS acted FROM http_requests {among}) AS request "  # noqa: S608  see _quoted
        f"LEFT JOIN (SELECT RayID, count() AS stored FROM firewall_events {among} GROUP BY RayID) AS event "
        "USING (RayID) WHERE acted = stored"
    )
    try:
        return {row["RayID"] for row in _query(sql, state)}
    except Failure:
        if time.monotonic() > deadline:
            raise
        return set()


def _actions(rays: Sequence[str], state: StateDirectory) -> dict[str, dict[str, str]]:
    columns = "RayID, Action, Description"
    sql = f"SELECT {columns} FROM firewall_events WHERE RayID IN ({_quoted(rays)}) ORDER BY Datetime"  # noqa: S608
    return {row["RayID"]: {"action": row["Action"], "rule": row["Description"]} for row in _query(sql, state)}


def _query(sql: str, state: StateDirectory) -> list[dict[str, Any]]:
    answer = control.query(state.events_socket, sql, "JSONEachRow")
    return [json.loads(line) for line in answer.splitlines()]


def _quoted(rays: Sequence[str]) -> str:
    """Ray IDs as SQL literals: letters and digits only, whatever the header said."""
    return ", ".join(f"'{ray}'" for ray in rays if ray.isalnum())
