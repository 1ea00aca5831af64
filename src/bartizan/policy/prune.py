"""Giving up the content of old versions.

Each version keeps its whole site file, 3 MB for a thousand zones, and the parts that it was the first to have. What is
given up cannot be compared or rolled back to any more; who applied what when, and what became of it, stays for ever.
"""

from __future__ import annotations

import msgspec

from bartizan.layout import StateDirectory
from bartizan.policy.effect import lock, open_versions
from bartizan.policy.skeleton import Skeleton

__all__ = ["Pruned", "prune"]


class Pruned(msgspec.Struct, frozen=True):
    """The versions whose content was given up, and how many parts went with them."""

    versions: list[int]
    parts: int


def prune(state: StateDirectory, keep: int, *, author: str) -> Pruned:
    """Gives up the content of all versions but the newest `keep` and the one in effect. The audit log has it first.

    Raises Failure where the store cannot be used.
    """
    with lock(state), open_versions(state) as versions:
        all_of_them = versions.all()
        kept = {each.id for each in all_of_them[:keep]} | {each.id for each in all_of_them if each.status == "applied"}
        given_up = [version for version in versions.with_content() if version not in kept]
        if not given_up:
            return Pruned([], 0)
        named: set[str] = set()
        for version in versions.with_content():
            if version in kept:
                document, _ = versions.document(version)
                named.update(msgspec.json.decode(document, type=Skeleton).digests())
        details: dict[str, object] = {"versions": given_up}
        versions.about_to(author, "prune", f"all but {keep} versions", details)
        return Pruned(given_up, versions.give_up(given_up, named))
