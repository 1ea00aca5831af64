"""`python -m benches.edge_process POLICY`: an edge as a program that uses the Python API has it, for the benches.

With `--busy-loop` a thread of this process computes for ever: `python` holds the GIL for it, `digest` has let go of it.
Prints one JSON line when it serves, and stops on SIGTERM.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import sys
import threading
from pathlib import Path
from typing import Final, NoReturn

SWITCHES: Final = 1_000_000


class _Stopped(BaseException):
    """SIGTERM came."""


def count_for_ever() -> None:
    """What holds the GIL: bytecode that never waits."""
    count = 0
    while True:
        count = (count * 1_103_515_245 + 12_345) % SWITCHES


def digest_for_ever() -> None:
    """The same without the GIL: pbkdf2_hmac releases it, and so many iterations take a quarter of an hour."""
    while True:
        hashlib.pbkdf2_hmac("sha256", b"busy", b"loop", 2**31 - 1)


LOOPS: Final = {"python": count_for_ever, "digest": digest_for_ever}


def main() -> int:
    """Serves until SIGTERM."""
    from bartizan import Edge

    parser = argparse.ArgumentParser(prog="python -m benches.edge_process")
    parser.add_argument("policy", type=Path)
    parser.add_argument("--events", choices=["spool", "off"], default="spool")
    parser.add_argument("--busy-loop", choices=sorted(LOOPS))
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    busy = threading.Thread(target=LOOPS.get(arguments.busy_loop), name="busy", daemon=True)
    try:
        with Edge(arguments.policy, events=arguments.events) as edge:
            if arguments.busy_loop is not None:
                busy.start()
            sys.stdout.write(json.dumps({"listening": edge.listening, "busy": busy.native_id}) + "\n")
            sys.stdout.flush()
            edge.wait()
    except _Stopped:
        pass
    return 0


def _stop(*_: object) -> NoReturn:
    raise _Stopped


if __name__ == "__main__":
    sys.exit(main())
