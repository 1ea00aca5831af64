"""A sink, made from its settings. What only one type needs is imported when one of that type is opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from bartizan.config import sinks as settings
from bartizan.config.sink_findings import missing_library
from bartizan.events.engine import Engine
from bartizan.events.sinks.contract import Sink, SinkFailed


def open_sink(sink: settings.Sink, engine: Callable[[], Engine]) -> Sink:
    """The sink of those settings; `engine` opens the embedded event store. Raises SinkFailed."""
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
        case _:
            assert_never(sink)
