"""ArcSight's Common Event Format, version 0, in the messages of a syslog sink: SIEMs read it as it is.

    CEF:0|Bartizan|edge|0.1.0|RULE OR STATUS|what happened|severity|rt=… src=… request=…

The keys are those of the format's dictionary. `cn1` is the status, `cs1` to `cs4` are Ray ID, zone, rule and source,
each with its label.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

import bartizan
from bartizan.config.sinks import Cef
from bartizan.events.sinks.syslog import Message, SyslogSink

_EXTENSION: Final = {
    "src": ("ClientIP",),
    "spt": ("ClientSrcPort",),
    "requestMethod": ("ClientRequestMethod",),
    "dhost": ("ClientRequestHost",),
    "request": ("ClientRequestURI", "ClientRequestPath"),
    "app": ("ClientRequestProtocol",),
    "requestClientApplication": ("ClientRequestUserAgent",),
    "act": ("SecurityAction", "Action"),
    "cn1": ("EdgeResponseStatus",),
    "cs1": ("RayID",),
    "cs2": ("ZoneName",),
    "cs3": ("SecurityRuleID", "RuleID"),
    "cs4": ("Source", "Reason"),
    "cnt": ("SampleInterval",),
}
"""Key of the format, and the columns of which the first that an event has is its value."""

_LABELS: Final = {"cn1": "status", "cs1": "RayID", "cs2": "zone", "cs3": "rule", "cs4": "source"}

_LOW: Final = 2
_HIGH: Final = 7
"""Severities from 0 to 10: of what was let pass, and of what a rule acted on or the edge refused."""


class CefSink(SyslogSink):
    """A syslog sink whose messages are in CEF."""

    def __init__(self, settings: Cef) -> None:
        super().__init__(settings)
        self._datasets = settings.datasets or ["firewall_events"]

    def message(self, table: str, row: str) -> Message:
        """What the message says of a row, which is a JSON object."""
        said = super().message(table, row)
        return said._replace(text=event(table, json.loads(row), said.moment))


def event(table: str, values: dict[str, Any], moment: str) -> str:
    """One event in CEF."""
    acted = table != "http_requests" or bool(values.get("SecurityAction"))
    signature = _first(values, ("RuleID", "SecurityRuleID", "Reason", "EdgeResponseStatus")) or table
    name = _first(values, ("Description", "SecurityRuleDescription", "Reason")) or table
    head = "|".join(
        _head(part)
        for part in ("Bartizan", "edge", bartizan.__version__, signature, name, str(_HIGH if acted else _LOW))
    )
    return f"CEF:0|{head}|{' '.join(_pairs(values, moment))}"


def _pairs(values: dict[str, Any], moment: str) -> list[str]:
    pairs = [f"rt={int(datetime.fromisoformat(moment).timestamp() * 1000)}"] if moment.endswith("Z") else []
    for key, columns in _EXTENSION.items():
        value = _first(values, columns)
        if value:
            pairs.append(f"{key}={_extension(value)}")
            if key in _LABELS:
                pairs.append(f"{key}Label={_LABELS[key]}")
    return pairs


def _first(values: dict[str, Any], columns: tuple[str, ...]) -> str:
    return next((str(value) for column in columns if (value := values.get(column))), "")


def _head(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")


def _extension(text: str) -> str:
    return text.replace("\\", "\\\\").replace("=", "\\=").replace("\r", "\\r").replace("\n", "\\n")
