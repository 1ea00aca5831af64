"""What is wrong with the sinks of a site file, as far as that can be told without asking where they lead."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

from bartizan.config.problem import Finding
from bartizan.config.problem import Path as SettingPath
from bartizan.config.sinks import CHDB, Chdb, Files, Secret, Sink
from bartizan.config.site import Site

__all__ = ["missing_library", "sink_findings"]


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
        if isinstance(sink, Files):
            other = places.setdefault(os.path.normpath(directory / sink.dir), name)
            if other != name:
                message = f'"dir" is that of sink "{other}" already; two sinks would take their files for each other\'s'
                yield Finding((*path, "dir"), message)
        yield from _secrets(path, sink, directory)


def missing_library(sink: Sink) -> str | None:
    """Which library the sink needs that is not installed, and how to get it; None if there is none."""
    match sink:
        case Chdb():
            return _unless_installed("chdb", f'type "{CHDB}"', "analytics")
        case Files(format="parquet"):
            return _unless_installed("pyarrow", 'format "parquet"', "parquet")
    return None


def _unless_installed(module: str, what: str, extra: str) -> str | None:
    if importlib.util.find_spec(module) is not None:
        return None
    return f"{what} needs {module}, which is not installed here; pip install 'bartizan[{extra}]'"


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
    elif secret.file is not None and not os.access(directory / secret.file, os.R_OK):
        message = f'"{name}" names {directory / secret.file}, which cannot be read; correct the path or its permissions'
        yield Finding((*path, "file"), message)
