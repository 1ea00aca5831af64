"""The completion scripts complete in the shells they are for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bartizan.cli.commands import COMMANDS
from bartizan.cli.completions import bash, fish, zsh

WORDS = [word for command in COMMANDS for word in command.name.split()]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["bartizan", "ro"], ["rollback"]),
        (["bartizan", "completions", ""], ["bash", "fish", "zsh", "--help"]),
        (["bartizan", "up", "--s"], ["--state"]),
        (["bartizan", "tail", "--no"], ["--no-follow"]),
        (["bartizan", "ru"], ["rules"]),
        (["bartizan", "rules", "f"], ["fmt", "fields", "functions"]),
        (["bartizan", "rules", "test", "--cl"], ["--client-ip"]),
        (["bartizan", "transparency", "auditor", "ke"], ["key"]),
        (["bartizan", "transparency", "auditor", "key", ""], ["rotate", "list", "--help"]),
        (["bartizan", "transparency", "auditor", "key", "rotate", "--no"], ["--not-before"]),
    ],
)
def test_bash_offers_commands_and_options(typed: list[str], offered: list[str], tmp_path: Path) -> None:
    words = " ".join(f"'{word}'" for word in typed)
    script = (
        f"{bash()}\nCOMP_WORDS=({words}); COMP_CWORD={len(typed) - 1}; _bartizan; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path)
    assert ended.stderr == ""
    assert sorted(ended.stdout.split()) == sorted(offered)


def test_every_command_is_in_every_script() -> None:
    for script in (bash(), zsh(), fish()):
        assert [word for word in WORDS if word not in script] == []


def test_zsh_and_fish_scripts_are_well_formed() -> None:
    """Quotes are balanced: none of the texts brings one of its own. Where the shells are installed they say so too."""
    for shell, script in (("zsh", zsh()), ("fish", fish())):
        assert all(line.count("'") % 2 == 0 for line in script.splitlines())
        if shutil.which(shell):
            subprocess.run([shell, "-n"], input=script, text=True, check=True, timeout=60)
