"""`bartizan prune`: the content of old versions is given up, their history stays."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from bartizan.layout import StateDirectory
from bartizan.policy.apply import author
from bartizan.policy.prune import prune as give_up


def prune(*, site: Path | None, state: Path | None, keep: int, json: bool) -> int:
    """Gives up the content of all but the newest `keep` versions and the one in effect. Always 0."""
    pruned = give_up(StateDirectory.locate(state=state, site=site), keep, author=author())
    if json:
        sys.stdout.write(msgspec.json.encode(pruned).decode() + "\n")
    else:
        versions, parts = len(pruned.versions), pruned.parts
        sys.stdout.write(
            f"gave up the content of {versions:,} version{'' if versions == 1 else 's'} and "
            f"{parts:,} part{'' if parts == 1 else 's'} that no other has\n"
        )
    return 0
