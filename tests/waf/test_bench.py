"""The bench beside libmodsecurity and Coraza: requests are what they are called, programs speak one protocol."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from benches.origin import program
from benches.proxies import Proxy
from benches.waf import figures, harness, proxies, rules, shapes, verdicts
from benches.waf.figures import Measured
from benches.waf.harness import CORAZA, LIBMODSECURITY, OURS, PREFILTER, SIDES, Verdict
from benches.waf.shapes import SHAPES, Shape

from bartizan import _native
from bartizan.config.load import load
from bartizan.failure import Failure

by_name = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)


@by_name
def test_requests_of_a_shape_differ_and_are_the_same_ones_in_every_run(shape: Shape) -> None:
    requests = shape.requests(0, 30)
    assert len(set(requests)) == 30
    assert requests[7] == shape.request(7) == shape.requests(7, 1)[0]


@by_name
def test_the_edge_would_take_each_request(shape: Shape) -> None:
    assert [_native.request_refusal(request) for request in shape.requests(0, 30)] == [None] * 30


@by_name
def test_a_body_is_as_long_as_its_head_says(shape: Shape) -> None:
    for request in shape.requests(0, 10):
        head, body = split(request)
        said = re.search(rb"\r\nContent-Length: (\d+)", head)
        assert len(body) == (int(said[1]) if said else 0)
        assert head.startswith(b"POST " if body else b"GET ")


def test_bodies_are_what_their_shapes_are_called() -> None:
    def bodies(name: str) -> list[bytes]:
        shape = shapes.named(name)
        assert shape is not None
        return [split(request)[1] for request in shape.requests(0, 10)]

    def contents(name: str) -> list[bytes]:
        fields = [parse_qs(body.decode("ascii"), strict_parsing=True, encoding="latin-1") for body in bodies(name)]
        return [field["content"][0].encode("latin-1") for field in fields]

    for octets, name in zip((1_000, 10_000, 100_000), shapes.GROWTH, strict=True):
        assert {len(body) for body in bodies(name)} == {octets}
    assert {len(parse_qs(body.decode())) for body in bodies("form of 5 fields")} == {5}
    assert all(300 <= len(body) < 330 and "items" in json.loads(body) for body in bodies("JSON, 300 B"))
    assert {len(body) for body in bodies("multipart, 2 kB")} == {2_000}
    assert {len(content) for content in contents("prose, 10 kB")} == {10_000}
    assert {len(content) for content in contents("HTML, 10 kB")} == {10_000}
    assert {len(base64.b64decode(content)) for content in contents("base64, 10 kB")} == {7_500}
    assert {len(content) for content in contents("random bytes, 10 kB")} == {10_000}


def test_a_get_has_three_arguments_and_three_cookies() -> None:
    for request in SHAPES[0].requests(0, 10):
        head = request.decode()
        target = head.split()[1]
        assert set(parse_qs(urlsplit(target).query)) == {"q", "page", "sort"}
        cookie = re.search(r"\r\nCookie: (.*)\r\n", head)
        assert cookie is not None
        assert len(cookie[1].split("; ")) == 3


def test_rules_lie_where_every_engine_reads_them(tmp_path: Path) -> None:
    module = tmp_path / "module@v1" / "rules"
    (module / "@owasp_crs").mkdir(parents=True)
    (module / "@crs-setup.conf.example").write_text('SecAction "id:1,pass"\n')
    source = 'SecRule ARGS "@rx \\\n    SecX" "id:2,chain"\n    SecRule ARGS "@pmFromFile a.data"\nSecMarker END\n'
    (module / "@owasp_crs" / "REQUEST-901.conf").write_text(source)
    (module / "@owasp_crs" / "RESPONSE-950.conf").write_text("SecMarker END\n")
    (module / "@owasp_crs" / "a.data").write_bytes(b"\xff\n")
    target = tmp_path / "rules"
    rules.lay_out(module.parent, target)
    copied = (target / "rules" / "REQUEST-901.conf").read_text()
    assert copied == source.replace("\n    SecRule", "\n\n    SecRule").replace("\nSecMarker", "\n\nSecMarker").join(
        ["\n", ""]
    )
    assert (target / "rules" / "a.data").read_bytes() == b"\xff\n"
    plain, prefiltered = (rules.entry(target, 2, prefilter=prefilter).read_text() for prefilter in (False, True))
    assert prefiltered == rules.PREFILTER + plain
    assert "tx.blocking_paranoia_level=2," in plain
    assert [line.split()[1] for line in plain.splitlines() if line.startswith("Include")] == [
        str(target / "crs-setup.conf"),
        str(target / "rules" / "REQUEST-901.conf"),
    ]


RULES = """\
SecRuleEngine On

SecRequestBodyAccess On

SecRule ARGS:a "@streq evil" "id:1001,phase:2,deny,status:406,log,msg:'a'"

SecRule REQUEST_HEADERS:Host "@contains shop" "id:1002,phase:1,pass,log,msg:'b'"

