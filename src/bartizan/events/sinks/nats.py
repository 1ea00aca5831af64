"""NATS JetStream: a message for each row, on the subject `SUBJECT.TABLE.EDGE` of a stream.

The stream is made where it is missing. Exactly once by the header `Nats-Msg-Id`, made of the range and the number of
the row, which a stream remembers for its duplicate window. A range that is given again later than half of that is
continued behind the last row of it that the stream holds: rows of one edge and table come in one order, over one
connection. So an outage may be as long as it will.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from bartizan._native import SpoolBatch
from bartizan.config.sinks import DATASETS, Nats
from bartizan.events.sinks.contract import ROWWISE_BYTES, ROWWISE_ROWS, SOON_S, RowsRefused, SinkFailed
from bartizan.events.sinks.secret import reveal

_ANSWER_S: Final = 10.0
_BATCH_S: Final = 60.0
_LOOK_S: Final = 0.5
_AT_ONCE: Final = 1000
"""Messages that wait for their acknowledgement at most."""

_Result = TypeVar("_Result")


class NatsSink:
    """Publishes batches to the stream of the settings. The client runs on a thread of its own, which answers pings."""

    batch_rows = ROWWISE_ROWS
    batch_bytes = ROWWISE_BYTES
    pause_s = SOON_S

    def __init__(self, settings: Nats) -> None:
        self._settings = settings
        self._datasets = settings.datasets or list(DATASETS)
        self._client: Any = None
        self._stream: Any = None
        self._window = timedelta(0)
        self._first = True
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nats", daemon=True)
        self._thread.start()
        try:
            self._run(self._open(), _BATCH_S)
        except BaseException:
            self.close()
            raise

    def insert(self, batch: SpoolBatch, token: str) -> None:
        """Publishes the rows of the batch, each under its own message id."""
        refused: list[tuple[str, str, str]] = []
        for table in self._datasets:
            lines = (batch.ndjson(table) or b"").splitlines()
            if lines:
                subject = f"{self._settings.subject}.{table}.{batch.range[0]}"
                refused += self._run(self._publish(table, subject, token, lines), _BATCH_S)
        self._first = False
        if refused:
            raise RowsRefused(refused)

    def close(self) -> None:
        """Ends the connection and the thread."""
        if self._client is not None:
            with contextlib.suppress(SinkFailed):
                self._run(self._end(), _ANSWER_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_ANSWER_S)
        if not self._thread.is_alive():
            self._loop.close()

    def _run(self, work: Coroutine[Any, Any, _Result], timeout_s: float) -> _Result:
        """Has the client do something. Raises SinkFailed."""
        import nats.errors

        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        servers = ", ".join(self._settings.servers)
        try:
            return future.result(timeout_s)
        except TimeoutError as error:
            future.cancel()
            way_out = "see whether they run, and have JetStream switched on"
            raise SinkFailed(f"{servers} gave no answer in time", way_out) from error
        except (OSError, nats.errors.Error, ssl.SSLError) as error:
            reason = str(error) or type(error).__name__
            raise SinkFailed(f"{servers}: {reason}", _way_out(reason)) from error

    async def _open(self) -> None:
        from nats.aio.client import Client
        from nats.js.api import StreamConfig
        from nats.js.errors import NotFoundError

        settings = self._settings
        options: dict[str, Any] = {}
        if settings.user is not None:
            options["user"] = settings.user
        if settings.password is not None:
            options["password"] = reveal(settings.password)
        if settings.token is not None:
            options["token"] = reveal(settings.token)
        if settings.ca_file is not None:
            options["tls"] = ssl.create_default_context(cafile=settings.ca_file)
        # Connecting again is the delivery's, with its pauses: a client that did so by itself would say nothing of it.
        self._client = Client()
        await self._client.connect(
            settings.servers, allow_reconnect=False, error_cb=_silent, connect_timeout=_ANSWER_S, **options
        )
        self._stream = self._client.jetstream(timeout=_ANSWER_S, publish_async_max_pending=_AT_ONCE)
        try:
            info = await self._stream.stream_info(settings.stream)
        except NotFoundError:
            window_s = float(settings.duplicate_window_s)
            made = StreamConfig(name=settings.stream, subjects=[f"{settings.subject}.>"], duplicate_window=window_s)
            info = await self._stream.add_stream(made)
        self._window = timedelta(seconds=info.config.duplicate_window or 0)

    async def _end(self) -> None:
        await self._client.close()
        # What is left waits for a server that is gone.
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    async def _publish(self, table: str, subject: str, token: str, lines: list[bytes]) -> list[tuple[str, str, str]]:
        refused: list[tuple[str, str, str]] = []
        waiting = []
        begun = await self._begun(subject, token) if self._first else 0
        for number, line in enumerate(lines):
            if len(line) > self._client.max_payload - 1024:
                refused.append((table, line.decode(), f"the message has {len(line)} bytes, more than the server takes"))
                continue
            if number < begun:
                continue
            headers = {"Nats-Msg-Id": f"{token}-{number}"}
            waiting.append(await self._stream.publish_async(subject, line, wait_stall=_ANSWER_S, headers=headers))
        for answer in waiting:
            await self._acknowledged(answer)
        return refused

    async def _acknowledged(self, answer: asyncio.Future[Any]) -> None:
        """Waits for an acknowledgement. The client says nothing of those that an end of the connection has cut off."""
        import nats.errors

        while not answer.done():
            if self._client.is_closed:
                raise nats.errors.ConnectionClosedError
            await asyncio.wait([answer], timeout=_LOOK_S)
        await answer

    async def _begun(self, subject: str, token: str) -> int:
        """How many rows of the range need not be sent again: the stream holds them, and may know their ids no more."""
        from nats.js.errors import NotFoundError

        try:
            last = await self._stream.get_last_msg(self._settings.stream, subject)
        except NotFoundError:
            return 0
        batch, _, number = (last.headers or {}).get("Nats-Msg-Id", "").rpartition("-")
        known = last.time is not None and datetime.now(UTC) - last.time < self._window / 2
        return 0 if batch != token or known else int(number) + 1


async def _silent(_: Exception) -> None:
    """What goes wrong is raised where it matters."""


def _way_out(reason: str) -> str:
    if "uthorization" in reason or "uthentication" in reason:
        return "correct user and password, or the token"
    return "see whether they run and can be reached, and have JetStream switched on"
