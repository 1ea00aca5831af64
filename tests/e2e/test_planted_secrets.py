"""What visitors send in confidence is nowhere to be found afterwards: not in spool, event store, logs or metrics.

Secrets with names of their own are sent in every place that a request has, through rules of every action, over HTTP/1
and HTTP/2, whole and malformed. Then everything that Bartizan wrote and all that it shows is searched for them. That
the search would find them is shown by what may be kept: it is found in the same places.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.e2e.client import connect, read_to_end
from tests.e2e.edge_process import EdgeProcess
from tests.e2e.origin import Origin, Visit
from tests.e2e.programs import run
from tests.events.sinks.collector import collector
from tests.events.support import count, eventually, name_sinks, needs_chdb, running, sink_status

from bartizan.control import ask
from bartizan.events import control, schema
from bartizan.layout import StateDirectory

SHOWN = "ShownOnPurpose"
"""What is no secret and must be found: in a path, a parameter, a header that a rule keeps."""

SITE = """\
[edge]
listen = ["127.0.0.1:0"]
threads = 1

[zones.shop]
hosts = ["shop.test"]
origins = ["{origin}"]

[[zones.shop.tls.certificates]]
certificate_file = "shop.pem"
key_file = "shop.key"
{rules}

[rulesets.all]
phase = "http_request_firewall_managed"
seclang = "all.conf"

[zones.gone]
hosts = ["gone.test"]
origins = ["http://127.0.0.1:9"]
"""

KEPT_FIELDS = (
    'request_fields = [{ name = "referer" }, { name = "x-shown" }, { name = "x-original-url" }]',
    'transformed_request_fields = [{ name = "x-copy" }]',
    'response_fields = [{ name = "location" }]',
)
RULE_SET = r"""
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain text/html
SecRule REQUEST_HEADERS:Content-Type "@contains json" "id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQUEST_LINE|REQUEST_HEADERS|REQUEST_COOKIES|ARGS|REQUEST_BODY|MULTIPART_PART_HEADERS "@rx (.*)" \
    "id:2,phase:2,pass,log,capture,msg:'%{MATCHED_VAR}',logdata:'%{TX.1}',setvar:'tx.seen=%{MATCHED_VAR}'"
