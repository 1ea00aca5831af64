"""Statements: Plexi's own vectors, and every bit of one flipped."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bartizan._native import AuditorKey, transparency_checks_table
from bartizan.transparency.statement import Statement

VECTORS = Path(os.environ.get("BARTIZAN_VECTORS", Path(__file__).parents[3] / "shared" / "vectors"))


def vectors() -> list[dict[str, Any]]:
    """Those of Plexi."""
    file = VECTORS / "plexi" / "test-vectors.json"
    if not file.exists():
        pytest.skip(f"there is no {file}; set BARTIZAN_VECTORS")
    found: list[dict[str, Any]] = json.loads(file.read_text())
    assert {vector["ciphersuite"] for vector in found} == {1, 2}
    return found


def own() -> list[dict[str, Any]]:
    """One of each suite, of our own."""
    key = AuditorKey.from_seed(bytes(range(32)))
    return [
        {
            "ciphersuite": ciphersuite,
            "namespace": "log1.example.com",
            "timestamp": 1717084639921,
            "epoch": 1,
            "digest": "11" * 32,
            "signature": key.sign(ciphersuite, "log1.example.com", 1717084639921, 1, b"\x11" * 32).hex(),
            "verifying_key": key.public_key.hex(),
        }
        for ciphersuite in (1, 2)
    ]


def stated(vector: dict[str, Any], **changed: Any) -> Statement:
    fields = ("ciphersuite", "namespace", "timestamp", "epoch", "digest", "signature")
    return Statement(**{field: vector[field] for field in fields} | changed)


def test_a_published_signature_is_made_and_accepted() -> None:
    for vector in vectors():
        key = AuditorKey.from_seed(bytes.fromhex(vector["signing_key"]))
        assert (key.public_key.hex(), key.key_id) == (vector["verifying_key"], vector["key_id"])
        signature = key.sign(
            vector["ciphersuite"],
            vector["namespace"],
            vector["timestamp"],
            vector["epoch"],
            bytes.fromhex(vector["digest"]),
        )
        assert signature.hex() == vector["signature"]
        assert stated(vector).refusal(vector["verifying_key"]) is None


def test_every_flipped_bit_of_a_signature_is_refused_by_a_check_of_the_table() -> None:
    known = {check for kind, check, _ in transparency_checks_table() if kind == "signature"}
    for vector in own():
        good = bytes.fromhex(vector["signature"])
        refused = set()
        for bit in range(512):
            flipped = bytearray(good)
            flipped[bit // 8] ^= 1 << bit % 8
            refused.add(stated(vector, signature=flipped.hex()).refusal(vector["verifying_key"]))
        assert None not in refused
        assert refused <= known


@pytest.mark.parametrize(
    "changed",
    [
        {"namespace": "log3.example.com"},
        {"timestamp": 1717084639922},
        {"epoch": 2},
        {"digest": "11" * 31 + "12"},
        {"ciphersuite": 3},
    ],
)
def test_another_statement_is_not_what_was_signed(changed: dict[str, Any]) -> None:
    for vector in own():
        assert stated(vector, **changed).refusal(vector["verifying_key"]) is not None


def test_one_suite_is_not_the_other() -> None:
    for vector in own():
        assert stated(vector, ciphersuite=3 - vector["ciphersuite"]).refusal(vector["verifying_key"]) == "signature"
