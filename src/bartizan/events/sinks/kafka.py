"""Kafka: a message for each row, on the topic `TOPIC.TABLE`, keyed by Ray ID; each range is one transaction.

Exactly once for consumers that read committed messages: the same transaction commits, as the offset of a group of the
sink's own, the token of the range. A sink that begins asks the group for it first, so a range whose commit got through
while its answer was lost is not sent again. What an owner that was killed had begun is aborted when the next one
begins, because both have one transactional id.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from bartizan._native import SpoolBatch
from bartizan.config.sinks import DATASETS, Kafka
from bartizan.events.sinks.contract import ROWWISE_BYTES, ROWWISE_ROWS, SOON_S, RowsRefused, SinkFailed
from bartizan.events.sinks.secret import reveal

_ANSWER_S: Final = 30.0
_ABORT_S: Final = 5.0
_ROOM_S: Final = 0.1
_MESSAGE_BYTES: Final = 1_000_000
"""What the client takes unless `message.max.bytes` says otherwise, with `_MESSAGE_HEAD` for all but the row."""
_MESSAGE_HEAD: Final = 512
_QUIET: Final = 2
"""Of the client's own messages only those that a system administrator must see; failures are said by the sink."""


class KafkaSink:
    """Produces batches to the brokers of the settings. `name` tells the sinks of one edge apart."""

    batch_rows = ROWWISE_ROWS
    batch_bytes = ROWWISE_BYTES
    pause_s = SOON_S

    def __init__(self, settings: Kafka, name: str) -> None:
        self._settings = settings
        self._name = name
        self._datasets = settings.datasets or list(DATASETS)
        self._client: dict[str, Any] = dict(settings.settings)
        self._client |= {key: reveal(secret) for key, secret in settings.secret_settings.items()}
        self._client |= {"bootstrap.servers": ",".join(settings.brokers), "log_level": _QUIET}
        self._most_bytes = int(self._client.get("message.max.bytes", _MESSAGE_BYTES)) - _MESSAGE_HEAD
        self._producer: Any = None
        self._group: Any = None
        self._edge = ""
        self._in_transaction = False

    def insert(self, batch: SpoolBatch, token: str) -> None:
        """Produces the rows of the batch in one transaction, unless that was committed before."""
        from confluent_kafka import KafkaException

        brokers = ", ".join(self._settings.brokers)
        try:
            if not self._begins_behind(batch, token):
                self._produce(batch, token)
        except KafkaException as error:
            raise SinkFailed(f"{brokers}: {_reason(error)}", _way_out(_reason(error))) from error
        too_long = [(table, line) for table, _, line in self._messages(batch) if len(line) > self._most_bytes]
        if too_long:
            reason = "the message is longer than message.max.bytes"
            raise RowsRefused([(table, line.decode(), reason) for table, line in too_long])

    def close(self) -> None:
        """Aborts what was not committed, and ends the connections."""
        from confluent_kafka import KafkaException

        producer, self._producer, self._edge = self._producer, None, ""
        group, self._group = self._group, None
        if producer is not None and self._in_transaction:
            with contextlib.suppress(KafkaException):
                producer.purge()
                producer.abort_transaction(_ABORT_S)
        self._in_transaction = False
        if group is not None:
            with contextlib.suppress(KafkaException):
                group.close()

    def _begins_behind(self, batch: SpoolBatch, token: str) -> bool:
        """Whether the sink only begins, and the batch was committed before it did."""
        edge = batch.range[0]
        if self._edge == edge:
            return False
        self.close()
        self._open(edge)
        return self._committed(token)

    def _open(self, edge: str) -> None:
        from confluent_kafka import Consumer, Producer

        identity = f"bartizan-{edge}-{self._name}"
        self._producer = Producer(self._client | {"transactional.id": identity, "error_cb": _silent})
        self._group = Consumer(self._client | {"group.id": identity, "enable.auto.commit": False, "error_cb": _silent})
        # Ends the transactions of an owner that was killed, one way or the other, so that the group is up to date.
        self._producer.init_transactions(_ANSWER_S)
        self._edge = edge

    def _committed(self, token: str) -> bool:
        from confluent_kafka import TopicPartition

        places = [TopicPartition(self._topic(table), 0) for table in self._datasets]
        return any(place.metadata == token for place in self._group.committed(places, _ANSWER_S))

    def _produce(self, batch: SpoolBatch, token: str) -> None:
        from confluent_kafka import TopicPartition

        first_topic = ""
        self._producer.begin_transaction()
        self._in_transaction = True
        for table, key, line in self._messages(batch):
            if len(line) <= self._most_bytes:
                first_topic = first_topic or self._topic(table)
                self._send(self._topic(table), key, line)
        if first_topic:
            place = TopicPartition(first_topic, 0, batch.range[3], token)
            self._producer.send_offsets_to_transaction([place], self._group.consumer_group_metadata(), _ANSWER_S)
        self._producer.commit_transaction(_ANSWER_S)
        self._in_transaction = False

    def _messages(self, batch: SpoolBatch) -> Iterator[tuple[str, str | None, bytes]]:
        """Table, key and row of each message."""
        for table in self._datasets:
            lines = (batch.ndjson(table) or b"").splitlines()
            for (ray,), line in zip(batch.values(table, ["RayID"]), lines, strict=True):
                yield table, ray, line

    def _send(self, topic: str, key: str | None, line: bytes) -> None:
        while True:
            try:
                self._producer.produce(topic, line, key)
            except BufferError:
                # The client's queue is full; meanwhile it is emptied.
                self._producer.poll(_ROOM_S)
            else:
                return

    def _topic(self, table: str) -> str:
        return f"{self._settings.topic}.{table}"


def _silent(_: object) -> None:
    """What goes wrong is raised where it matters."""


def _reason(error: Any) -> str:
    return str(error.args[0].str()) if error.args else type(error).__name__


def _way_out(reason: str) -> str:
    if "uthenti" in reason or "uthoriz" in reason:
        return "correct settings and secret_settings, or give the user the right to write with transactions"
    return "see whether they run and can be reached"
