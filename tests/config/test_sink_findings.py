"""Mistakes in `[sinks.NAME]` are named with file, line, key and the way out."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from bartizan.config.load import load
from bartizan.config.sinks import DATASETS
from bartizan.events import schema

ZONE = '[zones.shop]\nhosts = ["shop.example"]\norigins = ["http://127.0.0.1:1"]\n'


def problems(directory: Path, text: str) -> list[str]:
    """What is said of sinks that begin on line 4."""
    file = directory / "site.toml"
    file.write_text(ZONE + text)
    return [str(problem).removeprefix(f"{file}:") for problem in load(file, file.parent / "crs").problems]


def test_sinks_without_a_mistake_are_taken(tmp_path: Path) -> None:
    text = '[sinks.chdb]\ntype = "chdb"\nenabled = false\n[sinks.copy]\ntype = "files"\ndir = "copy"\nevery_s = 2.5\n'
    text += (
        '[sinks.a]\ntype = "https"\nurl = "http://[::1]:80/x"\n[sinks.b]\ntype = "https"\nurl = "http://l.example"\n'
    )
    text += 'insecure = true\n[sinks.c]\ntype = "syslog"\naddress = "unix:/dev/log"\n[sinks.d]\ntype = "access_log"\n'
    text += '[sinks.e]\ntype = "cef"\naddress = "tls://siem.example:6514"\nfacility = "auth"\n'
    assert problems(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[sinks.a]\ndir = "x"', '4:8: sink "a": "type" is missing; it is one of'),
        ('[sinks.a]\ntype = "fiels"', '5:8: sink "a": "type" is "fiels", which is unknown; did you mean "files"?'),
        ('[sinks.a]\ntype = "files"', '4:8: sink "a": "dir" is missing; add dir = ...'),
        ('[sinks.a]\ntype = "files"\ndir = "x"\ndatasets = []', '7:12: sink "a": "datasets" is empty; leave it out'),
        (
            '[sinks.a]\ntype = "files"\ndir = "x"\ndatasets = ["http_request"]',
            '7:13: sink "a" datasets 1: is "http_request", which is unknown; did you mean "http_requests"?',
        ),
        ('[sinks.a]\ntype = "files"\ndir = "x"\ngzip = true', '7:1: sink "a": unknown key "gzip"'),
        ('[sinks."A b"]\ntype = "files"\ndir = "x"', "the name is not accepted; use small letters"),
        ('[sinks.a]\ntype = "chdb"', '4:8: sink "a": a sink of type "chdb" is called "chdb", since there is one'),
        ('[sinks.chdb]\ntype = "files"\ndir = "x"', '"chdb" is the built-in event store; give this sink another name'),
        (
            '[sinks.a]\ntype = "files"\ndir = "x"\n[sinks.b]\ntype = "files"\ndir = "./x"',
            '9:7: sink "b": "dir" is that of sink "a" already',
        ),
        (
            '[sinks.a]\ntype = "https"\nurl = "http://logs.example"',
            '6:7: sink "a": "url" is plain http to another machine, where everybody on the way reads events',
        ),
        ('[sinks.a]\ntype = "https"\nurl = "logs.example"', '6:7: sink "a": "url" is no URL with a host'),
        ('[sinks.a]\ntype = "https"\nurl = "https://me:pw@logs.example"', '"url" holds a user name or password'),
        (
            '[sinks.a]\ntype = "https"\nurl = "https://l.example"\nheaders.Authorization = "x"',
            '7:9: sink "a" headers: "Authorization" is secret; write it in secret_headers',
        ),
        (
            '[sinks.a]\ntype = "https"\nurl = "https://l.example"\nheaders."X:" = "x"',
            '7:9: sink "a" headers: "X:" is no name of a header',
        ),
        (
            '[sinks.a]\ntype = "https"\nurl = "https://l.example"\nheaders.Host = "x"',
            '"Host" is set by the sink itself; leave it out',
        ),
        (
            '[sinks.a]\ntype = "https"\nurl = "https://l.example"\nsecret_headers.X-Key = {}',
            '7:24: sink "a" secret_headers: "X-Key" names its secret in one way: { file = "..." } or { env = "..." }',
        ),
        (
            '[sinks.a]\ntype = "https"\nurl = "https://l.example"\nsecret_headers.X-Key = { file = "none" }',
            "none, which cannot be read; correct the path or its permissions",
        ),
        (
            '[sinks.a]\ntype = "https"\nurl = "https://l.example"\nca_file = "none.pem"',
            '7:11: sink "a": "ca_file" names',
        ),
        (
            '[sinks.a]\ntype = "syslog"\naddress = "siem.example:514"',
            '6:11: sink "a": "address" is "siem.example:514"; write it as in "tcp://siem.example:6514"',
        ),
        ('[sinks.a]\ntype = "cef"\naddress = "udp://siem.example"', 'write it as in "tcp://siem.example:6514"'),
        (
            '[sinks.a]\ntype = "access_log"\nfile = "x"\n[sinks.b]\ntype = "access_log"\nfile = "x"',
            '9:8: sink "b": "file" is that of sink "a" already',
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    found = problems(tmp_path, text)
    assert len(found) == 1, found
    assert said in found[0]


def test_a_library_that_is_missing_is_named_with_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    missing = {"pyarrow", "nats", "confluent_kafka"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else find(name))
    streams = (
        '[sinks.a]\ntype = "nats"\nservers = ["nats://a.example"]\n[sinks.b]\ntype = "kafka"\nbrokers = ["a:9092"]'
    )
    assert [problem.rpartition("; ")[2] for problem in problems(tmp_path, streams)] == [
        "pip install 'bartizan[nats]'",
        "pip install 'bartizan[kafka]'",
    ]
    text = '[sinks.a]\ntype = "files"\nformat = "parquet"\ndir = "x"'
    (found,) = problems(tmp_path, text)
    assert "needs pyarrow, which is not installed here; pip install 'bartizan[parquet]'" in found
    assert problems(tmp_path, text + "\nenabled = false") == []


def test_the_tables_that_can_be_chosen_are_those_of_the_edge() -> None:
    assert [table.name for table in schema.tables()] == list(DATASETS)


def test_mistakes_of_services_are_named_too(tmp_path: Path) -> None:
    bucket = 'type = "s3"\nbucket = "b"\naccess_key_id = "a"\nsecret_access_key = { env = "A", file = "x" }\n'
    text = f'[sinks.a]\n{bucket}endpoint = "http://s3.example"\n[sinks.b]\ntype = "clickhouse"\nurl = "ftp://x"'
    found = problems(tmp_path, text)
    assert len(found) == 3, found
    assert found[0].startswith('8:21: sink "a": "secret_access_key" names its secret in one way')
    assert found[1].startswith('9:12: sink "a": "endpoint" is plain http to another machine')
    assert found[2].startswith('12:7: sink "b": "url" is no URL with a host')


def test_mistakes_of_traces_are_named_too(tmp_path: Path) -> None:
    resource = '[sinks.a.resource]\n"service.name" = "x"\n"service.version" = "1"\n"host.name" = "edge-1"\n'
    text = f'[sinks.a]\ntype = "otlp"\nurl = "http://otel.example:4318"\nratio = 0\nheaders.Host = "x"\n{resource}'
    found = problems(tmp_path, text)
    assert [problem.split(": ", 1)[0] for problem in found] == ["6:7", "7:9", "8:9", "10:1", "11:1"]
    assert '"url" is plain http to another machine' in found[0]
    assert '"ratio" is 0; it must be from 0.0001 to 1' in found[1]
    assert '"Host" is set by the sink itself; leave it out' in found[2]
    assert '"service.name" is set by service_name; leave it out here' in found[3]
    assert '"service.version" is set by the sink itself; leave it out' in found[4]
    good = '[sinks.a]\ntype = "otlp"\nurl = "http://127.0.0.1:4318"\nratio = 0.1\nresource = { "host.name" = "edge-1" }'
    assert problems(tmp_path, good) == []


def test_mistakes_of_streams_are_named_too(tmp_path: Path) -> None:
    nats = 'type = "nats"\nservers = ["nats://a.example:4222", "a.example", "nats://me:pw@a.example"]\n'
    kafka = 'type = "kafka"\nbrokers = ["127.0.0.1:9092"]\n[sinks.b.settings]\nacks = "0"\n"sasl.password" = "x"\n'
    found = problems(tmp_path, f'[sinks.a]\n{nats}subject = "a.*"\n[sinks.b]\n{kafka}')
    assert [problem.split(": ", 1)[0] for problem in found] == ["6:37", "6:50", "7:11", "12:1", "13:1"]
    assert "is no server; write it as in" in found[0]
    assert "holds a user name or token; leave it out" in found[1]
    assert '"subject" is "a.*"; it must be letters, digits, _ and -, with dots between' in found[2]
    assert '"acks" is set by the sink itself; leave it out' in found[3]
    assert '"sasl.password" is secret; write it in secret_settings' in found[4]
    assert "pw" not in "".join(found)
