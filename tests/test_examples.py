"""What is in examples/ does what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bartizan.layout import StateDirectory
from bartizan.policy.check import check

EXAMPLES = Path(__file__).parents[1] / "examples"

PRINTED = {
    "edge_in_a_program.py": "policy 1: 200 403\npolicy 2: 403 403\n",
    "events_in_a_program.py": (
        "[('/basket', 7), ('/', 3)]\n"
        "60 rows, timestamp[ns, tz=UTC]\n"
        "1180 ms at most\n"
        'unknown field "http.hots" (line 1, column 1)\n'
    ),
    "rules_in_a_program.py": (
        'http.request.uri.path matches "^/admin" and not ip.src in $office\n'
        "[True, False, False]\n"
        "reads http.request.uri.path ip.src\n"
        "startsWith(lower(ClientRequestPath), '/admin')\n"
        'unknown field "http.hots" (line 1, column 1)\n'
        '  http.hots eq "shop.example"\n'
        "  ^~~~~~~~~\n"
        "  did you mean http.host?\n"
    ),
}


@pytest.mark.parametrize("program", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_a_program_prints_what_it_should(program: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path
    )
    assert ended.stdout == PRINTED[program.name]


@pytest.mark.parametrize("site", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.name)
def test_a_site_file_has_no_mistake(site: Path, tmp_path: Path) -> None:
    checked = check(site, StateDirectory(tmp_path / "state"))
    assert [str(problem) for problem in checked.problems] == []
    assert checked.rules > 0