SecAction "id:1003,phase:1,pass,nolog"
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("side", [LIBMODSECURITY, CORAZA, OURS])
def test_each_program_says_which_rules_that_log_matched(
    side: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if side == LIBMODSECURITY and not Path("/usr/include/modsecurity/modsecurity.h").exists():
        pytest.skip("libmodsecurity is not installed: apt-get install libmodsecurity-dev")
    if side == CORAZA and shutil.which("go") is None:
        pytest.skip("go is not installed, and it builds Coraza; https://go.dev/dl has it")
    monkeypatch.setenv("GOTOOLCHAIN", "local")
    file = tmp_path / "rules.conf"
    file.write_text(RULES)
    with harness.engine(harness.build(side, profile="dev"), file, side) as engine:
        assert engine.load_s > 0
        first = engine.judge([get("/?a=evil", "shop.example"), get("/?a=good", "b.example"), post("a=evil")])
        second = engine.judge([get("/", "a.shop.example")])
    assert first.verdicts == (
        Verdict(406, frozenset({1001, 1002})),
        Verdict(0, frozenset()),
        Verdict(406, frozenset({1001})),
    )
    assert second.verdicts == (Verdict(0, frozenset({1002})),)
    assert first.cpu_ns > 0


def test_a_program_that_ends_early_is_named(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f'#!{sys.executable}\nprint(\'{{"load_s": 1, "load_cpu_s": 1}}\')\n')
    program.chmod(0o700)
    with (
        harness.engine(program, tmp_path, "an engine") as engine,
        pytest.raises(Failure, match="an engine ended with 0"),
    ):
        engine.judge([])


def test_a_batch_is_numbers_and_bytes() -> None:
    to = io.BytesIO()
    harness.write_batch(to, [b"GET", b""])
    assert to.getvalue() == b"\x02\0\0\0\x03\0\0\0GET\0\0\0\0"


def test_a_difference_names_the_request_and_what_sets_the_engines_apart() -> None:
    passed, refused = Verdict(0, frozenset({3})), Verdict(403, frozenset({1, 3}))
    said = dict.fromkeys(SIDES, (passed, passed))
    said[CORAZA] = (passed, refused)
    (difference,) = verdicts.compare("a shape", 40, said)
    assert (difference.number, difference.others) == (41, (CORAZA,))
    assert list(difference.lines()) == [
        "a shape, request 41: bartizan passes [3]",
        "    Coraza 403 [1 3]: +1",
    ]


class Answering(BaseHTTPRequestHandler):
    """Refuses what asks for it, closes where it is told to, and takes all else."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        taken = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(403 if "evil" in self.path or b"evil" in taken else 404)
        if self.path == "/close":
            self.send_header("Connection", "close")
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"abc")

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def run(name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    command: list[str | Path] = [program(name), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_client_tells_the_status_of_each_request_in_its_order() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    requests = [get(target, "a") for target in ("/", "/evil", "/close", "/", "/evil")] * 4
    requests += [post("a=evil"), post("a=" + "b" * 100_000)]
    with run("once", f"127.0.0.1:{server.server_port}", "3") as client:
        behind = proxies.Behind(Proxy("a server", os.getpid(), 0, 0), client)
        first, second = behind.judge(requests), behind.judge(requests[:3])
    server.shutdown()
    server.server_close()
    statuses = [verdict.status for verdict in first.verdicts]
    assert statuses == [0, 403, 0, 0, 403] * 4 + [403, 0]
    assert [verdict.status for verdict in second.verdicts] == [0, 403, 0]


def test_the_origin_reads_a_body_before_the_next_request() -> None:
    with run("origin", "127.0.0.1:0") as served:
        assert served.stdout is not None
        port = int(served.stdout.readline().rpartition(b":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        answers = []
        for method, path, body in [("POST", "/", b"GET /bytes/9 \r\n\r\n" * 5_000), ("GET", "/bytes/5", None)]:
            connection.request(method, path, body)
            answer = connection.getresponse()
            answers.append((answer.status, answer.read()))
        connection.close()
    assert answers == [(404, b""), (200, bytes(range(5)))]


def test_the_edge_is_given_a_site_file_without_mistakes(tmp_path: Path) -> None:
    (tmp_path / "rules.conf").write_text(RULES)
    site = proxies.write_site(tmp_path / "site.toml", tmp_path / "rules.conf", 4, 8080)
    loaded = load(site, tmp_path)
    assert loaded.problems == []
    assert loaded.site is not None
    assert loaded.site.rulesets["crs"].paranoia_level == 4


def measured(name: str, ours_us: float, octets: int = 1_000) -> Measured:
    one = Measured(name, octets, 3)
    for side, times in {LIBMODSECURITY: 90.0, CORAZA: 60.0, PREFILTER: 50.0, OURS: ours_us}.items():
        one.cpu_us[side] = [times * 10, times, times / 10]
    return one


def test_the_ratio_is_to_the_better_peer_and_a_floor_is_a_floor() -> None:
    met, held, below = measured("a", 2.0), measured("b", 5.0), measured("c", 5.1)
    assert [one.better_peer for one in (met, held, below)] == [PREFILTER] * 3
    assert [one.ratio for one in (met, held)] == [25.0, 10.0]
    assert [one.verdict for one in (met, held, below)] == ["met", "floor held", "missed"]
    assert figures.missed([met, held, below]) == ["c: 9.8×"]
    assert figures.judgement([met, held, below])["below_target"] == ["b", "c"]
    line = figures.line([met, held, below], [])
    assert json.loads(json.dumps(line))["shapes"]["a"]["cpu_us"][OURS] == [20.0, 2.0, 0.2]


def test_growth_is_linear_where_a_kilobyte_costs_the_same_in_a_longer_text() -> None:
    short, middle, long = (
        measured(name, us, octets)
        for name, us, octets in zip(shapes.GROWTH, (1.0, 2.0, 20.0), (1_000, 10_000, 100_000), strict=True)
    )
    ours = figures.growth([short, middle, long])[OURS]
    assert list(ours.values()) == [1.0, 0.2, 0.2, 1.0]
    assert figures.growth([short, middle]) == {}
    long.cpu_us[OURS] = [200.0]
    assert "growth: 10.00" in figures.missed([short, middle, long])


def get(target: str, host: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: a\r\n\r\n".encode()


def post(form: str) -> bytes:
    head = (
        f"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}"
    )
    return f"{head}\r\n\r\n{form}".encode()


def split(request: bytes) -> tuple[bytes, bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    return head, body
