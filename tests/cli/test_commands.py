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
        named = ["bartizan", *command.name.split()]
        assert words[: len(named)] == named
        app.parser(command).parse_args(words[len(named) :])


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_help_shows_the_examples(command: Command) -> None:
    shown = app.parser(command).format_help()
    assert all(f"  {example}\n" in shown for example in command.examples)


def test_every_command_has_a_file_and_every_file_with_a_command_is_in_the_table() -> None:
    files = {path.stem for path in Path(app.__file__).parent.glob("*.py")}
    support = {
        "__init__",
        "__main__",
        "app",
        "commands",
        "reference",
        "problems",
        "printable",
        "console",
        "verdicts",
        "waiting",
    }
    assert files - support == {command.name.split()[0] for command in COMMANDS}


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
        (
            ["rules", "tset"],
            2,
            (
                "bartizan: there is no command 'rules tset'; did you mean 'rules test'?; "
                "`bartizan --help` lists them all\n"
            ),
        ),
        (["xyzzy"], 2, "bartizan: there is no command 'xyzzy'; `bartizan --help` lists them all\n"),
        (
            ["transparency", "auditor", "key", "rotat"],
            2,
            (
                "bartizan: there is no command 'transparency auditor key rotat'; did you mean 'transparency auditor "
                "key rotate'?; `bartizan --help` lists them all\n"
            ),
        ),
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


def test_help_of_a_command_is_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        app.run(["help", "apply"])
    assert capsys.readouterr().out.startswith("usage: bartizan apply ")


@pytest.mark.parametrize("words", [["rules"], ["rules", "--help"], ["help", "rules"]])
def test_commands_about_one_thing_are_listed_together(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "usage: bartizan rules COMMAND [ARGUMENTS]"
    assert [line.split()[1] for line in lines[3:]] == ["test", "explain", "fmt", "fields", "functions"]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["transparency"], "transparency auditor serve"),
        (["transparency", "auditor", "--help"], "transparency auditor status"),
        (["transparency", "auditor", "key"], "transparency auditor key rotate"),
    ],
)
def test_commands_of_several_words_are_listed_at_each(
    words: list[str], offered: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(words) == 0
    shared = " ".join(word for word in words if word != "--help")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"usage: bartizan {shared} COMMAND [ARGUMENTS]"
    assert offered in [line.partition("  ")[2].split("  ")[0].strip() for line in lines[3:]]
    assert all(line.startswith(f"  {shared} ") for line in lines[3:])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ["rollback", "99999999999999999999"],
            "argument VERSION: '99999999999999999999' is not a whole number from 1 on",
        ),
        (["rollback", "0"], "argument VERSION: '0' is not a whole number from 1 on"),
        (["diff", "x"], "argument A: 'x' is not a whole number from 1 on"),
        (["tail", "--limit", "-1"], "argument --limit: '-1' is not a whole number from 0 on"),
        (
            ["rules", "test", "ssl", "--header", "x"],
            "argument --header: 'x' is not a header such as 'Accept: text/html'",
        ),
        (
            ["rules", "test", "ssl", "--list", "x"],
            "argument --list: 'x' is not a list such as office=192.0.2.0/24,2001:db8::/32",
        ),
        (["query", "q", "--timeout", "0"], "argument --timeout: '0' is not a number of seconds from 0.1 to 3600"),
        (["query", "q", "--timeout", "nan"], "argument --timeout: 'nan' is not a number of seconds from 0.1 to 3600"),
        (["query", "q", "--timeout", "-20"], "argument --timeout: '-20' is not a number of seconds from 0.1 to 3600"),
    ],
)
def test_a_number_that_cannot_be_is_said_by_its_argument(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        app.run(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(f"error: {complaint}\n")


@pytest.mark.parametrize("words", [["apply", "--state", "file/x"], ["versions", "--state", "file"], ["rollback", "1"]])
def test_a_state_directory_that_cannot_be_is_one_line(
    words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / ".bartizan").touch()
    (tmp_path / "bartizan.toml").write_text('[zones.a]\ndefault = true\norigins = ["http://127.0.0.1:1"]\n')
    assert app.run(words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"bartizan {words[0]}: cannot use the state directory {tmp_path}/")
    assert line.endswith("; name another one with --state")


def test_output_for_which_there_is_no_room_is_one_line(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "bartizan.cli", "versions"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            words, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path, timeout=60
        )
    assert (ended.returncode, ended.stderr) == (
        1,
        "bartizan versions: No space left on device; make room where the output goes, or the state directory is\n",
    )


def test_a_table_whose_reader_left_is_no_finding(tmp_path: Path) -> None:
    site = tmp_path / "bartizan.toml"
    site.write_text('[zones.a]\ndefault = true\norigins = ["http://127.0.0.1:1"]\n')
    bartizan = f"{sys.executable} -m bartizan.cli"
    shell = f"{bartizan} apply > /dev/null && set -o pipefail && PYTHONUNBUFFERED=1 {bartizan} versions | true"
    ended = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    bartizan = f"{sys.executable} -m bartizan.cli"
    shell = f"{bartizan} completions fish | true; {bartizan} completions fish | head -n 1"
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    ended = subprocess.run(
        ["sh", "-c", shell], capture_output=True, text=True, check=True, cwd=tmp_path, timeout=60, env=environment
    )
    assert ended.stderr == ""
