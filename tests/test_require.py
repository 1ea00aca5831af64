"""`make` says in one line what this machine lacks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


def require(words: list[str], path: Path) -> subprocess.CompletedProcess[str]:
    """Runs tools/require.sh where only these programs are: those in `path`, and what every Debian has in /bin."""
    command = ["/bin/sh", str(REPOSITORY / "tools" / "require.sh"), *words]
    environment = {"PATH": f"{path}:/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)


def program(path: Path, name: str, script: str) -> Path:
    file = path / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


@pytest.mark.parametrize(
    ("version", "accepted"), [("1.90.0", True), ("1.95.0", True), ("2.0.0", True), ("1.89.9", False), ("1.9.0", False)]
)
def test_rust_must_be_new_enough(version: str, accepted: bool, tmp_path: Path) -> None:
    program(tmp_path, "cargo", f"echo 'cargo {version} (abc 2026-01-01)'")
    program(tmp_path, "cc", "exit 0")
    asked = require(["cargo"], tmp_path)
    if accepted:
        assert (asked.returncode, asked.stderr) == (0, "")
    else:
        expected = f"bartizan: cargo is {version}; Bartizan needs Rust 1.90 or newer: rustup update stable\n"
        assert (asked.returncode, asked.stderr) == (1, expected)


def test_python_must_be_new_enough(tmp_path: Path) -> None:
    old = program(tmp_path, "python3", 'case "$1" in -V) echo "Python 3.9.2" ;; *) exit 1 ;; esac')
    asked = require(["python", str(old)], tmp_path)
    assert asked.returncode == 1
    assert asked.stderr == (
        f"bartizan: {old} is Python 3.9.2; Bartizan needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ...\n"
    )


def test_a_package_that_cannot_be_installed_is_named(tmp_path: Path) -> None:
    program(tmp_path, "id", "echo 1000")
    program(tmp_path, "python3", 'case "$2" in *ensurepip*) exit 1 ;; *) exit 0 ;; esac')
    asked = require(["python", str(tmp_path / "python3")], tmp_path)
    assert asked.returncode == 1
    assert asked.stderr == (
        f"bartizan: {tmp_path / 'python3'} has no venv module; as root: apt-get install python3-venv\n"
    )
