"""A log collector gets every row, and nothing that it must not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.events.sinks.collector import Collector, Post, collector
from tests.events.sinks.delivery import NO_CHDB, batches, put, rays, until
from tests.events.support import firewall_event, name_sinks, request, running, sink_status, write

from bartizan.config.sinks import Https, Secret
from bartizan.events.sinks.contract import RowsRefused, SinkFailed
from bartizan.events.sinks.https import HttpsSink
from bartizan.layout import StateDirectory


@pytest.fixture
def peer() -> Iterator[Collector]:
    with collector() as running_peer:
        yield running_peer


def rays_of(posts: list[Post]) -> list[str]:
    return [json.loads(line)["RayID"] for post in posts for line in post.body.splitlines()]


def test_rows_are_posted_in_pieces_with_the_headers_of_the_settings(
    state: StateDirectory, peer: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("k-1\n")
    monkeypatch.setenv("COLLECTOR_TOKEN", "Bearer t-2")
    rows = [("http_requests", request(number)) for number in range(5)]
    write(state.spool, *rows, ("firewall_events", firewall_event(9)))
    ((batch, token),) = batches(state)
    settings = Https(
        url=f"{peer.url}/ingest?source=edge",
        headers={"X-Team": "web"},
        secret_headers={"X-Key": Secret(file=str(tmp_path / "key")), "Authorization": Secret(env="COLLECTOR_TOKEN")},
        rows_per_request=2,
    )
    with closing(HttpsSink(settings)) as sink:
        sink.insert(batch, token)
    assert [post.headers["Bartizan-Batch"] for post in peer.posts] == [f"{token}-{n}" for n in (0, 1, 2, 0)]
    assert [post.headers["Bartizan-Dataset"] for post in peer.posts] == ["http_requests"] * 3 + ["firewall_events"]
    assert rays_of(peer.posts) == [*rays(range(5)), f"{9:016x}"]
    first = peer.posts[0]
    assert (first.method, first.target) == ("POST", "/ingest?source=edge")
    expected = {
        "X-Team": "web", "X-Key": "k-1", "Authorization": "Bearer t-2",
        "Content-Type": "application/x-ndjson", "Content-Encoding": "gzip",
    }  # fmt: skip
    assert first.headers | expected == first.headers


@pytest.mark.parametrize("status", [401, 404, 408, 429, 500, 503, 302])
def test_what_may_pass_is_tried_again(state: StateDirectory, peer: Collector, status: int) -> None:
    put(state, range(3))
    ((batch, token),) = batches(state)
    peer.answer = lambda _: status
    peer.headers = {"Retry-After": "17"}
    sink = HttpsSink(Https(url=peer.url))
    with pytest.raises(SinkFailed, match=f"answered {status} noted") as failed:
        sink.insert(batch, token)
    assert failed.value.way_out
    assert failed.value.wait_s == 17
    sink.close()


def test_rows_that_are_refused_for_good_are_those_of_one_request(state: StateDirectory, peer: Collector) -> None:
    put(state, range(6))
    ((batch, token),) = batches(state)
    peer.answer = lambda post: 413 if f"{2:016x}".encode() in post.body else 200
    with closing(HttpsSink(Https(url=peer.url, rows_per_request=2))) as sink, pytest.raises(RowsRefused) as refused:
        sink.insert(batch, token)
    assert [json.loads(row)["RayID"] for _, row, _ in refused.value.rows] == rays(range(2, 4))
    assert {reason for _, _, reason in refused.value.rows} == {f"{peer.url} answered 413 noted"}
    assert rays_of(peer.posts) == rays(range(6)), "the others are posted all the same"


def test_a_collector_that_hangs_up_after_it_took_the_rows_gets_them_again(
    state: StateDirectory, peer: Collector
) -> None:
    put(state, range(20))
    hung_up: list[Post] = []

    def answer(post: Post) -> int | None:
        if not hung_up:
            hung_up.append(post)
            return None
        return 200

    peer.answer = answer
    name_sinks(state, chdb=NO_CHDB, logs={"type": "https", "url": peer.url})
    with running(state):
        until(lambda: sink_status(state, "logs").rows == 20, "all are there")
    assert [post.headers["Bartizan-Batch"] for post in peer.posts] == [hung_up[0].headers["Bartizan-Batch"]] * 2
    assert rays_of(peer.posts) == rays(range(20)) * 2, "at least once, and the header says which are the same"


def test_a_secret_is_in_neither_status_nor_log_nor_files(
    state: StateDirectory, peer: Collector, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("planted-secret")
    put(state, range(3))
    peer.answer = lambda _: 403
    secret = {"Authorization": {"file": str(tmp_path / "key")}}
    name_sinks(state, chdb=NO_CHDB, logs={"type": "https", "url": peer.url, "secret_headers": secret})
    with running(state) as process:
        until(lambda: "403" in sink_status(state, "logs").problem, "the collector refuses the secret")
        assert sink_status(state, "logs").way_out == "correct the secret in secret_headers"
        said = repr(sink_status(state, "logs"))
        process.terminate()
        _, log = process.communicate(timeout=30)
    assert "answered 403" in log
    kept = [file for file in state.path.rglob("*") if file.is_file() and b"planted-secret" in file.read_bytes()]
    assert ("planted-secret" in said + log, kept) == (False, [])


def test_a_secret_that_is_missing_is_named_by_its_place(tmp_path: Path) -> None:
    with pytest.raises(SinkFailed, match="the variable NO_SUCH_SECRET, which should hold a secret, is not set"):
        HttpsSink(Https(url="https://127.0.0.1", secret_headers={"X-Key": Secret(env="NO_SUCH_SECRET")}))
    missing = tmp_path / "missing"
    with pytest.raises(SinkFailed, match=f"the secret in {missing} cannot be read: No such file"):
        HttpsSink(Https(url="https://127.0.0.1", secret_headers={"X-Key": Secret(file=str(missing))}))


def test_nobody_there_is_said(state: StateDirectory) -> None:
    put(state, range(1))
    ((batch, token),) = batches(state)
    with pytest.raises(SinkFailed, match=r"http://127\.0\.0\.1:1 gives no answer: .*refused"):
        HttpsSink(Https(url="http://127.0.0.1:1/secret-path")).insert(batch, token)
