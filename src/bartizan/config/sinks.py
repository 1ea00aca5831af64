"""The settings of sinks, `[sinks.NAME]`: where events go from the spool, one table for each type.

They are part of the site file (`bartizan.config.site`), and the event owner reads them as `apply` wrote them down.
What is secret is named and not written: a file that holds it, or a variable of the environment.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = ["CHDB", "DATASETS", "FILE_SETTINGS", "Chdb", "Dataset", "Files", "Secret", "Sink"]

CHDB = "chdb"
"""The name of the built-in sink, and its type: one installation has one."""

Dataset = Literal["http_requests", "firewall_events", "bartizan_refusals"]
DATASETS: tuple[Dataset, ...] = ("http_requests", "firewall_events", "bartizan_refusals")
"""The event tables, as docs/reference/events.md has them."""

FILE_SETTINGS = frozenset({"dir", "file", "ca_file"})
"""Settings of sinks that name a file or directory, relative to that of the site file."""

Seconds = Annotated[int, Meta(ge=1, le=86_400)] | Annotated[float, Meta(ge=0.001, le=86_400)]


class Secret(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Where a secret is found: one of the two. It is read when the sink opens, and again after a failure."""

    file: Annotated[str | None, Meta(description="File that holds it; white space around it is left out.")] = None
    env: Annotated[str | None, Meta(description="Variable in the environment of the event owner that holds it.")] = None


class _Any(Struct, forbid_unknown_fields=True, kw_only=True, tag_field="type"):
    enabled: Annotated[
        bool,
        Meta(description="Whether events are sent there. Off keeps the place: switched on again, it goes on there."),
    ] = True


class _Datasets(_Any, kw_only=True):
    datasets: Annotated[list[Dataset] | None, Meta(description="Event tables that are sent. Unset: all.")] = None


class Chdb(_Datasets, kw_only=True, tag=CHDB):
    """The embedded event store that `query` and `ray` ask. It is there without being named, where chDB is installed."""


class Files(_Datasets, kw_only=True, tag="files"):
    """Files in a directory, one for each range of the spool, in a directory for each event table. Exactly once."""

    dir: Annotated[str, Meta(min_length=1, description="Directory of the files; made where it is missing.")]
    format: Annotated[
        Literal["ndjson", "parquet"],
        Meta(description="A JSON object on each line, or Parquet (`pip install 'bartizan[parquet]'`)."),
    ] = "ndjson"
    compression: Annotated[
        Literal["none", "gzip"], Meta(description="Whether NDJSON is compressed. Parquet always is, with Zstandard.")
    ] = "none"
    every_s: Annotated[
        Seconds,
        Meta(description="A file is begun after so many seconds, or as soon as there is enough for a full one."),
    ] = 60


Sink = Chdb | Files
