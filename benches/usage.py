"""What a process used: processor time, memory, system calls.

Processor time is the run time that the scheduler counted (`/proc/PID/task/TID/schedstat`, nanoseconds), which is exact;
the split into user and system in `/proc/PID/stat` is sampled at the timer's 250 Hz, so only totals are compared.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bartizan.failure import Failure

_SYSCALLS: Final = (
    "read", "readv", "recvfrom", "write", "writev", "sendto", "sendmsg", "sendfile64", "epoll_wait", "epoll_pwait",
    "epoll_ctl", "futex", "getsockopt", "getpid", "connect", "accept4", "close",
    "pwrite64", "fdatasync",
)  # fmt: skip


@dataclass(frozen=True)
class Spent:
    """Processor time of a process since it started, in seconds: of each thread by its id, and in all."""

    by_thread: dict[int, float]

    @property
    def total_s(self) -> float:
        """Of all threads."""
        return sum(self.by_thread.values())

    def since(self, before: Spent) -> float:
        """Seconds between two readings. A thread that ended in between is not counted."""
        return sum(now - before.by_thread.get(thread, 0.0) for thread, now in self.by_thread.items())


def spent(pid: int, *, without: Iterable[int] = ()) -> Spent:
    """What a process has used so far, leaving threads out by their ids."""
    left_out = set(without)
    by_thread = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        if int(task.name) in left_out:
            continue
        try:
            by_thread[int(task.name)] = int((task / "schedstat").read_text().split()[0]) / 1e9
        except FileNotFoundError:
            continue
    return Spent(by_thread)


def threads(pid: int) -> dict[int, str]:
    """Names of the threads of a process by their ids."""
    tasks = Path(f"/proc/{pid}/task")
    return {int(task.name): (task / "comm").read_text().strip() for task in tasks.iterdir()}


def resident_mib(pid: int) -> float:
    """Memory that a process holds itself: its resident set without file pages, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise Failure("/proc/PID/status has no RssAnon; Linux 4.5 or newer is needed")


class Syscalls:
    """How many system calls a process made, by name, filled when the block of `counted` ends."""

    def __init__(self) -> None:
        self.total = 0
        self.by_name: dict[str, int] = {}


@contextmanager
def counted(pid: int) -> Iterator[Syscalls]:
    """Counts the system calls of a process within the block. Raises Failure where perf(1) may not count them."""
    names = ["raw_syscalls:sys_enter", *(f"syscalls:sys_enter_{name}" for name in _SYSCALLS)]
    command = ["perf", "stat", "--field-separator", ",", "--event", ",".join(names), "--pid", str(pid)]
    perf = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    calls = Syscalls()
    _wait_until(lambda: _attached(perf.pid), perf)
    try:
        yield calls
    finally:
        perf.send_signal(2)
        output = perf.communicate()[1]
    for line in output.splitlines():
        value, _, name, *_ = [*line.split(","), "", "", ""]
        if not value.isdigit():
            continue
        if name == "raw_syscalls:sys_enter":
            calls.total = int(value)
        elif int(value):
            calls.by_name[name.removeprefix("syscalls:sys_enter_")] = int(value)
    if calls.total == 0:
        raise Failure(f"perf counted no system calls of process {pid}: {output.strip()[:300]}; run as root")


def _attached(perf: int) -> bool:
    links = [link for link in Path(f"/proc/{perf}/fd").iterdir() if link.is_symlink()]
    return any("perf_event" in str(link.readlink()) for link in links)


def _wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    import time

    for _ in range(200):
        if process.poll() is not None:
            raise Failure(f"perf ended at once: {process.communicate()[1].strip()[:300]}")
        if condition():
            # The descriptors are opened one after the other; counting begins with the last.
            time.sleep(0.1)
            return
        time.sleep(0.02)
    raise Failure("perf did not attach within 4 s")
