"""The ways that items go, the figures of a run, and the medians: pure functions over runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.client import SpecFields

BARE = "bare"
RUN_SECONDS = 1.5
# So that the first round, in which all messages are queued, has little weight in the efficiency.
ROUNDS = 20
# Rough figures of one queue-worker and of two cores: they set the length of a run, never a result.
ITEM_OVERHEAD_MS = 3.0
CEILING_PER_SECOND = 1000.0
TRAFFIC = (
    *("http_requests", "redis_round_trips", "redis_commands", "s3_requests"),
    *("task_p50_ms", "task_p99_ms", "collect_p50_ms", "collect_p99_ms"),
)
# Fields of the specification; None for no batch of the pipeline.
WAYS: Mapping[str, SpecFields | None] = {
    BARE: None,
    "chunk 1": {"chunk": 1},
    "direct": {"chunk": 1, "direct": True},
    "chunk 10": {"chunk": 10},
    "chunk auto": {"chunk": "auto"},
}
# The default of a specification: the ideal makespan follows from it.
CONCURRENCY = 8


@dataclass(frozen=True)
class Case:
    """One case: the way of the items, the queue-workers at work, the milliseconds of a model call, the items to run."""

    way: str
    parallelism: int
    model_ms: int
    items: int


@dataclass(frozen=True)
class Run:
    """One batch, measured.

    `seconds` is its makespan, from the opened ledger to the last item counted; `total_seconds` from the claim to the
    readable summary; `at_once` items are called side by side by a task; `retried` counts what ran again. `cpu_ms` is
    milliseconds an item, by process, over the whole batch with its opening and its summary; `peak_rss_mb` is the
    function's. `traffic` holds the counts that TRAFFIC names, an item, and the milliseconds of a task and of a
    callback. What is out of sight is empty.
    """

    case: Case
    repeat: int
    seconds: float
    total_seconds: float
    at_once: int
    retried: int
    cpu_ms: Mapping[str, float]
    peak_rss_mb: float | None
    traffic: Mapping[str, float]

    @property
    def items_per_second(self) -> float:
        """Throughput between the first item and the last."""
        return self.case.items / self.seconds

    @property
    def efficiency(self) -> float | None:
        """The makespan on a platform that costs nothing, as a share of the measured one; None for a model of 0 ms."""
        if not self.case.model_ms:
            return None
        rounds = self.case.items / (self.case.parallelism * self.at_once)
        return rounds * self.case.model_ms / 1000 / self.seconds


@dataclass(frozen=True)
class Point:
    """The medians of the runs of one case, in the units of `Run`; `spread` is (max - min) / median of the throughput.

    `against_bare` is the median of the ratios to the bare queue's throughput, each within one repeat.
    """

    case: Case
    items_per_second: float
    spread: float
    against_bare: float | None
    efficiency: float | None
    cpu_ms: Mapping[str, float]
    peak_rss_mb: float | None
    traffic: Mapping[str, float]


def items_for(parallelism: int, model_ms: int, at_once: int = 1) -> int:
    """Choose the items of a run that is to last about 1.5 s, or 20 rounds of calls.

    A multiple of the parallelism: the ideal makespan can be reached only when no worker idles in the last round.
    """
    side_by_side = parallelism * at_once
    rate = min(1000 * side_by_side / (model_ms + ITEM_OVERHEAD_MS), CEILING_PER_SECOND)
    seconds = max(RUN_SECONDS, ROUNDS * model_ms / 1000)
    return side_by_side * math.ceil(seconds * rate / side_by_side)


def medians(runs: Sequence[Run]) -> list[Point]:
    """Return one point a case: in the order of the ways' first runs, by model time, then by parallelism."""
    ways = list(dict.fromkeys(run.case.way for run in runs))
    groups: dict[tuple[int, int, int], list[Run]] = {}
    for run in runs:
        groups.setdefault((ways.index(run.case.way), run.case.model_ms, run.case.parallelism), []).append(run)
    bare = {_place(run): run.items_per_second for run in runs if run.case.way == BARE}
    return [_point(groups[key], bare) for key in sorted(groups)]


def _place(run: Run) -> tuple[int, int, int]:
    return run.case.model_ms, run.case.parallelism, run.repeat


def _point(group: Sequence[Run], bare: Mapping[tuple[int, int, int], float]) -> Point:
    rates = [run.items_per_second for run in group]
    rate = median(rates)
    return Point(
        case=group[0].case,
        items_per_second=rate,
        spread=(max(rates) - min(rates)) / rate,
        against_bare=_median(run.items_per_second / bare[_place(run)] for run in group if _place(run) in bare),
        efficiency=_median(run.efficiency for run in group),
        cpu_ms=_medians([run.cpu_ms for run in group]),
        peak_rss_mb=_median(run.peak_rss_mb for run in group),
        traffic=_medians([run.traffic for run in group]),
    )


def _medians(group: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: median(figures[name] for figures in group) for name in group[0]}


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def side_by_side(way: str) -> int:
    """Return how many items a task of this way calls side by side; `auto` depends on the batch and is 1 here."""
    spec = WAYS[way]
    chunk = 1 if spec is None else spec.get("chunk", 1)
    return 1 if chunk == "auto" else min(CONCURRENCY, chunk)


def called_at_once(items: int, tasks: int) -> int:
    """Return how many items a task calls side by side, as `tasks` of them were made of `items`."""
    return min(CONCURRENCY, -(-items // tasks))
