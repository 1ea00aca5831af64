"""The programs that embed an engine each: how they are built, started and asked.

A program takes one argument, the file of rules, and prints one line of JSON once it has loaded it: `load_s`,
`load_cpu_s`. From then on it reads batches from its standard input until that ends: the number of requests, then each
request behind its length, all numbers of four octets, the lowest first. It has read the whole batch before it looks at
its clock. For each batch it prints one line of JSON: `cpu_ns`, the processor time of all its threads for all that an
embedding does (the head taken apart from its bytes, phases 1, 2 and 5, what matched asked for), and `verdicts`, for
each request its status (0 where it may pass) with the numbers of the rules that matched and log.

Ours is `crates/seclang/examples/judge.rs`; the others stand beside this file.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal, Protocol

from benches.machine import PROXY_CORE, ROOT, pinned
from benches.waf import rules

from bartizan.failure import Failure

HERE: Final = Path(__file__).resolve().parent

OURS: Final = "bartizan"
LIBMODSECURITY: Final = "libmodsecurity"
CORAZA: Final = "Coraza"
PREFILTER: Final = "Coraza, prefilter"
SIDES: Final = (LIBMODSECURITY, CORAZA, PREFILTER, OURS)
PEERS: Final = SIDES[:-1]


REPORTING: Final = frozenset({980170})
"""Tells the scores of what was refused: it matches always, and engines do not agree whether a rule of phase 5 that says
`noauditlog` and not `log` is one that logs. It is left out of what is compared."""


@dataclass(frozen=True)
class Verdict:
    """What an engine said of a request: the status it would be refused with, or 0; and the rules that matched."""

    status: int
    ids: frozenset[int]


@dataclass(frozen=True)
class Judged:
    """What an engine said of a batch, and what that cost."""

    cpu_ns: int
    verdicts: tuple[Verdict, ...]


class Side(Protocol):
    """What is asked about requests: an engine, or a proxy with one."""

    @property
    def pid(self) -> int:
        """Of the process whose memory counts."""

    def judge(self, requests: list[bytes]) -> Judged:
        """Asks it about a batch."""


class Engine:
    """A running program."""

    def __init__(self, process: subprocess.Popen[bytes], name: str) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        said = self._line()
        self.load_s: float = said["load_s"]
        self.load_cpu_s: float = said["load_cpu_s"]

    def judge(self, requests: list[bytes]) -> Judged:
        """Asks it about a batch. Raises Failure where it ends instead of answering."""
        assert self._process.stdin is not None
        # One that has ended takes nothing; the line that does not come says so.
        with suppress(BrokenPipeError):
            write_batch(self._process.stdin, requests)
        said = self._line()
        verdicts = tuple(Verdict(status, frozenset(ids) - REPORTING) for status, ids in said["verdicts"])
        if len(verdicts) != len(requests):
            raise Failure(f"{self.name} judged {len(verdicts)} of {len(requests)} requests")
        return Judged(said["cpu_ns"], verdicts)

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Failure(f"{self.name} ended with {self._process.wait()}; what it wrote above says why")
        said: dict[str, Any] = json.loads(line)
        return said


def write_batch(to: IO[bytes], requests: Iterable[bytes]) -> None:
    """Writes a batch as the programs read it."""
    requests = list(requests)
    to.write(struct.pack("<I", len(requests)))
    for request in requests:
        to.write(struct.pack("<I", len(request)))
        to.write(request)
    to.flush()


@contextmanager
def engine(program: Path, file: Path, name: str) -> Iterator[Engine]:
    """A program with its rules loaded, for as long as the block lasts."""
    command = pinned(PROXY_CORE, [program, file])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Engine(process, name)
        finally:
            process.terminate()
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.close()


def build(side: str, *, profile: Literal["release", "dev"] = "release") -> Path:
    """The program of a side, built where its source is newer (ours as `profile` says). Raises Failure."""
    if side == OURS:
        return _ours(profile)
    if side != LIBMODSECURITY:
        return build_go(CORAZA, ".")
    built = rules.CACHE / "bin" / LIBMODSECURITY
    built.parent.mkdir(parents=True, exist_ok=True)
    source = HERE / "libmodsecurity" / "judge.cc"
    _need("c++", "g++")
    command: list[str | Path] = ["c++", "-std=c++17", "-O2", "-o", built, source, "-lmodsecurity"]
    _built(command, HERE, "apt-get install libmodsecurity-dev")
    return built


def build_go(name: str, package: str) -> Path:
    """A program of the Go module beside this file. Raises Failure where it cannot be built."""
    built = rules.CACHE / "bin" / name.lower()
    _need("go", "golang, 1.25 or newer")
    _built(["go", "build", "-o", built, package], HERE / "coraza", "go must reach its module proxy")
    return built


def _ours(profile: str) -> Path:
    _need("cargo", "cargo")
    options = ["--profile", profile, "--locked", "--workspace", "--example", "judge"]
    _built(["cargo", "build", *options], ROOT, "see what it says")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / ("debug" if profile == "dev" else profile) / "examples" / "judge"


def _need(program: str, package: str) -> None:
    if shutil.which(program) is None:
        raise Failure(f"{program} is not installed; install {package}")


def _built(command: list[str | Path], directory: Path, way_out: str) -> None:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = " ".join(map(str, command))
        raise Failure(f"{words} ended with {done.returncode} ({way_out}): {done.stderr.strip()[-1500:]}")
