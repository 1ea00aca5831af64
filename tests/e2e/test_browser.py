"""Chromium browses an application through the edge, over TLS and HTTP/2. The 1 GiB run is `proofs/browser.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.browser import visit

MIB = 1 << 20


@pytest.mark.slow
def test_chromium_browses_downloads_uploads_and_holds_streams(tmp_path: Path) -> None:
    seen = visit(tmp_path, 64 * MIB)
    assert (seen["status"], seen["title"], seen["script"]) == (200, "Behind the edge", "ran")
    assert seen["downloaded"] == [64 * MIB, 0]
    assert seen["uploaded"] == [64 * MIB, True]
    assert seen["socket"] == [True, True, True]
    assert seen["events"] == [f"event {number}" for number in range(5)]
    assert seen["still_open"] == ["still here", 1]
    assert seen["closed"] == [4001, "as asked", True]
    assert seen["growth_bytes"] < 64 * MIB
    paths = ("/", "/download", "/events", "/next", "/script.js", "/upload")
    assert seen["protocols"] == [(path, "h2") for path in paths]
    assert seen["events_told"] == [(path, "HTTP/2", "TLSv1.3") for path in sorted((*paths, "/socket"))]
