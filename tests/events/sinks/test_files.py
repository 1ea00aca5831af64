"""Files in a directory: whole, once, and the same however often a range is given."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.events.sinks.delivery import batches, deliver_under_kills, put, rays
from tests.events.support import firewall_event, request, write

from bartizan.config.sinks import Files
from bartizan.events.sinks.contract import SinkFailed
from bartizan.events.sinks.files import FilesSink
from bartizan.layout import StateDirectory


def written(directory: Path) -> dict[str, bytes]:
    return {str(file.relative_to(directory)): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


def test_rows_are_json_objects_on_lines_in_a_directory_for_each_table(state: StateDirectory, tmp_path: Path) -> None:
    write(state.spool, ("http_requests", request(1)), ("firewall_events", firewall_event(1)))
    ((batch, token),) = batches(state)
    FilesSink(Files(dir=str(tmp_path))).insert(batch, token)
    files = written(tmp_path)
    assert set(files) == {f"http_requests/{token}.ndjson", f"firewall_events/{token}.ndjson"}
    for table, line in batch.json_rows():
        assert files[f"{table}/{token}.ndjson"] == line.encode() + b"\n"


def test_only_the_tables_asked_for_are_written(state: StateDirectory, tmp_path: Path) -> None:
    write(state.spool, ("http_requests", request(1)), ("firewall_events", firewall_event(1)))
    ((batch, token),) = batches(state)
    FilesSink(Files(dir=str(tmp_path), datasets=["firewall_events"])).insert(batch, token)
    assert set(written(tmp_path)) == {f"firewall_events/{token}.ndjson"}


@pytest.mark.parametrize("form", [{"compression": "gzip"}, {"format": "parquet"}])
def test_a_range_given_again_makes_the_same_file(state: StateDirectory, tmp_path: Path, form: dict[str, str]) -> None:
    put(state, range(100))
    ((batch, token),) = batches(state)
    sink = FilesSink(Files(dir=str(tmp_path), **form))  # type: ignore[arg-type]
    sink.insert(batch, token)
    first = written(tmp_path)
    sink.insert(batch, token)
    assert written(tmp_path) == first
    assert len(first) == 1
    if "compression" in form:
        (content,) = first.values()
        assert gzip.decompress(content) == batch.ndjson("http_requests")


def test_parquet_has_the_columns_and_types_of_the_table(state: StateDirectory, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    moment = 1_709_210_096_007_000_001
    values = request(
        1, EdgeStartTimestamp=moment, SecurityActions=["log", "block"], EdgeResponseCompressionRatio=2.5,
        EdgeResponseBytes=2**60, ClientRequestPath='/\u00fc\n"',
    )  # fmt: skip
    write(state.spool, ("http_requests", values))
    ((batch, token),) = batches(state)
    FilesSink(Files(dir=str(tmp_path), format="parquet")).insert(batch, token)
    table = parquet.read_table(tmp_path / "http_requests" / f"{token}.parquet")
    columns = next(columns for name, columns in batch.tables if name == "http_requests")
    assert table.column_names == [name for name, _, _ in columns]
    row = table.to_pylist()[0]
    for name in ("RayID", "SecurityActions", "EdgeResponseCompressionRatio", "EdgeResponseBytes", "ClientRequestPath"):
        assert row[name] == values[name]
    assert table.column("EdgeStartTimestamp").cast("int64").to_pylist() == [moment]
    assert datetime.fromtimestamp(moment // 10**9, UTC) <= row["EdgeStartTimestamp"]
    assert row["JA4"] is None


def test_a_directory_that_cannot_be_written_is_named(state: StateDirectory, tmp_path: Path) -> None:
    put(state, range(1))
    ((batch, token),) = batches(state)
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkFailed, match=r"cannot write in .*/file/http_requests: Not a directory") as failed:
        FilesSink(Files(dir=str(tmp_path / "file"))).insert(batch, token)
    assert "the right to write" in failed.value.way_out


def test_every_row_is_there_once_after_kills_at_random_points(state: StateDirectory, tmp_path: Path) -> None:
    put(state, range(12_000), segment_bytes=1 << 18)
    deliver_under_kills(state, 12_000, "copy", {"type": "files", "dir": str(tmp_path), "every_s": 0.001})
    lines = b"".join(written(tmp_path).values()).splitlines()
    assert sorted(json.loads(line)["RayID"] for line in lines) == rays(range(12_000))
