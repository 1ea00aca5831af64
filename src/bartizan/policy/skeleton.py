"""A policy document as the store keeps it: a skeleton of digests, and the parts that they name.

The skeleton is canonical JSON too, so its digest is the digest of the policy: two policies are equal if their skeletons
are.
"""

from __future__ import annotations

import msgspec

from bartizan.config.document import FORMAT, NO_TRANSPARENCY, AcmeZone, Parts, digest

__all__ = ["Skeleton", "restore", "take_apart"]


class Skeleton(msgspec.Struct, frozen=True, omit_defaults=True):
    """The digests of a document's parts, by name."""

    format: int
    edge: str
    lists: dict[str, str]
    rulesets: dict[str, str]
    account: str
    zones: dict[str, str]
    sinks: str = ""
    """Empty in versions of releases that had none."""
    transparency: str = ""
    """Empty where the site file has no such table."""

    def digests(self) -> list[str]:
        """Every digest, once."""
        named = (self.lists, self.rulesets, self.zones)
        some = [each for each in (self.sinks, self.transparency) if each]
        return list(
            dict.fromkeys([self.edge, self.account, *some, *(each for names in named for each in names.values())])
        )


def take_apart(parts: Parts) -> tuple[Skeleton, dict[str, bytes]]:
    """The skeleton of a policy, and its parts by digest."""
    bodies: dict[str, bytes] = {}

    def kept(part: bytes) -> str:
        name = digest(part)
        bodies[name] = part
        return name

    skeleton = Skeleton(
        format=FORMAT,
        edge=kept(parts.edge),
        lists={name: kept(part) for name, part in parts.lists.items()},
        rulesets={name: kept(part) for name, part in parts.rulesets.items()},
        account=kept(parts.account),
        zones={name: kept(part) for name, part in parts.zones.items()},
        sinks=kept(parts.sinks),
        transparency="" if parts.transparency == NO_TRANSPARENCY else kept(parts.transparency),
    )
    return skeleton, bodies


def restore(skeleton: Skeleton, acme: bytes, bodies: dict[str, bytes]) -> Parts:
    """The parts of a policy whose skeleton and bodies were stored."""
    return Parts(
        edge=bodies[skeleton.edge],
        lists={name: bodies[part] for name, part in skeleton.lists.items()},
        rulesets={name: bodies[part] for name, part in skeleton.rulesets.items()},
        account=bodies[skeleton.account],
        zones={name: bodies[part] for name, part in skeleton.zones.items()},
        sinks=bodies[skeleton.sinks] if skeleton.sinks else b"{}",
        acme=msgspec.json.decode(acme, type=dict[str, AcmeZone]),
        transparency=bodies[skeleton.transparency] if skeleton.transparency else NO_TRANSPARENCY,
    )
