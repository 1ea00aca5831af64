"""What is wrong with the settings of key transparency, as far as that can be told without starting it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from bartizan.config.problem import Finding
from bartizan.config.problem import Path as SettingPath
from bartizan.config.transparency import FILE_SETTINGS, Auditor, Transparency

__all__ = ["transparency_findings"]


def transparency_findings(
    settings: Transparency, directory: Path, address_fault: Callable[[str], str | None]
) -> Iterator[Finding]:
    """Everything wrong with them; `address_fault` says what is wrong with an address to listen on."""
    if settings.auditor is not None:
        yield from _auditor(settings.auditor, directory, address_fault)


def _auditor(auditor: Auditor, directory: Path, address_fault: Callable[[str], str | None]) -> Iterator[Finding]:
    path: SettingPath = ("transparency", "auditor")
    for key in ("listen", "listen_tls"):
        for index, address in enumerate(getattr(auditor, key)):
            wrong = address_fault(address)
            if wrong is not None:
                yield Finding((*path, key, index), wrong)
    for key in FILE_SETTINGS:
        name = getattr(auditor, key)
        if name is not None and not _is_readable(directory / name):
            message = f'"{key}" names {directory / name}, which cannot be read; correct the path or its permissions'
            yield Finding((*path, key), message)
    for key in ("certificate_file", "key_file"):
        if getattr(auditor, key) is None and auditor.listen_tls:
            yield Finding((*path, key), f'"{key}" is missing; "listen_tls" needs a certificate and its key', "key")
    if auditor.administrators and auditor.client_ca_file is None:
        message = '"administrators" are known by their certificates; name the authority in client_ca_file'
        yield Finding((*path, "administrators"), message, "key")
    if auditor.client_ca_file is not None and not auditor.listen_tls:
        message = '"client_ca_file" is for addresses in listen_tls, and there are none; add one or leave it out'
        yield Finding((*path, "client_ca_file"), message, "key")


def _is_readable(file: Path) -> bool:
    return os.access(file, os.R_OK) and not file.is_dir()
