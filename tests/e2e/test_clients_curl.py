"""curl through the edge, by HTTP/1.1 and HTTP/2, with and without TLS."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.e2e.applications import PAGE, TEXT, Application, download_bytes
from tests.e2e.authority import Authority, listen
from tests.e2e.conftest import RunningEdge, StartEdge, zone
from tests.e2e.origin import Origin, once
from tests.e2e.programs import run

WAYS = {
    "http1": ("--http1.1",),
    "http1 tls": ("--http1.1",),
    "http2 tls": ("--http2",),
    "http2 prior knowledge": ("--http2-prior-knowledge",),
}
MIB = 1 << 20


class Got(NamedTuple):
    """What curl got: version and status as it names them, header lines with trailers at their end, body."""

    version: str
    status: int
    headers: dict[str, str]
    body: bytes


class Curl:
    """curl, bound to one way of reaching one edge."""

    def __init__(self, edge: RunningEdge, authority: Authority, way: str) -> None:
        self._scheme, port = ("https", edge.tls_port) if way.endswith("tls") else ("http", edge.port)
        default = 443 if way.endswith("tls") else 80
        self._command = (
            "curl", "--silent", "--show-error", *WAYS[way], "--cacert", str(authority.file),
            "--connect-to", f"shop.test:{default}:127.0.0.1:{port}", "--max-time", "30",
        )  # fmt: skip
        self._directory = authority.state.path
        self.is_http2 = way.startswith("http2")
        self.statuses: list[int] = []

    def __call__(self, path: str, *options: str | Path, stdin: bytes = b"") -> Got:
        """Asks for a path. Fails where curl does."""
        heads, body = self._directory / "heads", self._directory / "body"
        body.unlink(missing_ok=True)
        url = f"{self._scheme}://shop.test{path}"
        done = run(
            *self._command, "-D", heads, "-o", body, "-w", "%{http_version} %{http_code}", *options, url, stdin=stdin
        )
        version, status = done.stdout.decode().split(" ")
        said = heads.read_bytes().decode("latin-1")
        self.statuses = [int(line.split()[1]) for line in said.splitlines() if line.startswith("HTTP/")]
        last = said.rstrip("\r\n").rpartition("HTTP/")[2]
        lines = (line.split(": ", 1) for line in last.split("\r\n")[1:] if ": " in line)
        headers = {line[0].lower(): line[1] for line in lines}
        return Got(version, int(status), headers, body.read_bytes() if body.exists() else b"")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def curl(start_edge: StartEdge, authority: Authority, way: str) -> Iterator[Curl]:
    """curl by each way, to the application."""
    with Application() as application:
        edge = start_edge(zone(application.url, tls=authority.tls("shop", "shop.test")), edge=listen())
        yield Curl(edge, authority, way)


def test_curl_gets_a_page(curl: Curl) -> None:
    got = curl("/")
    assert (got.version, got.status, got.body) == ("2" if curl.is_http2 else "1.1", 200, PAGE)
    assert got.headers["content-type"] == "text/html; charset=utf-8"
    assert got.headers["cf-ray"].endswith("-LOC")


def test_curl_gets_a_head_without_a_body(curl: Curl) -> None:
    got = curl("/text", "--head")
    assert (got.status, got.headers["content-length"], got.headers["accept-ranges"]) == (200, str(len(TEXT)), "bytes")


def test_curl_gets_a_range(curl: Curl) -> None:
    got = curl("/text", "--range", "100-199", "--compressed")
    assert (got.status, got.body) == (206, TEXT[100:200])
    assert got.headers["content-range"] == f"bytes 100-199/{len(TEXT)}"


def test_curl_gets_text_compressed(curl: Curl) -> None:
    got = curl("/text", "--compressed")
    assert got.headers["content-encoding"] in ("br", "gzip")
    assert got.body == TEXT


def test_curl_downloads(curl: Curl) -> None:
    count = 8 * MIB + 17
    got = curl(f"/download?{count}")
    assert (len(got.body), got.headers["content-length"]) == (count, str(count))
    assert hashlib.sha256(got.body).digest() == hashlib.sha256(b"".join(download_bytes(count))).digest()


def test_curl_uploads_after_asking(curl: Curl, tmp_path: Path) -> None:
    """Above 1 MiB curl says `Expect: 100-continue` by HTTP/1.1 of its own accord, and waits."""
    body = tmp_path / "body"
    body.write_bytes(b"".join(download_bytes(4 * MIB + 3)))
    got = curl("/upload", "--upload-file", body, "--expect100-timeout", "20")
    seen = json.loads(got.body)
    assert (seen["bytes"], seen["sha256"]) == (body.stat().st_size, hashlib.sha256(body.read_bytes()).hexdigest())
    if not curl.is_http2:
        assert curl.statuses == [100, 200]


def test_curl_uploads_without_a_length(curl: Curl) -> None:
    body = b"".join(download_bytes(MIB))
    got = curl("/upload", "--upload-file", "-", stdin=body)
    assert json.loads(got.body)["sha256"] == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("way", ["http1", "http1 tls"])
def test_curl_hears_at_once_that_a_body_is_not_wanted(curl: Curl, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(bytes(4 * MIB))
    got = curl("/nowhere", "--upload-file", body, "--expect100-timeout", "20")
    assert (got.status, got.body, curl.statuses) == (404, b"no such page\n", [404])


def test_by_http_2_an_answer_before_the_end_of_the_body_stops_the_upload(start_edge: StartEdge, tmp_path: Path) -> None:
    """RFC 9113 §8.1: a whole response, then RST_STREAM with NO_ERROR. By nghttp, since Debian's curl 7.88.1 loses the
    response at such a reset, nginx's too (measured: 3 of 3)."""
    body = tmp_path / "body"
    body.write_bytes(bytes(4 * MIB))
    with Application() as application:
        edge = start_edge(zone(application.url))
        said = run("nghttp", "-nv", "-d", body, f"http://127.0.0.1:{edge.port}/nowhere").stdout.decode()
    assert re.findall(r":status: (\d+)", said) == ["404"]
    assert re.search(r"recv DATA frame <length=13, flags=0x01,", said)
    assert set(re.findall(r"error_code=(\w+)", said)) == {"NO_ERROR"}
    assert said.count("send DATA frame") < 4 * MIB // 16384


def test_curl_gets_trailers(start_edge: StartEdge, authority: Authority, way: str) -> None:
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n"
    )
    with Origin(once(chunked)) as origin:
        edge = start_edge(zone(origin.url, tls=authority.tls("shop", "shop.test")), edge=listen())
        got = Curl(edge, authority, way)("/", "-H", "TE: trailers")
    assert (got.body, got.headers["x-sum"]) == (b"hello", "7")


def test_curl_hears_early_hints(start_edge: StartEdge, authority: Authority, way: str) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </script.js>; rel=preload\r\n\r\n"
    with Origin(once(hints + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")) as origin:
        edge = start_edge(zone(origin.url, tls=authority.tls("shop", "shop.test")), edge=listen())
        curl = Curl(edge, authority, way)
        got = curl("/")
    assert (got.body, curl.statuses) == (b"hi", [103, 200])


def test_curl_sees_that_a_response_was_cut_off(start_edge: StartEdge, authority: Authority, way: str) -> None:
    with Origin(once(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")) as origin:
        edge = start_edge(zone(origin.url, tls=authority.tls("shop", "shop.test")), edge=listen())
        with pytest.raises(AssertionError, match=r"curl ended with (18|92|56)"):
            Curl(edge, authority, way)("/")
