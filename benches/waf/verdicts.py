"""Where the engines do not agree: the request by its shape and number, and what each of them said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benches.waf.harness import OURS, Verdict


@dataclass(frozen=True)
class Difference:
    """A request that two engines or more judge differently."""

    shape: str
    number: int
    verdicts: Mapping[str, Verdict]

    @property
    def others(self) -> tuple[str, ...]:
        """The engines that say something else than ours."""
        ours = self.verdicts[OURS]
        return tuple(side for side, verdict in self.verdicts.items() if verdict != ours)

    def lines(self) -> Iterator[str]:
        """The request, what ours says, and what each engine says that says something else."""
        ours = self.verdicts[OURS]
        yield f"{self.shape}, request {self.number}: {OURS} {ours.status or 'passes'} {_listed(ours.ids)}"
        for side in self.others:
            theirs = self.verdicts[side]
            apart = [
                *(f"+{number}" for number in sorted(theirs.ids - ours.ids)),
                *(f"-{number}" for number in sorted(ours.ids - theirs.ids)),
            ]
            yield f"    {side} {theirs.status or 'passes'} {_listed(theirs.ids)}: {' '.join(apart) or 'the same rules'}"


def compare(shape: str, first: int, verdicts: Mapping[str, tuple[Verdict, ...]]) -> Iterator[Difference]:
    """The differences of a batch; its requests have numbers from `first` on."""
    for at, said in enumerate(zip(*verdicts.values(), strict=True)):
        if len(set(said)) > 1:
            yield Difference(shape, first + at, dict(zip(verdicts, said, strict=True)))


def _listed(ids: frozenset[int]) -> str:
    return "[" + " ".join(map(str, sorted(ids))) + "]"
