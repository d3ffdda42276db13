"""What is measured, and what follows from it: pure functions over runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RUN_SECONDS = 3.0
# Rough figures of one queue-worker and of two cores: they decide on how long a run takes, never on a result.
ITEM_OVERHEAD_MS = 6.0
CEILING_PER_SECOND = 300.0


@dataclass(frozen=True)
class Case:
    """One setting: queue-workers working at once, milliseconds a call of the model function takes, items to run."""

    parallelism: int
    model_ms: int
    items: int

    @property
    def ideal_seconds(self) -> float:
        """The makespan on a platform that costs nothing: 0 for a model function that answers at once."""
        return self.items * self.model_ms / 1000 / self.parallelism


@dataclass(frozen=True)
class Run:
    """One batch, measured.

    `seconds` is its makespan, from the opened ledger to the last item counted; `total_seconds` from the claim to the
    readable summary; `retried` counts what ran again. `cpu_ms` is milliseconds an item, by process, over the whole
    batch with its opening and its summary; `peak_rss_mb` is the function's. Both are empty where nothing is known of
    the processes.
    """

    case: Case
    repeat: int
    seconds: float
    total_seconds: float
    retried: int
    cpu_ms: Mapping[str, float]
    peak_rss_mb: float | None

    @property
    def items_per_second(self) -> float:
        """Throughput between the first item and the last."""
        return self.case.items / self.seconds

    @property
    def efficiency(self) -> float | None:
        """The ideal makespan as a share of the measured one; None for a model function that answers at once."""
        return self.case.ideal_seconds / self.seconds if self.case.model_ms else None


@dataclass(frozen=True)
class Point:
    """The medians of the runs of one case, in the units of `Run`; `spread` is (max - min) / median of the throughput.

    `scaling` is the throughput as a multiple of that at the smallest parallelism with the same model time.
    """

    case: Case
    items_per_second: float
    spread: float
    scaling: float
    efficiency: float | None
    cpu_ms: Mapping[str, float]
    peak_rss_mb: float | None


def items_for(parallelism: int, model_ms: int) -> int:
    """Choose the items of a run that is to last about 3 s.

    A multiple of the parallelism: the ideal makespan can be reached only when no worker idles in the last round.
    """
    rate = min(1000 * parallelism / (model_ms + ITEM_OVERHEAD_MS), CEILING_PER_SECOND)
    return parallelism * math.ceil(RUN_SECONDS * rate / parallelism)


def medians(runs: Sequence[Run]) -> list[Point]:
    """Return one point a case, by model time and then parallelism."""
    groups: dict[tuple[int, int], list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.case.model_ms, run.case.parallelism)):
        groups.setdefault((run.case.model_ms, run.case.parallelism), []).append(run)
    bases: dict[int, float] = {}
    points = []
    for (model_ms, _), group in groups.items():
        rates = [run.items_per_second for run in group]
        base = bases.setdefault(model_ms, median(rates))
        points.append(_point(group, rates, base))
    return points


def _point(group: Sequence[Run], rates: Sequence[float], base: float) -> Point:
    rate = median(rates)
    return Point(
        case=group[0].case,
        items_per_second=rate,
        spread=(max(rates) - min(rates)) / rate,
        scaling=rate / base,
        efficiency=_median([run.efficiency for run in group]),
        cpu_ms={name: median(run.cpu_ms[name] for run in group) for name in group[0].cpu_ms},
        peak_rss_mb=_median([run.peak_rss_mb for run in group]),
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
