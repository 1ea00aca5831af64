"""The settings of sinks, `[sinks.NAME]`: where events go from the spool, one table for each type.

They are part of the site file (`bartizan.config.site`), and the event owner reads them as `apply` wrote them down.
What is secret is named and not written: a file that holds it, or a variable of the environment.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

__all__ = [
    "CHDB",
    "DATASETS",
    "FACILITIES",
    "FILE_SETTINGS",
    "S3",
    "AccessLog",
    "Cef",
    "Chdb",
    "Clickhouse",
    "Dataset",
    "Facility",
    "Files",
    "Https",
    "Kafka",
    "Nats",
    "Otlp",
    "Secret",
    "Sink",
    "Syslog",
]

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


class AccessLog(_Any, kw_only=True, tag="access_log"):
    """The combined access log, a line for each request. Exactly once in a file, at least once everywhere else."""

    file: Annotated[
        str | None,
        Meta(
            description=(
                "File, pipe or device that lines are added to; a file that was rotated away is left alone. Unset: "
                "standard output of `bartizan up`, among the lines of its log and with their beginning."
            )
        ),
    ] = None


_CaFile = Annotated[str | None, Meta(description="PEM file of the authorities to trust. Unset: those of the system.")]
_Insecure = Annotated[
    bool, Meta(description="Whether `http://` may be used beyond this machine: everybody on the way can read it.")
]
_Headers = Annotated[dict[str, str], Meta(description="Headers to send, by name.")]
_SecretHeaders = Annotated[dict[str, Secret], Meta(description="Headers to send whose values are secret.")]
_BodyCompression = Annotated[Literal["none", "gzip"], Meta(description="Compression of the bodies.")]
_Timeout = Annotated[Seconds, Meta(description="Seconds to connect, and to wait for an answer.")]


class _Web(_Datasets, kw_only=True):
    ca_file: _CaFile = None
    insecure: _Insecure = False


class Https(_Web, kw_only=True, tag="https"):
    """A log collector: NDJSON in POST requests. At least once: a request whose answer was lost is sent again."""

    url: Annotated[str, Meta(description="Where to post, as in `https://logs.example/ingest`; no place for secrets.")]
    headers: _Headers = {}
    secret_headers: _SecretHeaders = {}
    compression: _BodyCompression = "gzip"
    rows_per_request: Annotated[int, Meta(ge=1, le=8192, description="Events in one request at most.")] = 1000
    timeout_s: _Timeout = 30


class Otlp(_Any, kw_only=True, tag="otlp"):
    """OpenTelemetry traces by OTLP/HTTP: spans of each request. At least once, with the same span ids when repeated."""

    url: Annotated[
        str,
        Meta(
            description=(
                "The collector, as in `http://127.0.0.1:4318`; no place for secrets. Without a path: `/v1/traces`."
            )
        ),
    ]
    headers: _Headers = {}
    secret_headers: _SecretHeaders = {}
    ratio: Annotated[
        float,
        Meta(
            ge=0.0001,
            le=1,
            description=(
                "Share of the requests whose spans are sent; decided by the trace id, so that a trace is there as a "
                "whole. A row that stands for several requests counts as so many."
            ),
        ),
    ] = 1.0
    service_name: Annotated[
        str, Meta(min_length=1, description="`service.name` of the resource: what the traces are found by.")
    ] = "bartizan"
    resource: Annotated[
        dict[str, str], Meta(description="Further attributes of the resource, as in `deployment.environment.name`.")
    ] = {}
    rows_per_request: Annotated[int, Meta(ge=1, le=2048, description="Requests whose spans go in one post.")] = 500
    compression: _BodyCompression = "gzip"
    ca_file: _CaFile = None
    insecure: _Insecure = False
    timeout_s: _Timeout = 30


class Clickhouse(_Web, kw_only=True, tag="clickhouse"):
    """A ClickHouse server: database `bartizan`, tables and rollups as in the embedded event store. Exactly once."""

    url: Annotated[str, Meta(description="Its HTTP interface, as in `https://clickhouse.example:8443`.")]
    user: Annotated[str, Meta(min_length=1, description="User that may create the database and insert.")] = "default"
    password: Annotated[Secret | None, Meta(description="Password of that user.")] = None
    timeout_s: _Timeout = 60


class S3(_Web, kw_only=True, tag="s3"):
    """A bucket of S3 or of what speaks its protocol, with an object for each range of the spool. Exactly once."""

    endpoint: Annotated[str, Meta(description="URL of the service, as in `https://s3.eu-central-1.amazonaws.com`.")]
    bucket: Annotated[str, Meta(min_length=1, description="Bucket, which must exist; it is named in the path.")]
    prefix: Annotated[str, Meta(description="What keys begin with, as in `events/`.")] = ""
    region: Annotated[str, Meta(min_length=1, description="Region that requests are signed for.")] = "us-east-1"
    access_key_id: Annotated[str, Meta(min_length=1, description="Access key; it is no secret.")]
    secret_access_key: Annotated[Secret, Meta(description="The secret that belongs to it.")]
    format: Annotated[
        Literal["ndjson", "parquet"],
        Meta(description="A JSON object on each line, or Parquet (`pip install 'bartizan[parquet]'`)."),
    ] = "ndjson"
    compression: Annotated[
        Literal["none", "gzip"], Meta(description="Whether NDJSON is compressed. Parquet always is, with Zstandard.")
    ] = "gzip"
    every_s: Annotated[
        Seconds, Meta(description="An object is put after so many seconds, or when there is enough for a full one.")
    ] = 60
    timeout_s: _Timeout = 60


Subject = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$(?!\n)")]


class Nats(_Datasets, kw_only=True, tag="nats"):
    """NATS JetStream, a message for each event. Exactly once. Needs `pip install 'bartizan[nats]'`."""

    servers: Annotated[
        list[str], Meta(min_length=1, description="Servers, as in `nats://10.0.0.1:4222` or `tls://...`.")
    ]
    stream: Annotated[
        str, Meta(min_length=1, description="Stream of the messages, made where it is missing. It takes `subject.>`.")
    ] = "BARTIZAN"
    subject: Annotated[
        Subject, Meta(description="What subjects begin with; event table and edge follow, with dots between.")
    ] = "bartizan"
    user: Annotated[str | None, Meta(description="User, where the server asks for one.")] = None
    password: Annotated[Secret | None, Meta(description="Password of that user.")] = None
    token: Annotated[Secret | None, Meta(description="Token, where the server asks for one.")] = None
    ca_file: Annotated[
        str | None, Meta(description="PEM file of the authorities to trust for `tls://`. Unset: those of the system.")
    ] = None
    duplicate_window_s: Annotated[
        Seconds, Meta(description="Seconds for which a stream that is made remembers message ids.")
    ] = 120


class Kafka(_Datasets, kw_only=True, tag="kafka"):
    """Kafka, a message for each event and a transaction for each range. Needs `pip install 'bartizan[kafka]'`.

    Exactly once for consumers with `isolation.level=read_committed`.
    """

    brokers: Annotated[list[str], Meta(min_length=1, description="Brokers to begin with, as in `10.0.0.1:9092`.")]
    topic: Annotated[Subject, Meta(description="What topics begin with; a dot and the event table follow.")] = (
        "bartizan"
    )
    settings: Annotated[
        dict[str, str],
        Meta(description="Further settings of the client, by librdkafka's names: `compression.type`."),
    ] = {}
    secret_settings: Annotated[
        dict[str, Secret], Meta(description="Such settings whose values are secret, such as `sasl.password`.")
    ] = {}


Facility = Literal[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
]  # fmt: skip
FACILITIES: tuple[Facility, ...] = get_args(Facility)
"""In the order of their numbers (RFC 5424 §6.2.1)."""


class _Messages(_Datasets, kw_only=True):
    address: Annotated[
        str,
        Meta(
            description=(
                "`tcp://host:port`, `tls://host:port`, `udp://host:port` or `unix:/path`, a socket as `/dev/log`."
            )
        ),
    ]
    facility: Annotated[Facility, Meta(description="Facility of the messages.")] = "local0"
    ca_file: Annotated[
        str | None, Meta(description="PEM file of the authorities to trust for `tls://`. Unset: those of the system.")
    ] = None


class Syslog(_Messages, kw_only=True, tag="syslog"):
    """Syslog (RFC 5424) with the event as JSON. Sent at least once; syslog has no answers that tell what was kept."""


class Cef(_Messages, kw_only=True, tag="cef"):
    """ArcSight's Common Event Format over syslog. `datasets` unset: `firewall_events`."""


Sink = Chdb | Files | AccessLog | Https | Otlp | Clickhouse | S3 | Nats | Kafka | Syslog | Cef
