"""What an auditor or a log states of an epoch, with its signature: the value that `GET .../audits/{epoch}` answers.

Its bytes and its verification are the crate's (`transparency::signature`).
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from bartizan._native import StatementRefused, verify_statement

__all__ = ["CIPHERSUITES", "DIGEST", "LARGEST_EPOCH", "Statement"]

CIPHERSUITES: Final = (1, 2)
"""0x0001 signs Protocol Buffers, 0x0002 what bincode wrote."""

DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
"""A hash, or a public key, as it is written."""

LARGEST_EPOCH: Final = 2**63 - 1
"""What the tables count with."""


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """That an epoch of a namespace has a digest, signed."""

    ciphersuite: int
    namespace: str
    timestamp: int
    """Milliseconds since 1970."""
    epoch: int
    digest: str
    signature: str

    def refusal(self, public_key: str) -> str | None:
        """The name of the check that refuses the signature of this key; None if it is good."""
        try:
            verify_statement(
                bytes.fromhex(public_key),
                bytes.fromhex(self.signature),
                self.ciphersuite,
                self.namespace,
                self.timestamp,
                self.epoch,
                bytes.fromhex(self.digest),
            )
        except StatementRefused as refused:
            return str(refused.args[0])
        return None
