"""What came out of a run: a table for people, and one line of JSON that says all of it.

The target is a ratio of processor time: ours is to take a twenty-fifth of what the better peer takes, and never more
than a tenth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from benches.report import Sample, Target, sample, table
from benches.waf.harness import OURS, PEERS, SIDES
from benches.waf.shapes import GROWTH
from benches.waf.verdicts import Difference

AIM: Final = 25
FLOOR: Final = 10
TARGET: Final = Target(1 / AIM, 1 / FLOOR)

LINEAR: Final = 1.25
"""A kilobyte of 100 may cost so many times what one of 10 costs; where it costs more, that is no straight line."""


@dataclass
class Measured:
    """What was measured of one shape."""

    name: str
    octets: int
    """Of a request on average, its head included."""
    requests: int
    cpu_us: dict[str, list[float]] = field(default_factory=lambda: {side: [] for side in SIDES})
    """Of each side, for each round: microseconds a request."""
    refused: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)

    def of(self, side: str) -> Sample:
        """The rounds of a side."""
        return sample(self.cpu_us[side])

    @property
    def better_peer(self) -> str:
        """The peer that took least."""
        return min(PEERS, key=lambda side: self.of(side).median)

    @property
    def ratio(self) -> float:
        """How many times what ours takes the better peer takes."""
        return self.of(self.better_peer).median / self.of(OURS).median

    @property
    def verdict(self) -> str:
        """Whether the target is met, its floor held, or neither."""
        return TARGET.verdict(1 / self.ratio)


@dataclass(frozen=True)
class Loaded:
    """What it takes to have the rules of one paranoia level ready, and what is held at the end of the run."""

    level: int
    side: str
    load_s: float
    load_cpu_s: float
    loaded_mib: float
    at_end_mib: float


def table_of_shapes(shapes: Sequence[Measured]) -> str:
    """Microseconds of processor time a request, and the ratio."""
    rows = [
        [
            shape.name,
            f"{shape.octets:,}",
            *(f"{shape.of(side).median:,.1f}" for side in SIDES),
            f"{shape.ratio:.1f}",
            shape.better_peer,
            f"{shape.refused[OURS]:,}",
            f"{len(shape.differences):,}",
        ]
        for shape in shapes
    ]
    return table(["shape", "octets", *SIDES, "×", "better peer", "refused", "differ"], rows)


def table_of_loads(loads: Sequence[Loaded]) -> str:
    """Time and memory of loading."""
    rows = [
        [str(load.level), load.side, f"{load.load_s * 1e3:,.0f}", f"{load.load_cpu_s * 1e3:,.0f}",
         f"{load.loaded_mib:,.1f}", f"{load.at_end_mib:,.1f}"]
        for load in loads
    ]  # fmt: skip
    return table(["PL", "engine", "load ms", "load CPU ms", "loaded MiB", "at end MiB"], rows)


def growth(shapes: Sequence[Measured]) -> dict[str, dict[str, float]]:
    """For each side what a kilobyte of the text costs in microseconds, by the length of the text."""
    by_name = {shape.name: shape for shape in shapes}
    if not all(name in by_name for name in GROWTH):
        return {}
    found = {}
    for side in SIDES:
        each = [by_name[name].of(side).median / by_name[name].octets * 1000 for name in GROWTH]
        costs = {f"us_per_kB, {_length(name)}": round(cost, 3) for name, cost in zip(GROWTH, each, strict=True)}
        found[side] = {**costs, "ratio": round(each[2] / each[1], 3)}
    return found


def _length(name: str) -> str:
    return name.rpartition(", ")[2]


def table_of_growth(found: Mapping[str, Mapping[str, float]]) -> str:
    """What a kilobyte costs."""
    rows = [[side, *(f"{value:.2f}" for value in of.values())] for side, of in found.items()]
    return table(["us/kB", *map(_length, GROWTH), "100 kB over 10 kB"], rows)


def grouped(differences: Sequence[Difference]) -> Iterator[str]:
    """The differences of a kind together: how many of them there are, and the first."""
    kinds: dict[tuple[Any, ...], list[Difference]] = {}
    for difference in differences:
        ours = difference.verdicts[OURS]
        apart = tuple(
            (side, (said := difference.verdicts[side]).status, said.ids ^ ours.ids) for side in difference.others
        )
        kinds.setdefault((difference.shape, ours.status, apart), []).append(difference)
    for kind in sorted(kinds.values(), key=len, reverse=True):
        yield f"{len(kind):,} ×, the first: " + "\n".join(kind[0].lines())


def missed(shapes: Sequence[Measured]) -> list[str]:
    """What is below its floor."""
    below = [f"{shape.name}: {shape.ratio:.1f}×" for shape in shapes if shape.verdict == "missed"]
    ours = growth(shapes).get(OURS)
    if ours is not None and ours["ratio"] > LINEAR:
        below.append(f"growth: {ours['ratio']:.2f}")
    return below


def line(shapes: Sequence[Measured], loads: Sequence[Loaded]) -> dict[str, Any]:
    """All of it as one object."""
    return {
        "shapes": {shape.name: _shape(shape) for shape in shapes},
        "growth": growth(shapes),
        "loads": [vars(each) for each in loads],
    }


def judgement(shapes: Sequence[Measured]) -> dict[str, Any]:
    """What was to be reached, and what was not."""
    return {
        "targets": {"at_least": AIM, "floor": FLOOR, "growth_at_most": LINEAR},
        "below_target": [shape.name for shape in shapes if shape.verdict != "met"],
        "missed": missed(shapes),
    }


def _shape(shape: Measured) -> dict[str, Any]:
    return {
        "octets": shape.octets,
        "requests": shape.requests,
        "cpu_us": {side: [round(value, 2) for value in shape.cpu_us[side]] for side in SIDES},
        "ratio": round(shape.ratio, 2),
        "better_peer": shape.better_peer,
        "refused": dict(shape.refused),
        "differ": Counter(side for difference in shape.differences for side in difference.others),
    }
