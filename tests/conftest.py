"""What holds for every test: chance decides nothing; a skip that tests/allowed-skips.txt does not list fails."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import settings

# What a property is tried with is the same in every run, and nothing fails for being slow on a busy machine. Another
# search: pytest --hypothesis-profile=default ...
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# A shell that starts this run in the background has it ignore SIGINT, and so would every process that a test starts and
# then stops as Ctrl-C does: it would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

_ALLOWED = Path(__file__).with_name("allowed-skips.txt")


def allowed_skips() -> list[str]:
    """The beginnings of node ids that may be skipped."""
    lines = (line.partition(" # ")[0].strip() for line in _ALLOWED.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long runs come first: where several workers share the files, none is left with the longest at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/proofs/"))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    unexpected = _unexpected(terminalreporter)
    if unexpected:
        terminalreporter.section("skips that tests/allowed-skips.txt does not list", red=True)
        for node in unexpected:
            terminalreporter.line(node)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if isinstance(reporter, pytest.TerminalReporter) and _unexpected(reporter) and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _unexpected(reporter: pytest.TerminalReporter) -> list[str]:
    allowed = tuple(allowed_skips())
    skipped = [report.nodeid for report in reporter.stats.get("skipped", [])]
    return [node for node in skipped if not (allowed and node.startswith(allowed))]
