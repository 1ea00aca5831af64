"""h2spec against the edge, in clear text and over TLS, many times over; one JSON line.

The cases and the one that is answered in HTTP/1.1 are explained in `tests/e2e/test_conformance_h2spec.py`, which runs
it once. Repeated here because what depends on timing (resets, windows, closing) can pass by luck.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from proofs import tell


def main() -> int:
    """Run and report. Returns 1 if a case failed that is not known."""
    from tests.e2e.authority import Authority
    from tests.e2e.conftest import zone
    from tests.e2e.edge_process import EdgeProcess, document
    from tests.e2e.origin import Origin, echo
    from tests.e2e.test_conformance_h2spec import ANSWER, ANSWERED_BY_HTTP_1, CASES, failed_cases

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, help="runs of each kind (default: 20)")
    times: int = parser.parse_args().times
    failed: dict[str, Counter[str]] = {"tls": Counter(), "cleartext": Counter()}
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory, Origin(echo([], ANSWER)) as origin:
        authority = Authority(Path(directory))
        policy = document(zone(origin.url, tls=authority.tls("shop", "shop.test")), authority.state.spool)
        with EdgeProcess(authority.state, policy) as edge:
            for _ in range(times):
                failed["tls"].update(failed_cases(edge.tls_port, Path(directory), tls=True))
                failed["cleartext"].update(failed_cases(edge.port, Path(directory), tls=False))
    passed = not failed["tls"] and failed["cleartext"] == Counter(ANSWERED_BY_HTTP_1 * times)
    report = {
        "proof": "h2spec",
        "passed": passed,
        "cases": CASES,
        "runs_of_each": times,
        "failed_over_tls": failed["tls"],
        "failed_in_clear_text": failed["cleartext"],
        "answered_by_http_1": ANSWERED_BY_HTTP_1,
        "seconds": round(time.monotonic() - started, 1),
    }
    tell(report)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
