"""One shape of request, asked of all sides in turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from benches.waf import verdicts
from benches.waf.figures import Measured
from benches.waf.harness import SIDES, Side
from benches.waf.shapes import Shape

_WARM_UP_FIRST: Final = 1_000_000
"""The number of the first request to warm up with: none that is measured has one as high."""

_WARM_UP_OCTETS: Final = 1_000_000


def measure(
    shape: Shape, sides: Mapping[str, Side], requests: int, rounds: int, say: Callable[[str], None]
) -> Measured:
    """Requests of a shape, each seen once by each side: in rounds, in which another side is the first each time."""
    say(f"{shape.name}: warming up")
    octets = len(shape.request(_WARM_UP_FIRST))
    warm_up = shape.requests(_WARM_UP_FIRST, max(10, min(200, _WARM_UP_OCTETS // octets)))
    for side in sides.values():
        side.judge(warm_up)
    measured = Measured(shape.name, 0, requests)
    total = 0
    for turn in range(rounds):
        say(f"{shape.name}: round {turn + 1}")
        first, end = requests * turn // rounds, requests * (turn + 1) // rounds
        batch = shape.requests(first, end - first)
        total += sum(map(len, batch))
        said = {}
        for name in [*SIDES[turn % len(SIDES) :], *SIDES[: turn % len(SIDES)]]:
            judged = sides[name].judge(batch)
            measured.cpu_us[name].append(judged.cpu_ns / len(batch) / 1e3)
            measured.refused[name] += sum(verdict.status != 0 for verdict in judged.verdicts)
            said[name] = judged.verdicts
        measured.differences += verdicts.compare(shape.name, first, {name: said[name] for name in SIDES})
    measured.octets = total // requests
    return measured
