"""Topics have every row once for those who read what is committed. The broker is Apache Kafka."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.events.sinks.delivery import batches, deliver_under_kills, put, rays, until
from tests.events.sinks.programs import broker
from tests.events.support import firewall_event, request, write

from bartizan.config.sinks import Kafka, Secret
from bartizan.events.sinks.contract import RowsRefused, SinkFailed
from bartizan.events.sinks.kafka import KafkaSink
from bartizan.layout import StateDirectory

pytestmark = pytest.mark.timeout(500)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with broker(tmp_path_factory.mktemp("kafka")) as number:
        yield number


def settings(port: int, topic: str, **more: Any) -> Kafka:
    return Kafka(brokers=[f"127.0.0.1:{port}"], topic=topic, **more)


def is_settled(port: int, topic: str) -> bool:
    """Whether all that was ever written can be read by those who read what is committed, or was aborted."""
    from confluent_kafka import Consumer, TopicPartition

    ends = []
    for level in ("read_committed", "read_uncommitted"):
        reading = {"bootstrap.servers": f"127.0.0.1:{port}", "group.id": "test", "isolation.level": level}
        with closing(Consumer(reading)) as reader:
            topics = reader.list_topics(timeout=30).topics
            places = [
                TopicPartition(name, number)
                for name in sorted(topics)
                if name.startswith(f"{topic}.")
                for number in sorted(topics[name].partitions)
            ]
            ends.append([reader.get_watermark_offsets(place, timeout=30)[1] for place in places])
    return ends[0] == ends[1]


def committed(port: int, topic: str) -> list[tuple[str, str, str]]:
    """Table, key and Ray ID of each message that is committed."""
    from confluent_kafka import Consumer, TopicPartition

    reader = Consumer(
        {
            "bootstrap.servers": f"127.0.0.1:{port}",
            "group.id": "test",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    found = []
    # A commit is answered before it is marked in each partition.
    until(lambda: is_settled(port, topic), "no transaction is open")
    topics = [name for name in reader.list_topics(timeout=30).topics.items() if name[0].startswith(f"{topic}.")]
    places = [TopicPartition(name, number, 0) for name, known in topics for number in known.partitions]
    reader.assign(places)
    ended = 0
    while ended < len(places):
        message: Any = reader.poll(30)
        assert message is not None, "the broker says nothing"
        if message.error() is not None:
            ended += 1
            continue
        ray = json.loads(message.value())["RayID"]
        found.append((message.topic().removeprefix(f"{topic}."), message.key().decode(), ray))
    reader.close()
    return found


def test_rows_are_messages_keyed_by_ray_id_and_committed_once(state: StateDirectory, port: int) -> None:
    write(state.spool, *(("http_requests", request(number)) for number in range(50)))
    write(state.spool, ("firewall_events", firewall_event(7)))
    given = list(batches(state))
    with closing(KafkaSink(settings(port, "once"), "stream")) as sink:
        for batch, token in given:
            sink.insert(batch, token)
    # The process ended before it could note the last of them; the next one gets the same range.
    with closing(KafkaSink(settings(port, "once"), "stream")) as sink:
        sink.insert(*given[-1])
        put(state, range(50, 60))
        sink.insert(*list(batches(state))[-1])
    found = sorted(committed(port, "once"))
    assert found == [
        ("firewall_events", f"{7:016x}", f"{7:016x}"),
        *(("http_requests", ray, ray) for ray in rays(range(60))),
    ]


def test_what_was_not_committed_is_not_there(state: StateDirectory, port: int) -> None:
    put(state, range(10))
    ((batch, token),) = batches(state)
    sink = KafkaSink(settings(port, "cut"), "stream")
    sink._open(batch.range[0])
    sink._producer.begin_transaction()
    for table, key, line in sink._messages(batch):
        sink._send(sink._topic(table), key, line)
    sink._producer.flush(30)
    # The first owner hangs here; another begins with the same range, and the first one's transaction is over.
    with closing(KafkaSink(settings(port, "cut"), "stream")) as another:
        another.insert(batch, token)
    sink.close()
    assert sorted(ray for _, _, ray in committed(port, "cut")) == rays(range(10))


def test_a_row_that_is_too_long_is_refused_and_the_others_arrive(state: StateDirectory, port: int) -> None:
    long = request(2, ClientRequestUserAgent="x" * 10_000)
    write(state.spool, ("http_requests", request(1)), ("http_requests", long), ("http_requests", request(3)))
    ((batch, token),) = batches(state)
    small = settings(port, "small", settings={"message.max.bytes": "5000"})
    for _ in range(2):
        with (
            closing(KafkaSink(small, "stream")) as sink,
            pytest.raises(RowsRefused, match="longer than") as refused,
        ):
            sink.insert(batch, token)
        assert [json.loads(row)["RayID"] for _, row, _ in refused.value.rows] == [f"{2:016x}"]
    assert sorted(ray for _, _, ray in committed(port, "small")) == [f"{1:016x}", f"{3:016x}"]


def test_every_row_is_there_once_after_kills_at_random_points(state: StateDirectory, port: int) -> None:
    put(state, range(6000), segment_bytes=1 << 18)
    sink: dict[str, object] = {"type": "kafka", "brokers": [f"127.0.0.1:{port}"], "topic": "killed"}
    deliver_under_kills(state, 6000, "stream", sink, kills=3)
    assert sorted(ray for _, _, ray in committed(port, "killed")) == rays(range(6000))


def test_brokers_that_are_not_there_are_said(
    state: StateDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bartizan.events.sinks.kafka._ANSWER_S", 1.0)
    (tmp_path / "password").write_text("planted-secret")
    put(state, range(1))
    ((batch, token),) = batches(state)
    secret = {"ssl.key.password": Secret(file=str(tmp_path / "password"))}
    with (
        closing(KafkaSink(settings(1, "none", secret_settings=secret), "stream")) as sink,
        pytest.raises(SinkFailed, match=r"127\.0\.0\.1:1: ") as failed,
    ):
        sink.insert(batch, token)
    assert failed.value.way_out == "see whether they run and can be reached"
    assert "planted-secret" not in str(failed.value)
