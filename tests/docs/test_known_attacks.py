"""What docs/security/known-attacks.md claims is proved by a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "security" / "known-attacks.md"
PROOF = re.compile(r"`((?:crates|tests)/[\w/.-]+)::(\w+)`")


def proofs() -> list[tuple[str, str]]:
    return PROOF.findall(PAGE.read_text())


@pytest.mark.parametrize(("file", "name"), sorted(set(proofs())))
def test_the_named_test_exists(file: str, name: str) -> None:
    source = REPOSITORY / file
    assert source.exists(), f"{file} is gone; {PAGE.name} names it"
    keyword = "fn" if source.suffix == ".rs" else "def"
    assert re.search(rf"\b{keyword} {name}\b", source.read_text()), f"{file} has no test {name}; {PAGE.name} names it"


def test_every_attack_has_a_proof() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    attacks = [row for row in rows if not row.startswith(("| attack", "| ---"))]
    assert [row for row in attacks if not PROOF.search(row)] == []
    assert len(attacks) > 40
