"""Chromium through the edge: browse, download and upload 1 GiB, hold a WebSocket and an event stream; one JSON line.

The visit is the one that `tests/e2e/test_browser.py` makes with 64 MiB. What it proves beside that everything arrived:
the edge, a process of its own, grew by less than 64 MiB at its peak, so bodies are streamed and not kept.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from proofs import tell

MIB = 1 << 20
GROWTH_MAX = 64 * MIB


def main() -> int:
    """Make the visit and report. Returns 1 if anything is not as it should be."""
    from tests.e2e.browser import version, visit

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024, help="size of the download and of the upload (default: 1024)")
    count = parser.parse_args().mib * MIB
    with tempfile.TemporaryDirectory() as directory:
        seen = visit(Path(directory), count)
    whole = seen["downloaded"] == [count, 0] and seen["uploaded"] == [count, True]
    held = seen["socket"] == [True] * 3 and len(seen["events"]) == 5 and seen["closed"] == [4001, "as asked", True]
    protocols = {protocol for _, protocol in seen["protocols"]}
    passed = whole and held and protocols == {"h2"} and seen["growth_bytes"] < GROWTH_MAX
    report = {
        "proof": "browser",
        "passed": passed,
        "growth_mib": round(seen["growth_bytes"] / MIB, 1),
        "resident_before_mib": round(seen["before_bytes"] / MIB, 1),
        "download_mib": count // MIB,
        "upload_mib": count // MIB,
        "download_s": seen["download_s"],
        "upload_s": seen["upload_s"],
        "protocols": sorted(protocols),
        "websocket_and_events": held,
        "chromium": version(),
    }
    tell(report)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
