"""The samples of a load run, and the figures from them: pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import linear_regression, median, quantiles
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The growth over half a run, as a share, that allocators and buffers cause without a leak.
FLAT = 0.05
# Fewer points have no direction.
FEWEST = 3


@dataclass(frozen=True)
class Sample:
    """One sample, `seconds` after the submission.

    `done` are items counted, `ended` batches that have ended, `waiting` messages in the queue, `collects_ms` the
    milliseconds of the callbacks answered since the sample before, `rss_mb` MiB by process, `redis_mb` the memory that
    Redis reports in MiB.
    """

    seconds: float
    done: int
    ended: int
    waiting: int
    collects_ms: tuple[float, ...]
    rss_mb: Mapping[str, float]
    redis_mb: float
    keys: int


@dataclass(frozen=True)
class Ended:
    """One batch: `seconds` from its submission to its end by the ledger, with the summary; `retried` ran again."""

    batch: str
    items: int
    seconds: float
    state: str
    succeeded: int
    retried: int


@dataclass(frozen=True)
class Memory:
    """The MiB of one process; `slope` is MiB a minute over the second half, `steady` that before any batch ended.

    `growth` is what `steady` adds over its half, as a share; None where the run was too short to tell.
    """

    start: float
    quarter: float
    peak: float
    end: float
    slope: float | None
    steady: float | None
    growth: float | None

    @property
    def flat(self) -> bool | None:
        """Whether it stood still while all batches ran; a process that shrank counts as such."""
        return None if self.growth is None else self.growth <= FLAT


def spread(batches: Sequence[Ended]) -> dict[str, float]:
    """Return the seconds of batches that were submitted together; `spread` is (longest - shortest) / median."""
    times = [batch.seconds for batch in batches]
    shortest, middle, longest = min(times), median(times), max(times)
    return {"shortest": shortest, "median": middle, "longest": longest, "spread": (longest - shortest) / middle}


def latency(values: Sequence[float]) -> dict[str, float]:
    """Return percentiles of values, of which there are two at least."""
    cuts = quantiles(values, n=100, method="inclusive")
    return {"count": len(values), "p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "longest": max(values)}


def memory(samples: Sequence[Sample], name: str) -> Memory:
    """Follow one process; the last sample is from after the end, when all is quiet."""
    values = [sample.rss_mb[name] for sample in samples]
    total = samples[-1].done
    quarter = next(sample for sample in samples if 4 * sample.done >= total)
    batches = samples[-1].ended
    busy = [sample for sample in samples if sample.ended < batches]
    steady = second_half([sample for sample in samples if sample.ended == 0])
    rate = slope(steady, name)
    growth = None
    if rate is not None:
        minutes = (steady[-1].seconds - steady[0].seconds) / 60
        growth = rate * minutes / steady[0].rss_mb[name]
    return Memory(
        start=values[0],
        quarter=quarter.rss_mb[name],
        peak=max(values),
        end=values[-1],
        slope=slope(second_half(busy), name),
        steady=rate,
        growth=growth,
    )


def second_half(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples of the second half of their time."""
    if not samples:
        return []
    middle = (samples[0].seconds + samples[-1].seconds) / 2
    return [sample for sample in samples if sample.seconds >= middle]


def slope(samples: Sequence[Sample], name: str) -> float | None:
    """Fit a line to the memory of a process: MiB a minute, None when there are too few samples."""
    if len(samples) < FEWEST:
        return None
    line = linear_regression([sample.seconds / 60 for sample in samples], [sample.rss_mb[name] for sample in samples])
    return line.slope
