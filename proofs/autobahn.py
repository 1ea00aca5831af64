"""Every case of autobahntestsuite against a WebSocket server alone and behind the edge; one JSON line.

The verdicts must be equal, case for case: the edge changes nothing of what a server does right or wrong. In clear text,
so that nothing but the edge stands between the two.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from proofs import tell

CASES = 517
"""Of autobahntestsuite 25.10.1."""


def main() -> int:
    """Run and report. Returns 1 if a verdict differs or a case is missing."""
    from tests.e2e.authority import Authority
    from tests.e2e.autobahn import EchoServer, verdicts
    from tests.e2e.edge_process import EdgeProcess, document

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--cases", nargs="+", default=["*"], metavar="CASE", help='cases or groups as "7.*" (default: all)'
    )
    cases: list[str] = parser.parse_args().cases
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory, EchoServer() as server:
        authority = Authority(Path(directory))
        policy = document(server.zone | {"tls": authority.tls("shop", "shop.test")}, authority.state.spool)
        with EdgeProcess(authority.state, policy) as edge:
            servers = {"alone": server.address, "behind": f"ws://127.0.0.1:{edge.port}"}
            judged = verdicts(Path(directory), servers, cases)
    alone, behind = judged["alone"], judged["behind"]
    different = sorted(case for case in alone.keys() | behind.keys() if alone.get(case) != behind.get(case))
    passed = not different and (len(alone) == CASES or cases != ["*"])
    report = {
        "proof": "autobahn",
        "passed": passed,
        "cases": len(alone),
        "different": {case: [alone.get(case), behind.get(case)] for case in different},
        "verdicts": Counter(f"{verdict.behavior}, closing {verdict.closing}" for verdict in behind.values()),
        "seconds": round(time.monotonic() - started, 1),
    }
    tell(report)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