SecRule RESPONSE_HEADERS|RESPONSE_BODY "@rx (.*)" "id:3,phase:4,pass,log,msg:'%{TX.seen}',logdata:'%{MATCHED_VAR}'"
SecRule REQUEST_URI "@beginsWith /block" "id:4,phase:2,deny,log,msg:'%{REQUEST_URI}'"
"""
"""It matches in every value of a request and repeats it wherever a rule can."""

CUSTOM = "http_request_firewall_custom"
RULES = [
    ("block", 'starts_with(http.request.uri.path, "/block")', "", CUSTOM),
    ("log", 'http.request.uri.query contains "a" or http.request.body.raw contains "a"', "", CUSTOM),
    ("log", 'any(http.request.body.form.values[*] contains "a")', "", CUSTOM),
    ("log", 'lookup_json_string(http.request.body.raw, "a") eq "b"', "", CUSTOM),
    ("log", 'any(http.request.cookies["a"][*] eq "b")', "", CUSTOM),
    ("log", 'any(http.request.headers["authorization"][*] eq "b")', "", CUSTOM),
    ("skip", 'starts_with(http.request.uri.path, "/skip")', '{ ruleset = "current" }', CUSTOM),
    (
        "redirect",
        'starts_with(http.request.uri.path, "/redirect")',
        '{ from_value = { preserve_query_string = true, target_url = { value = "https://shop.test/there" } } }',
        "http_request_dynamic_redirect",
    ),
    (
        "rewrite",
        'starts_with(http.request.uri.path, "/rewrite")',
        '{ uri = { query = { expression = "http.request.uri.query" } } }',
        "http_request_transform",
    ),
    (
        "rewrite",
        'starts_with(http.request.uri.path, "/rewrite")',
        '{ headers = { "x-copy" = { operation = "set", expression = "http.request.uri.query" } } }',
        "http_request_late_transform",
    ),
    ("route", 'starts_with(http.request.uri.path, "/route")', '{ host_header = "other.test" }', "http_request_origin"),
    ("execute", "true", '{ id = "all" }', "http_request_firewall_managed"),
    ("execute", "http.response.code gt 0", '{ id = "all" }', "http_response_firewall_managed"),
    (
        "serve_error",
        "http.response.code eq 404",
        '{ content = "none", content_type = "text/plain", status_code = 404 }',
        "http_custom_errors",
    ),
    (
        "log_custom_field",
        "true",
        f"{{ {', '.join(KEPT_FIELDS)} }}",
        "http_log_custom_fields",
    ),
]  # fmt: skip

PARAMETERS = (
    "token={}", "password={}", "api_key={}", "code={}", "%74oken={}", "PassWord={}", "user[password]={}", "token[]={}",
    "a=1;token={}", "access%5Ftoken={}", "X-Amz-Signature={}", "redirect_uri=https://x.test/?token={}",
    "next=https%3A%2F%2Fx.test%2F%3Fsecret%3D{}", "next=%252Fa%253Fsecret%253D{}", "u=https://jo:{}@x.test/",
    "v=%7B%22password%22%3A%22{}%22%7D", "customer_no={}",
)  # fmt: skip
HEADERS = (
    "Authorization: Bearer {}", "Authorization: Basic {}", "Cookie: session={}; a=b", "X-Api-Key: {}",
    "X-Auth-Token: {}", "Referer: https://jo:{}@shop.test/a?b=c", "Referer: https://shop.test/a?token={}&b=c",
    "X-Original-Url: /a?token={}", "Proxy-Authorization: Basic {}", "Sec-WebSocket-Protocol: bearer.{}",
)  # fmt: skip
PATHS = ("/a;jsessionid={}/b", "/a/token={}", "/a%3Btoken%3D{}/b")
BODIES = (
    ("application/x-www-form-urlencoded", "user=jo&password={}&a=1"),
    ("application/json", '{{"user": "jo", "password": "{}", "a": 1}}'),
    ("text/plain", "{}"),
    ("multipart/form-data; boundary=x", '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n{}\r\n--x--\r\n'),
)
STARTS = ("", "/block", "/skip", "/redirect", "/rewrite", "/route", "/missing")


class Secrets:
    """Makes them, each findable by itself."""

    def __init__(self) -> None:
        """None yet."""
        self.made: list[str] = []

    def new(self) -> str:
        """One that stands nowhere else."""
        self.made.append(f"Planted{len(self.made):04d}q{os.urandom(6).hex()}")
        return self.made[-1]

    def found_in(self, text: bytes) -> list[str]:
        """Those that `text` holds, encoded or not."""
        return [secret for secret in self.made if secret.encode() in text]


@pytest.fixture
def origin() -> Iterator[Origin]:
    """An application that answers with a cookie and a redirect that hold what it was asked for."""
    seen: list[bytes] = []

    def answer(visit: Visit) -> None:
        while (request := visit.request()) is not None:
            seen.append(request)
            target = request.split(b" ")[1]
            status = b"404 Not Found" if target.startswith(b"/missing") else b"200 OK"
            head = b"HTTP/1.1 %s\r\nContent-Length: 2\r\nSet-Cookie: session=%s\r\n" % (status, target[-60:])
            visit.send(head + b"Location: " + target + b"\r\nX-Token: " + target + b"\r\n\r\nok")

    with Origin(answer) as running_origin:
        running_origin.seen = seen  # type: ignore[attr-defined]
        yield running_origin
        assert not running_origin.errors


def site_file(directory: Path, origin: str) -> Path:
    """Writes the site, with a certificate whose key is a secret as well."""
    subject = ("-subj", "/CN=shop.test", "-addext", "subjectAltName=DNS:shop.test")
    key = ("-keyout", directory / "shop.key", "-out", directory / "shop.pem", "-nodes", "-days", "2")
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", *key, *subject)
    rules = "".join(
        f"\n[[zones.shop.rules]]\naction = \"{action}\"\nexpression = '''{expression}'''\nphase = \"{phase}\"\n"
        + (f"action_parameters = {parameters}\n" if parameters else "")
        for action, expression, parameters, phase in RULES
    )
    (directory / "all.conf").write_text(RULE_SET)
    file = directory / "bartizan.toml"
    file.write_text(SITE.format(origin=origin, rules=rules) + '\n[events]\nsecret_parameters = ["customer no"]\n')
    return file


def command(*words: str | Path, check: bool = True) -> bytes:
    """Runs `bartizan` and returns all that it says."""
    done = run(sys.executable, "-m", "bartizan.cli", *words, check=check)
    return done.stdout + done.stderr


def drive(port: int, secrets: Secrets) -> None:
    """Sends secrets in every place of a request."""
    targets = [(f"{start}/x?shown={SHOWN}&" + each, (), b"") for start in STARTS for each in PARAMETERS]
    targets += [(each, (), b"") for each in PATHS]
    with_headers = [(f"{start}/x?a=1", ("-H", each), b"") for start in STARTS for each in HEADERS]
    bodies = [
        (f"{start}/x?a=1", ("-H", f"Content-Type: {kind}", "--data-binary", body), b"")
        for start in STARTS
        for kind, body in BODIES
    ]
    for number, (target, options, _) in enumerate([*targets, *with_headers, *bodies]):
        host = "gone.test" if number % 11 == 10 else "nowhere.test" if number % 13 == 12 else "shop.test"
        version = "--http2-prior-knowledge" if number % 3 == 0 else "--http1.1"
        given = [option.format(secrets.new()) if "{}" in option else option for option in options]
        whole = ["-H", f"X-Shown: {SHOWN}", "-H", f"Host: {host}", version, "--path-as-is", "--globoff", *given]
        url = f"http://127.0.0.1:{port}{target.replace('{}', secrets.new())}"
        run("curl", "--silent", "--max-time", "60", *whole, url, check=False)
    malformed = (
        "GET /?token={} HTTP/1.1\r\nHost: shop.test\r\nHost: shop.test\r\n\r\n",
        "GET /?token={} HTTP/1.1\r\nHost: a\r\nAuthorization: {}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET /?token={}\x01 HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "GET https://jo:{}@shop.test/ HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "POST /?token={} HTTP/1.1\r\nHost: shop.test\r\nCookie: a={}\r\nContent-Length: 100\r\n\r\npassword={}",
        "GET /?token={} HTTP/1.1\r\nHost: shop.test:{}\r\n\r\n",
    )
    for text in malformed:
        with connect(port) as connection:
            for part in text.split("{}"):
                connection.sendall(part.encode("latin-1"))
                if part is not text.split("{}")[-1]:
                    connection.sendall(secrets.new().encode())
            connection.shutdown(socket.SHUT_WR)
            read_to_end(connection)


def written(directory: Path) -> dict[Path, bytes]:
    """Every file below, by name."""
    return {file: file.read_bytes() for file in directory.rglob("*") if file.is_file()}


@needs_chdb
def test_no_secret_of_a_visitor_is_kept_or_shown(tmp_path: Path, origin: Origin) -> None:
    state = StateDirectory(Path(os.environ.get("TMPDIR", "/tmp")) / f"bzs-{os.getpid()}")
    try:
        search(tmp_path, state, origin)
    finally:
        subprocess.run(["rm", "-rf", str(state.path)], check=True)


def search(folder: Path, state: StateDirectory, origin: Origin) -> None:
    """Drives secrets through an installation, then looks for them in everything."""
    secrets = Secrets()
    site = site_file(folder, origin.url)
    where = ("--site", site, "--state", state.path)
    shown = {"apply": command("apply", site, "--state", state.path)}
    with EdgeProcess(state, json.loads(state.current_policy.read_bytes())) as edge:
        drive(edge.port, secrets)
        answer = ask(state.edge_socket, {"command": "metrics"}, timeout_s=60)
        shown["metrics"] = json.dumps(answer).encode()
        shown["status"] = command("status", *where, check=False)
    shown["log of the edge"] = edge.said.encode()
    asked = b"".join(origin.seen)  # type: ignore[attr-defined]
    reached = secrets.found_in(asked)
    assert len(reached) > len(secrets.made) // 3, "the origin got hardly any of the secrets: nothing was tested"

    shown["tail"] = command("tail", *where, "--no-follow", "--limit", "10000")
    shown["tail --json"] = command("tail", *where, "--no-follow", "--limit", "10000", "--json")
    acted = ("--table", "firewall_events", "--no-follow", "--limit", "10000", "--json")
    shown["tail of firewall events"] = command("tail", *where, *acted)
    rays = [json.loads(line)["RayID"] for line in shown["tail --json"].splitlines()[::40]]
    shown["ray"] = b"".join(command("ray", ray, *where) for ray in rays)
    with ExitStack() as beside:
        traces = beside.enter_context(collector())
        name_sinks(state, traces={"type": "otlp", "url": traces.url})
        owner = beside.enter_context(running(state))
        requests, acted_on = (len(shown[name].splitlines()) for name in ("tail --json", "tail of firewall events"))
        eventually(
            lambda: (count(state), count(state, "firewall_events")) == (requests, acted_on),
            "all events are in the store",
        )
        eventually(lambda: sink_status(state, "traces").rows >= requests + acted_on, "all events are with the sink")
        shown["traces"] = b"\n".join(post.body for post in traces.posts)
        for table in schema.tables():
            sql = f"SELECT * FROM {table.name}"  # noqa: S608  a table of ours
            shown[f"store {table.name}"] = control.query(state.events_socket, sql, "JSONEachRow")
        shown["doctor"] = command("doctor", *where, check=False)
    shown["log of the event owner"] = (owner.stderr.read() if owner.stderr and not owner.stderr.closed else "").encode()

    kept = written(state.path)
    leaks = {str(name): secrets.found_in(text) for name, text in [*shown.items(), *kept.items()]}
    assert {name: found for name, found in leaks.items() if found} == {}
    private_key = (folder / "shop.key").read_text().splitlines()[1].encode()
    assert [str(name) for name, text in [*shown.items(), *kept.items()] if private_key in text] == []

    segments = b"".join(text for file, text in kept.items() if file.parent == state.spool)
    for name, text in [("spool", segments), *shown.items()]:
        if name in ("spool", "tail", "tail --json", "ray", "store http_requests", "store firewall_events", "traces"):
            assert SHOWN.encode() in text, f"{name} does not even have what may be kept"
    assert urllib.parse.quote("REDACTED").encode() in segments
