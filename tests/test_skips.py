"""Nothing is skipped that tests/allowed-skips.txt does not list; the hooks in conftest.py see to what pytest skips."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.conftest import allowed_skips

REPOSITORY = Path(__file__).parents[1]
IGNORED = re.compile(r"#\[ignore[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*(?:async )?fn (\w+)")

pytest_plugins = ["pytester"]


def test_every_ignored_rust_test_is_listed() -> None:
    found = [
        f"{file.relative_to(REPOSITORY)}::{name}"
        for file in sorted((REPOSITORY / "crates").rglob("*.rs"))
        for name in IGNORED.findall(file.read_text())
    ]
    assert sorted(found) == sorted(name for name in allowed_skips() if name.startswith("crates/"))


def test_an_unlisted_skip_fails_the_run_and_a_listed_one_does_not(pytester: pytest.Pytester) -> None:
    pytester.makeconftest((REPOSITORY / "tests" / "conftest.py").read_text())
    pytester.makepyfile(
        test_sample="import pytest\ndef test_here(): pass\ndef test_away(): pytest.skip('no such thing')"
    )
    listed = pytester.path / "allowed-skips.txt"
    listed.write_text("# nothing\n")
    assert pytester.runpytest_subprocess().ret == 1
    listed.write_text("test_sample.py::test_away # for this test\n")
    assert pytester.runpytest_subprocess().ret == 0
