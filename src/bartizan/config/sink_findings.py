"""What is wrong with the sinks of a site file, as far as that can be told without asking where they lead."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bartizan.config.problem import Finding
from bartizan.config.problem import Path as SettingPath
from bartizan.config.sinks import (
    CHDB,
    S3,
    AccessLog,
    Cef,
    Chdb,
    Clickhouse,
    Files,
    Https,
    Kafka,
    Nats,
    Otlp,
    Secret,
    Sink,
    Syslog,
)
from bartizan.config.site import Site

__all__ = ["missing_library", "sink_findings"]


_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
"""A header name (RFC 9110 §5.6.2)."""

_OWN_HEADERS: Final = frozenset({
    "bartizan-batch", "bartizan-dataset", "connection", "content-encoding", "content-length", "content-type", "host",
    "transfer-encoding",
})  # fmt: skip


OWN_ATTRIBUTES: Final = frozenset({"service.instance.id", "service.version"})
"""Attributes of the resource of traces that the sink sets."""

_OWN_SETTINGS: Final = frozenset({
    "acks", "bootstrap.servers", "enable.auto.commit", "enable.idempotence", "group.id", "log_level",
    "transactional.id",
})  # fmt: skip


def sink_findings(site: Site, directory: Path) -> Iterator[Finding]:
    """Everything wrong with the sinks; relative paths of the site are relative to `directory`."""
    places: dict[str, str] = {}
    for name, sink in site.sinks.items():
        path: SettingPath = ("sinks", name)
        if isinstance(sink, Chdb) and name != CHDB:
            message = f'a sink of type "{CHDB}" is called "{CHDB}", since there is one; write [sinks.{CHDB}]'
            yield Finding(path, message, "key")
        if name == CHDB and not isinstance(sink, Chdb):
            yield Finding(path, f'"{CHDB}" is the built-in event store; give this sink another name', "key")
        if getattr(sink, "datasets", None) == []:
            message = '"datasets" is empty; leave it out for all, or set enabled = false'
            yield Finding((*path, "datasets"), message, gap=True)
        missing = missing_library(sink)
        if missing is not None and sink.enabled:
            yield Finding((*path, "type"), missing)
        match sink:
            case Files(dir=key) | AccessLog(file=str(key)):
                setting = "dir" if isinstance(sink, Files) else "file"
                other = places.setdefault(os.path.normpath(directory / key), name)
                if other != name:
                    message = f'"{setting}" is that of sink "{other}" already; two sinks would write over each other'
                    yield Finding((*path, setting), message)
            case Https() | Otlp():
                yield from _url((*path, "url"), sink.url, insecure=sink.insecure)
                yield from _headers(path, sink)
                if isinstance(sink, Otlp):
                    yield from _resource((*path, "resource"), sink.resource)
            case Clickhouse():
                yield from _url((*path, "url"), sink.url, insecure=sink.insecure)
            case S3():
                yield from _url((*path, "endpoint"), sink.endpoint, insecure=sink.insecure)
            case Nats():
                yield from _servers((*path, "servers"), sink.servers)
            case Kafka():
                for key, names in (("settings", list(sink.settings)), ("secret_settings", list(sink.secret_settings))):
                    yield from _client_settings((*path, key), names)
            case Syslog() | Cef():
                yield from _address((*path, "address"), sink.address)
        if (ca_file := getattr(sink, "ca_file", None)) is not None:
            yield from _readable((*path, "ca_file"), ca_file, directory)
        yield from _secrets(path, sink, directory)


def _url(path: SettingPath, url: str, *, insecure: bool) -> Iterator[Finding]:
    """What is wrong with a URL, which is never shown whole: it may hold what should not be there."""
    key = path[-1]
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if not host or parts.scheme not in ("http", "https"):
        yield Finding(path, f'"{key}" is no URL with a host; write it as in "https://logs.example"')
    elif parts.username is not None or parts.password is not None:
        yield Finding(path, f'"{key}" holds a user name or password; leave it out, and name the secret by file or env')
    elif parts.scheme == "http" and not _is_loopback(host) and not insecure:
        message = f'"{key}" is plain http to another machine, where everybody on the way reads events and secrets; use '
        yield Finding(path, message + "https://, or set insecure = true")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _headers(path: SettingPath, sink: Https | Otlp) -> Iterator[Finding]:
    named: dict[str, str] = {}
    for key, names in (("headers", list(sink.headers)), ("secret_headers", list(sink.secret_headers))):
        for name in names:
            place = (*path, key, name)
            if not _TOKEN.fullmatch(name):
                yield Finding(place, f'"{name}" is no name of a header', "key")
            elif name.lower() in _OWN_HEADERS:
                yield Finding(place, f'"{name}" is set by the sink itself; leave it out', "key")
            elif named.setdefault(name.lower(), key) != key:
                yield Finding(place, f'"{name}" is in headers already; keep one of the two', "key")
    for name, value in sink.headers.items():
        if not value.isprintable():
            yield Finding((*path, "headers", name), f'"{name}" has a character that a header cannot have')
        elif name.lower() in ("authorization", "cookie", "x-api-key"):
            message = f'"{name}" is secret; write it in secret_headers, as {{ file = "..." }} or {{ env = "..." }}'
            yield Finding((*path, "headers", name), message, "key")


def _resource(path: SettingPath, names: Iterable[str]) -> Iterator[Finding]:
    for name in names:
        if name == "service.name":
            yield Finding((*path, name), f'"{name}" is set by service_name; leave it out here', "key")
        elif name in OWN_ATTRIBUTES:
            yield Finding((*path, name), f'"{name}" is set by the sink itself; leave it out', "key")


def _servers(path: SettingPath, servers: list[str]) -> Iterator[Finding]:
    for index, server in enumerate(servers):
        try:
            parts = urlsplit(server)
            wrong = parts.scheme not in ("nats", "tls") or not parts.hostname or (parts.port or 1) < 1
        except ValueError:
            parts, wrong = urlsplit(""), True
        if wrong:
            yield Finding((*path, index), 'is no server; write it as in "nats://10.0.0.1:4222" or "tls://nats.example"')
        elif parts.username is not None:
            message = "holds a user name or token; leave it out, and use user and password, or token"
            yield Finding((*path, index), message)


def _client_settings(path: SettingPath, names: list[str]) -> Iterator[Finding]:
    for name in names:
        if name in _OWN_SETTINGS:
            yield Finding((*path, name), f'"{name}" is set by the sink itself; leave it out', "key")
        elif path[-1] == "settings" and any(word in name for word in ("password", "secret", "key.pem")):
            message = f'"{name}" is secret; write it in secret_settings, as {{ file = "..." }} or {{ env = "..." }}'
            yield Finding((*path, name), message, "key")


def _address(path: SettingPath, address: str) -> Iterator[Finding]:
    scheme, _, rest = address.partition(":")
    if scheme == "unix" and rest.startswith("/"):
        return
    try:
        parts = urlsplit(address)
        wrong = (
            scheme not in ("tcp", "tls", "udp") or not parts.hostname or not parts.port or parts.path not in ("", "/")
        )
    except ValueError:
        wrong = True
    if wrong:
        message = f'"{path[-1]}" is "{address}"; write it as in "tcp://siem.example:6514", "udp://10.0.0.1:514" or '
        yield Finding(path, message + '"unix:/dev/log"')


def _readable(path: SettingPath, file: str, directory: Path) -> Iterator[Finding]:
    if not os.access(directory / file, os.R_OK):
        message = f'"{path[-1]}" names {directory / file}, which cannot be read; correct the path or its permissions'
        yield Finding(path, message)


def missing_library(sink: Sink) -> str | None:
    """Which library the sink needs that is not installed, and how to get it; None if there is none."""
    match sink:
        case Chdb():
            return _unless_installed("chdb", f'type "{CHDB}"', "analytics")
        case Nats():
            return _unless_installed("nats", 'type "nats"', "nats", "nats-py")
        case Kafka():
            return _unless_installed("confluent_kafka", 'type "kafka"', "kafka", "confluent-kafka")
        case Files(format="parquet") | S3(format="parquet"):
            return _unless_installed("pyarrow", 'format "parquet"', "parquet")
    return None


def _unless_installed(module: str, what: str, extra: str, package: str = "") -> str | None:
    if importlib.util.find_spec(module) is not None:
        return None
    return f"{what} needs {package or module}, which is not installed here; pip install 'bartizan[{extra}]'"


def _secrets(path: SettingPath, part: object, directory: Path) -> Iterator[Finding]:
    """The secrets in the settings of a sink: each is found in one place, and can be read."""
    if isinstance(part, Secret):
        yield from _secret(path, part, directory)
    elif isinstance(part, dict):
        for key, item in part.items():
            yield from _secrets((*path, str(key)), item, directory)
    else:
        for key in getattr(part, "__struct_fields__", ()):
            yield from _secrets((*path, key), getattr(part, key), directory)


def _secret(path: SettingPath, secret: Secret, directory: Path) -> Iterator[Finding]:
    name = path[-1]
    if (secret.file is None) == (secret.env is None):
        yield Finding(path, f'"{name}" names its secret in one way: {{ file = "..." }} or {{ env = "..." }}')
    elif secret.file is not None:
        yield from _readable((*path, "file"), secret.file, directory)
