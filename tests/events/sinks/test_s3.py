"""A bucket has every row once. The server is versitygw, which checks every signature."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.events.sinks.delivery import batches, deliver_under_kills, put, rays
from tests.events.sinks.programs import listening, versitygw
from tests.ports import reserved_port

from bartizan.config.sinks import S3, Secret
from bartizan.events.sinks.contract import SinkFailed
from bartizan.events.sinks.s3 import S3Sink
from bartizan.layout import StateDirectory

KEY, SECRET = "edge", "planted-secret-key"

pytestmark = pytest.mark.timeout(600)


class Bucket:
    """A bucket of a server that keeps its objects as files."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port

    def settings(self, **more: object) -> dict[str, object]:
        (self.directory.parent / "secret").write_text(SECRET)
        return {
            "endpoint": f"http://127.0.0.1:{self.port}",
            "bucket": "events",
            "prefix": "edge 1/",
            "access_key_id": KEY,
            "secret_access_key": {"file": str(self.directory.parent / "secret")},
            "every_s": 0.001,
        } | more

    def objects(self) -> dict[str, bytes]:
        bucket = self.directory / "events"
        return {str(file.relative_to(bucket)): file.read_bytes() for file in bucket.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    directory = tmp_path_factory.mktemp("s3") / "buckets"
    (directory / "events").mkdir(parents=True)
    port = reserved_port()
    environment = {"ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET}
    command = [str(versitygw()), "--port", f"127.0.0.1:{port}", "posix", "--nometa", str(directory)]
    with listening(command, port, environment):
        yield Bucket(directory, port)


@pytest.fixture
def bucket(server: Bucket) -> Bucket:
    for file in (server.directory / "events").rglob("*"):
        if file.is_file():
            file.unlink()
    return server


def sink(settings: dict[str, object]) -> S3Sink:
    secret = settings.pop("secret_access_key")
    assert isinstance(secret, dict)
    return S3Sink(S3(**settings, secret_access_key=Secret(**secret)))  # type: ignore[arg-type]


def test_an_object_holds_the_rows_of_a_range(state: StateDirectory, bucket: Bucket) -> None:
    put(state, range(50))
    ((batch, token),) = batches(state)
    made = sink(bucket.settings())
    for _ in range(2):
        made.insert(batch, token)
    made.close()
    ((key, content),) = bucket.objects().items()
    assert key == f"edge 1/http_requests/{token}.ndjson.gz"
    assert gzip.decompress(content) == batch.ndjson("http_requests")


@pytest.mark.parametrize(
    ("wrong", "said", "way_out"),
    [
        ({"bucket": "missing"}, "404 .*NoSuchBucket", "make the bucket"),
        ({"secret_access_key": {"env": "PATH"}}, "403 .*SignatureDoesNotMatch", "correct access_key_id and secret"),
        ({"region": "eu-nowhere-1"}, "40[03] .*", "correct"),
    ],
)
def test_what_the_server_refuses_is_said_with_the_way_out(
    state: StateDirectory, bucket: Bucket, wrong: dict[str, str], said: str, way_out: str
) -> None:
    put(state, range(1))
    ((batch, token),) = batches(state)
    made = sink(bucket.settings(**wrong))
    with pytest.raises(SinkFailed, match=said) as failed:
        made.insert(batch, token)
    made.close()
    assert way_out in failed.value.way_out
    assert SECRET not in str(failed.value)


def test_every_row_is_there_once_after_kills_at_random_points(state: StateDirectory, bucket: Bucket) -> None:
    put(state, range(12_000), segment_bytes=1 << 18)
    deliver_under_kills(state, 12_000, "bucket", {"type": "s3"} | bucket.settings(), kills=4)
    lines = b"".join(map(gzip.decompress, bucket.objects().values())).splitlines()
    assert sorted(json.loads(line)["RayID"] for line in lines) == rays(range(12_000))
