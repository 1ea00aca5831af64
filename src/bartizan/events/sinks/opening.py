"""A sink, made from its settings. What only one type needs is imported when one of that type is opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import assert_never

from bartizan.config import sinks as settings
from bartizan.config.sink_findings import missing_library
from bartizan.events.engine import Engine
from bartizan.events.retention import Retention
from bartizan.events.sinks.contract import Sink, SinkFailed


def open_sink(
    sink: settings.Sink, directory: Path, engine: Callable[[], Engine], retention: Callable[[], Retention]
) -> Sink:
    """The sink of those settings, which keeps what it must know in `directory`. Raises SinkFailed.

    `engine` opens the embedded event store; `retention` says how long events are to be kept, which may change.
    """
    missing = missing_library(sink)
    if missing is not None:
        what, _, way_out = missing.partition("; ")
        raise SinkFailed(what, way_out)
    match sink:
        case settings.Chdb():
            from bartizan.events.sinks.chdb import ChdbSink

            return ChdbSink(sink, engine())
        case settings.Files():
            from bartizan.events.sinks.files import FilesSink

            return FilesSink(sink)
        case settings.AccessLog():
            from bartizan.events.sinks.access_log import AccessLogSink

            return AccessLogSink(sink, directory)
        case settings.Https():
            from bartizan.events.sinks.https import HttpsSink

            return HttpsSink(sink)
        case settings.Otlp():
            from bartizan.events.sinks.otlp import OtlpSink

            return OtlpSink(sink)
        case settings.Clickhouse():
            from bartizan.events.sinks.clickhouse import ClickhouseSink

            return ClickhouseSink(sink, retention)
        case settings.S3():
            from bartizan.events.sinks.s3 import S3Sink

            return S3Sink(sink)
        case settings.Nats():
            from bartizan.events.sinks.nats import NatsSink

            return NatsSink(sink)
        case settings.Kafka():
            from bartizan.events.sinks.kafka import KafkaSink

            return KafkaSink(sink, directory.name)
        case settings.Syslog():
            from bartizan.events.sinks.syslog import SyslogSink

            return SyslogSink(sink)
        case settings.Cef():
            from bartizan.events.sinks.cef import CefSink

            return CefSink(sink)
        case _:
            assert_never(sink)
