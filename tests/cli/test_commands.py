"""The table of commands and the functions behind it say the same."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bartizan._native import event_tables
from bartizan.cli import app, reference
from bartizan.cli.commands import COMMANDS, TABLES, Command, keyword

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_function_takes_what_the_table_says(command: Command) -> None:
    module, _, name = command.function.partition(":")
    signature = inspect.signature(getattr(importlib.import_module(f"bartizan.cli.{module}"), name))
    assert {parameter.kind for parameter in signature.parameters.values()} <= {inspect.Parameter.KEYWORD_ONLY}
    assert list(signature.parameters) == [keyword(argument) for argument in command.arguments]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_example_is_understood(command: Command) -> None:
    import shlex

    for example in command.examples:
        words = shlex.split(example.partition(" > ")[0])
        assert words[:2] == ["bartizan", command.name]
        app.parser(command).parse_args(words[2:])


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_help_shows_the_examples(command: Command) -> None:
    shown = app.parser(command).format_help()
    assert all(f"  {example}\n" in shown for example in command.examples)


def test_every_command_has_a_file_and_every_file_with_a_command_is_in_the_table() -> None:
    files = {path.stem for path in Path(app.__file__).parent.glob("*.py")}
    support = {"__init__", "__main__", "app", "commands", "reference", "problems", "printable"}
    assert files - support == {command.name for command in COMMANDS}


def test_the_reference_page_is_that_of_the_table() -> None:
    assert REFERENCE.read_text() == reference.markdown(), "stale; run: make reference"


def test_the_tables_of_tail_are_those_of_the_edge() -> None:
    assert sorted(TABLES) == sorted(name for name, _ in event_tables())


def test_help_imports_none_of_what_takes_long() -> None:
    """Every millisecond of `bartizan --help` is an import; docs/measurements.md has the time that it takes."""
    heavy = ["rich", "msgspec", "sqlalchemy", "cryptography", "bartizan._native", "asyncio", "http.client"]
    program = (
        "import sys; from bartizan.cli.app import run; run(['--help']); "
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stderr == "[]\n"
    assert all(f"  {command.name} " in ended.stdout for command in COMMANDS)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            ["chekc"],
            2,
            "bartizan: there is no command 'chekc'; did you mean 'check'?; `bartizan --help` lists them all\n",
        ),
        (["xyzzy"], 2, "bartizan: there is no command 'xyzzy'; `bartizan --help` lists them all\n"),
        (
            ["up", "missing.toml"],
            1,
            (
                "bartizan up: there is no site file missing.toml; `bartizan init http://127.0.0.1:8001` writes one for "
                "your application\n"
            ),
        ),
    ],
)
def test_what_is_wrong_is_one_line(
    words: list[str],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert app.run(words) == code
    assert capsys.readouterr().err == said


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    bartizan = f"{sys.executable} -m bartizan.cli"
    shell = f"{bartizan} completions fish | true; {bartizan} completions fish | head -n 1"
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    ended = subprocess.run(
        ["sh", "-c", shell], capture_output=True, text=True, check=True, cwd=tmp_path, timeout=60, env=environment
    )
    assert ended.stderr == ""
