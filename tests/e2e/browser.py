"""Chromium over an application behind the edge, and the visit that the test and `proofs/browser.py` make with it."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright
from tests.e2e.applications import PIECE, Application, download_bytes
from tests.e2e.authority import Authority
from tests.e2e.conftest import zone
from tests.e2e.edge_process import EdgeProcess, document
from tests.e2e.programs import run

from bartizan import _native

SITE = "https://shop.test/"
DOWNLOAD = """async count => {
    const reader = (await fetch(`/download?${count}`)).body.getReader();
    let bytes = 0, wrong = 0;
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
        for (let place = 0; place < part.value.length; place += 4099)
            if (part.value[place] !== (bytes + place) % 256) wrong++;
        bytes += part.value.length;
    }
    return [bytes, wrong];
}"""
"""Reads a download to its end, looks at every 4,099th byte, and keeps none of it."""

UPLOAD = """async count => {
    const piece = Uint8Array.from({length: 65536}, (_, place) => place % 256);
    const parts = Array(count / piece.length).fill(piece);
    let file = new Blob(parts.slice(0, 1024));
    file = new Blob(Array(Math.ceil(parts.length / 1024)).fill(file)).slice(0, count);
    return (await fetch('/upload', {method: 'POST', body: file})).json();
}"""
"""Uploads that many bytes (a multiple of 64 KiB) as a file would be."""

SOCKET = """() => new Promise((done, failed) => {
    const sent = ['one', 'grüße', 'x'.repeat(1 << 20)], got = [];
    const socket = new WebSocket(`wss://${location.host}/socket`);
    window.held = socket;
    socket.onopen = () => socket.send(sent[0]);
    socket.onerror = () => failed(new Error('the WebSocket failed'));
    socket.onmessage = event => {
        got.push(event.data === sent[got.length]);
        got.length < sent.length ? socket.send(sent[got.length]) : done(got);
    };
})"""
"""Opens a WebSocket, has three messages echoed and leaves it open as `held`."""

STILL_OPEN = """() => new Promise(done => {
    window.held.onmessage = event => done([event.data, window.held.readyState]);
    window.held.send('still here');
})"""

CLOSE_SOCKET = """() => new Promise(done => {
    window.held.onclose = event => done([event.code, event.reason, event.wasClean]);
    window.held.send('close 4001');
})"""

EVENTS = """() => new Promise((done, failed) => {
    const source = new EventSource('/events'), got = [];
    source.onmessage = event => {
        got.push(event.data);
        if (got.length === 5) { source.close(); done(got); } else fetch('/next');
    };
    source.onerror = () => failed(new Error(`the stream broke after ${got}`));
})"""
"""Reads five events, each of which is sent only when the one before was seen."""

PROTOCOLS = """() => performance.getEntries()
    .filter(entry => ['navigation', 'resource'].includes(entry.entryType))
    .map(entry => [new URL(entry.name).pathname, entry.nextHopProtocol])"""


PATHS = ["/", "/download", "/events", "/next", "/script.js", "/upload"]
"""What a visit fetches."""


@contextmanager
def chromium(leaf: Path, port: int, profile: Path) -> Iterator[Page]:
    """A page of a headless Chromium for which `shop.test` is the edge at `port`, and which finds no other host.

    It trusts the site's key beside the authorities that it always trusts.
    """
    program = shutil.which("chromium")
    assert program is not None, "there is no chromium; `make packages` installs it"
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        f"--host-resolver-rules=MAP shop.test 127.0.0.1:{port}, MAP * ~NOTFOUND",
        f"--ignore-certificate-errors-spki-list={key_digest(leaf)}",
    ]
    with sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            str(profile), executable_path=program, headless=True, args=arguments, timeout=60_000
        )
        try:
            yield context.new_page()
        finally:
            context.close()


def key_digest(leaf: Path) -> str:
    """The digest of a certificate's key as Chromium takes it: SHA-256 of the SubjectPublicKeyInfo, in Base64."""
    key = run("openssl", "x509", "-in", leaf, "-noout", "-pubkey").stdout
    return b64encode(
        hashlib.sha256(run("openssl", "pkey", "-pubin", "-outform", "DER", stdin=key).stdout).digest()
    ).decode()


def visit(directory: Path, count: int) -> dict[str, Any]:
    """Browses, downloads and uploads `count` bytes (a multiple of 64 KiB), holds a WebSocket and an event stream.

    What was seen, with the growth of the edge's memory over all of it, in bytes.
    """
    authority = Authority(directory)
    tls = authority.tls("shop", "shop.test")
    seen: dict[str, Any] = {"bytes": count}
    with Application() as application:
        policy = document(zone(application.url, tls=tls), authority.state.spool)
        with (
            EdgeProcess(authority.state, policy) as edge,
            chromium(authority.leaf("shop"), edge.tls_port, directory / "profile") as page,
        ):
            page.set_default_timeout(300_000)
            answer = page.goto(SITE)
            assert answer is not None
            seen["status"], seen["title"] = answer.status, page.title()
            seen["script"] = page.evaluate("document.body.dataset.script")
            seen["socket"] = page.evaluate(SOCKET)
            warm = page.evaluate(DOWNLOAD, len(PIECE) * 16)
            edge.forget_peak()
            before = edge.peak_bytes()
            started = time.monotonic()
            seen["downloaded"] = page.evaluate(DOWNLOAD, count)
            seen["download_s"] = round(time.monotonic() - started, 1)
            started = time.monotonic()
            uploaded = page.evaluate(UPLOAD, count)
            seen["upload_s"] = round(time.monotonic() - started, 1)
            seen["events"] = page.evaluate(EVENTS)
            seen["still_open"] = page.evaluate(STILL_OPEN)
            seen["closed"] = page.evaluate(CLOSE_SOCKET)
            seen["growth_bytes"] = edge.peak_bytes() - before
            seen["before_bytes"] = before
            # What is fetched is among the entries once it has ended.
            page.wait_for_function(
                f"paths => paths.every(path => ({PROTOCOLS})().some(entry => entry[0] === path))", arg=PATHS
            )
            seen["protocols"] = sorted({tuple(entry) for entry in page.evaluate(PROTOCOLS)})
    seen["events_told"] = sorted(set(told(authority.state.spool)))
    assert warm == [len(PIECE) * 16, 0]
    digest = hashlib.sha256()
    for piece in download_bytes(count):
        digest.update(piece)
    seen["uploaded"] = [uploaded["bytes"], uploaded["sha256"] == digest.hexdigest()]
    return seen


def told(spool: Path) -> Iterator[tuple[str, str, str]]:
    """Path, protocol and TLS version of the requests, as the edge wrote them into its events."""
    reader = _native.SpoolReader(spool)
    while (batch := reader.next_batch()) is not None:
        for _, row in batch.rows("http_requests"):
            yield str(row["ClientRequestPath"]), str(row["ClientRequestProtocol"]), str(row.get("ClientSSLProtocol"))


def version() -> str:
    """Chromium's version."""
    return re.sub(r"[^\d.]", "", run("chromium", "--version").stdout.decode().split(" built")[0])
