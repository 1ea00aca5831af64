"""What is wrong with the settings of key transparency, as far as that can be told without starting it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bartizan.config.problem import Finding
from bartizan.config.problem import Path as SettingPath
from bartizan.config.transparency import FILE_SETTINGS, Auditor, Monitor, Transparency, WatchedAuditor

__all__ = ["transparency_findings"]

_KEY: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


def transparency_findings(
    settings: Transparency, directory: Path, address_fault: Callable[[str], str | None]
) -> Iterator[Finding]:
    """Everything wrong with them; `address_fault` says what is wrong with an address to listen on."""
    if settings.auditor is not None:
        yield from _auditor(settings.auditor, directory, address_fault)
    if settings.monitor is not None:
        yield from _monitor(settings.monitor, directory)


def _auditor(auditor: Auditor, directory: Path, address_fault: Callable[[str], str | None]) -> Iterator[Finding]:
    path: SettingPath = ("transparency", "auditor")
    for key in ("listen", "listen_tls"):
        for index, address in enumerate(getattr(auditor, key)):
            wrong = address_fault(address)
            if wrong is not None:
                yield Finding((*path, key, index), wrong)
    yield from _files(path, auditor, directory)
    for key in ("certificate_file", "key_file"):
        if getattr(auditor, key) is None and auditor.listen_tls:
            yield Finding((*path, key), f'"{key}" is missing; "listen_tls" needs a certificate and its key', "key")
    if auditor.administrators and auditor.client_ca_file is None:
        message = '"administrators" are known by their certificates; name the authority in client_ca_file'
        yield Finding((*path, "administrators"), message, "key")
    if auditor.client_ca_file is not None and not auditor.listen_tls:
        message = '"client_ca_file" is for addresses in listen_tls, and there are none; add one or leave it out'
        yield Finding((*path, "client_ca_file"), message, "key")


def _monitor(monitor: Monitor, directory: Path) -> Iterator[Finding]:
    path: SettingPath = ("transparency", "monitor")
    yield from _files(path, monitor, directory)
    if not monitor.auditors:
        yield Finding((*path, "auditors"), '"auditors" is empty; name at least one, as in [{ url = "https://..." }]')
    urls: set[str] = set()
    for index, auditor in enumerate(monitor.auditors):
        yield from _files((*path, "auditors", index), auditor, directory)
        if not _is_url(auditor.url):
            message = f'"url" is "{auditor.url}"; it must be http:// or https:// and a host, as https://auditor.example'
            yield Finding((*path, "auditors", index, "url"), message)
        if auditor.url.rstrip("/") in urls:
            yield Finding((*path, "auditors", index, "url"), f'"{auditor.url}" is there twice; leave one out')
        urls.add(auditor.url.rstrip("/"))
        for place, key in enumerate(auditor.keys):
            if not _KEY.fullmatch(key):
                message = f'"{key}" is not a public key; write 64 small hexadecimal digits'
                yield Finding((*path, "auditors", index, "keys", place), message)
    if monitor.webhook is not None and not _is_url(monitor.webhook):
        yield Finding((*path, "webhook"), f'"webhook" is "{monitor.webhook}"; it must be an http:// or https:// URL')


def _files(path: SettingPath, table: Auditor | Monitor | WatchedAuditor, directory: Path) -> Iterator[Finding]:
    for key in FILE_SETTINGS:
        name = getattr(table, key, None)
        if name is not None and not _is_readable(directory / name):
            message = f'"{key}" names {directory / name}, which cannot be read; correct the path or its permissions'
            yield Finding((*path, key), message)


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        return False


def _is_readable(file: Path) -> bool:
    return os.access(file, os.R_OK) and not file.is_dir()
