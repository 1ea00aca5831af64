"""The pages agree with the repository: links, commands, targets, requirements."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import bartizan
from bartizan.cli.commands import COMMANDS

REPOSITORY = Path(__file__).parents[2]
PAGES = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_a_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_a_named_command_or_target_exists(page: Path) -> None:
    text = page.read_text()
    makefile = (REPOSITORY / "Makefile").read_text()
    known = {command.name.split()[0] for command in COMMANDS}
    in_code = re.findall(r"`[^`\n]+`|```.*?```", text, re.DOTALL)
    commands = {name for code in in_code for name in re.findall(r"(?:^|`|\n)bartizan ([a-z]+)", code)}
    targets = {name for code in in_code for name in re.findall(r"(?:^|`|\n)make ([a-z-]+)", code)}
    assert commands - known == set()
    assert {target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)} == set()


def test_every_page_is_reached_from_the_index() -> None:
    docs = REPOSITORY / "docs"
    reached: set[Path] = set()
    to_read = [docs / "index.md"]
    while to_read:
        page = to_read.pop()
        reached.add(page)
        links = re.findall(r"\]\(([^)#:]+?\.md)(?:#[^)]*)?\)", page.read_text())
        to_read += [target for link in links if (target := (page.parent / link).resolve()) not in reached]
    # What benches and proofs write is reached through its directory.
    reached.update((docs / "measurements").glob("*.md"))
    assert {page for page in docs.rglob("*.md") if page not in reached} == set()


def test_floors_of_the_package_and_requirements_agree() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for name, wanted in (
        ("base", project["dependencies"]),
        ("analytics", extras["analytics"]),
        ("demo", extras["demo"]),
        ("sinks", extras["kafka"] + extras["nats"]),
    ):
        lines = (REPOSITORY / "requirements" / f"{name}.in").read_text().splitlines()
        assert sorted(line for line in lines if line and not line.startswith(("#", "-c"))) == sorted(wanted)


def test_the_version_is_one() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    cargo = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())["workspace"]["package"]
    assert bartizan.__version__ == project["version"] == cargo["version"]
    assert f"## {bartizan.__version__}" in (REPOSITORY / "CHANGELOG.md").read_text()


def test_every_requirement_has_a_hash_and_no_address() -> None:
    for file in (REPOSITORY / "requirements").glob("*.txt"):
        text = "\n".join(line for line in file.read_text().splitlines() if not line.startswith("#"))
        assert "://" not in text
        for entry in re.split(r"\n(?=\S)", text.strip()):
            assert re.match(r"[\w.\-\[\]]+==[\w.]+", entry), entry.splitlines()[0]
            assert "--hash=sha256:" in entry
