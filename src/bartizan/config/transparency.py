"""The settings of key transparency, `[transparency]` of the site file: what the processes of that room need to know.

The namespaces and keys of an auditor are not here: they change while it runs, and its database has them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

from msgspec import Meta, Struct
from msgspec.structs import replace

__all__ = ["DEFAULT_LISTEN", "FILE_SETTINGS", "Auditor", "Monitor", "Transparency", "WatchedAuditor", "located"]

_Table = TypeVar("_Table", bound=Struct)

DEFAULT_LISTEN = "127.0.0.1:9420"

FILE_SETTINGS = ("certificate_file", "key_file", "client_ca_file", "log_ca_file", "ca_file", "webhook_ca_file")
"""Settings that name a file, relative to the directory of the site file."""


class Auditor(Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """A key transparency auditor. With this table in the site file `bartizan up` runs one."""

    listen: Annotated[
        list[str],
        Meta(
            description=(
                "Addresses for plain HTTP, for reading only: whoever publishes needs a client certificate. Where "
                "neither `listen` nor `listen_tls` is set: `127.0.0.1:9420`."
            )
        ),
    ] = []
    listen_tls: Annotated[
        list[str], Meta(description="Addresses for HTTPS. Needs `certificate_file` and `key_file`.")
    ] = []
    certificate_file: Annotated[
        str | None, Meta(description="PEM file: the auditor's certificate, then its chain. Read when it starts.")
    ] = None
    key_file: Annotated[str | None, Meta(description="PEM file of the certificate's private key.")] = None
    client_ca_file: Annotated[
        str | None,
        Meta(
            description=(
                "PEM file of the authorities whose client certificates are believed. Unset: nobody can publish. Use "
                "an authority of your own: a name in a certificate is all that tells publishers apart."
            )
        ),
    ] = None
    administrators: Annotated[
        list[str],
        Meta(
            description=(
                "Names in client certificates (host names, URIs and e-mail addresses of the subject's alternative "
                "names) of those who may add namespaces, change all of them and publish in all."
            )
        ),
    ] = []
    workers: Annotated[
        int, Meta(ge=0, le=256, description="Processes that verify proofs, each on a core. 0: none here.")
    ] = 1
    proof_limit_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            le=1_099_511_627_776,
            description="Longer proofs are not fetched, in bytes. Of one, as much is held in memory.",
        ),
    ] = 2_147_483_648
    proof_timeout_s: Annotated[
        int, Meta(ge=1, le=86_400, description="Seconds in which the whole proof must come.")
    ] = 3600
    log_ca_file: Annotated[
        str | None,
        Meta(description="PEM file of the authorities to trust for log directories. Unset: the public ones."),
    ] = None
    connections: Annotated[
        int, Meta(ge=4, le=10_000, description="Connections at a time. One address has a quarter of them at most.")
    ] = 256


class WatchedAuditor(Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """An auditor that the monitor asks."""

    url: Annotated[str, Meta(description="Where it is, as in `https://auditor.example:9420`.")]
    ca_file: Annotated[
        str | None, Meta(description="PEM file of the authorities to trust for it. Unset: the public ones.")
    ] = None
    keys: Annotated[
        list[str],
        Meta(
            description=(
                "Its public keys, as 64 hexadecimal digits. Unset: those that it publishes, in which case whoever can "
                "answer in its place can sign in its place."
            )
        ),
    ] = []


class Monitor(Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """A monitor of auditors. With this table in the site file `bartizan up` runs one."""

    auditors: Annotated[
        list[WatchedAuditor], Meta(description="The auditors to compare, one or several, each a table with `url`.")
    ]
    namespaces: Annotated[list[str], Meta(description="Namespaces to watch. Unset: all that an auditor lists.")] = []
    interval_s: Annotated[int, Meta(ge=1, le=86_400, description="Seconds between two looks at all auditors.")] = 60
    log_delay_s: Annotated[
        int,
        Meta(ge=0, le=604_800, description="Seconds after a signature in which the log need not serve the proof yet."),
    ] = 600
    log_ca_file: Annotated[
        str | None,
        Meta(description="PEM file of the authorities to trust for log directories. Unset: the public ones."),
    ] = None
    webhook: Annotated[
        str | None,
        Meta(
            description=(
                "URL to which each finding is posted as JSON, with every statement about the epoch as evidence, again "
                "at each look until it is taken (a status from 200 to 299). Unset: none."
            )
        ),
    ] = None
    webhook_ca_file: Annotated[
        str | None, Meta(description="PEM file of the authorities to trust for the webhook. Unset: the public ones.")
    ] = None


class Transparency(Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """Key transparency: see `docs/guide/transparency.md`."""

    auditor: Annotated[
        Auditor | None, Meta(description="A key transparency auditor; `{}` takes every default. Unset: none.")
    ] = None
    monitor: Annotated[Monitor | None, Meta(description="A monitor of auditors. Unset: none.")] = None


def located(settings: Transparency, directory: Path) -> Transparency:
    """The settings with the files in them made absolute; relative ones are relative to `directory`."""
    if settings.auditor is not None:
        settings = replace(settings, auditor=_located(settings.auditor, directory))
    if settings.monitor is not None:
        auditors = [_located(auditor, directory) for auditor in settings.monitor.auditors]
        settings = replace(settings, monitor=replace(_located(settings.monitor, directory), auditors=auditors))
    return settings


def _located(table: _Table, directory: Path) -> _Table:
    named = {key: getattr(table, key) for key in FILE_SETTINGS if getattr(table, key, None) is not None}
    return replace(table, **{key: str(directory / name) for key, name in named.items()})
