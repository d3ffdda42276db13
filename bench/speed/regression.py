"""Whether ratios of one run are worse than those on record, by more than their own noise: pure functions."""

from __future__ import annotations

import random
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from bench.kit.figures import BARE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.kit.figures import Run

FALSE_ALARMS = 0.01
DRAWS = 20_000
SPEED = "items/s"
COST = "processor time"

# By name, such as `direct: items/s`, a ratio to the bare queue a repeat.
Ratios = dict[str, list[float]]


@dataclass(frozen=True)
class Verdict:
    """One ratio now and on record, as medians; `bound` is the worst that noise explains."""

    name: str
    recorded: float
    bound: float
    now: float

    @property
    def is_worse(self) -> bool:
        """Whether it is worse than noise explains."""
        return self.now < self.bound if is_better_high(self.name) else self.now > self.bound


def is_better_high(name: str) -> bool:
    """Say whether more of this ratio is better."""
    return name.endswith(SPEED)


def ratios(runs: Sequence[Run]) -> Ratios:
    """Return each way's throughput and processor time as multiples of the bare queue's in the same repeat."""
    bare = {run.repeat: run for run in runs if run.case.way == BARE}
    found: Ratios = {}
    for run in runs:
        if run.case.way != BARE:
            base = bare[run.repeat]
            found.setdefault(f"{run.case.way}: {SPEED}", []).append(run.items_per_second / base.items_per_second)
            cost = run.cpu_ms["function"] / base.cpu_ms["function"]
            found.setdefault(f"{run.case.way}: {COST}", []).append(cost)
    return found


def judge(recorded: Ratios, now: Ratios, slack: float) -> list[Verdict]:
    """Compare medians; a way that only one of them has is not compared.

    The bound is what the median of as many repeats as were run now, drawn from those on record, is worse than once in
    100 times, and `slack` of it further.
    """
    verdicts = []
    for name in sorted(recorded.keys() & now.keys()):
        drawn = _medians(recorded[name], len(now[name]))
        place = int(FALSE_ALARMS * len(drawn))
        bound = drawn[place] * (1 - slack) if is_better_high(name) else drawn[-1 - place] * (1 + slack)
        verdicts.append(Verdict(name, median(recorded[name]), bound, median(now[name])))
    return verdicts


def _medians(values: Sequence[float], size: int) -> list[float]:
    """Return medians of so many of the values, drawn with replacement, sorted; the same values give the same."""
    chance = random.Random(0)
    return sorted(median(chance.choices(values, k=size)) for _ in range(DRAWS))


def as_document(recorded: Ratios, machine: Mapping[str, object]) -> dict[str, object]:
    """Return what is kept of a run that others are compared with."""
    return {"machine": machine, "ratios": {name: [round(v, 4) for v in values] for name, values in recorded.items()}}
