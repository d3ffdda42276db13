"""The figures of one batch of a size, and the line through several: pure functions over runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

PROCESSES = ("pipeline", "model", "gateway", "redis", "s3")
FITTED = ("open_seconds", "map_seconds", "reduce_seconds", "cpu_ms", "redis_commands", "s3_requests", "stored_bytes")
# Fewer points always lie on a line.
FEWEST = 3
# The distance from the line, as a share, up to which a measured value counts as on it.
STRAIGHT = 0.25


@dataclass(frozen=True)
class Case:
    """A batch of so many items, `chunk` a task; more than one a task are sent to the model function in one call."""

    items: int
    chunk: int


@dataclass(frozen=True)
class Run:
    """One batch, measured: a row of the results.

    `open_seconds` are from the claim to the open ledger, `map_seconds` from there to the last item counted,
    `reduce_seconds` from there to the end, with the summary readable. `cpu_ms` are milliseconds of processor time, user
    and system, of the whole batch. `rss_mb` are MiB at most, sampled while items ran; `opening` and `reduce` are the
    pipeline's own before and after that. `redis_bytes` is what Redis used at most, over what it had used before the
    batch; `redis_commands` count those inside of its `redis_scripts`. S3 requests are grouped as they are priced: `put`
    holds POST, COPY and LIST, `get` HEAD. Bytes are those of the objects at the end.
    """

    items: int
    chunk: int
    open_seconds: float
    map_seconds: float
    reduce_seconds: float
    pipeline_cpu_ms: float
    model_cpu_ms: float
    gateway_cpu_ms: float
    redis_cpu_ms: float
    s3_cpu_ms: float
    opening_rss_mb: float
    pipeline_rss_mb: float
    reduce_rss_mb: float
    model_rss_mb: float
    gateway_rss_mb: float
    redis_rss_mb: float
    s3_rss_mb: float
    redis_bytes: float
    redis_scripts: float
    redis_commands: float
    s3_put: float
    s3_get: float
    s3_delete: float
    snapshot_bytes: float
    segment_bytes: float
    summary_bytes: float

    @property
    def total_seconds(self) -> float:
        """From the claim to the end."""
        return self.open_seconds + self.map_seconds + self.reduce_seconds

    @property
    def items_per_second(self) -> float:
        """Over the whole batch, with its opening and its summary."""
        return self.items / self.total_seconds

    @property
    def cpu_ms(self) -> float:
        """Of all processes."""
        return sum(float(getattr(self, f"{name}_cpu_ms")) for name in PROCESSES)

    @property
    def s3_requests(self) -> float:
        """Of all kinds."""
        return self.s3_put + self.s3_get + self.s3_delete

    @property
    def stored_bytes(self) -> float:
        """Of all that the batch keeps in S3."""
        return self.snapshot_bytes + self.segment_bytes + self.summary_bytes


@dataclass(frozen=True)
class Line:
    """`fixed` + `per_item` x items; `off` is the largest distance of a measured value from it, as a share of that."""

    fixed: float
    per_item: float
    off: float

    @property
    def straight(self) -> bool:
        """Whether twice the items cost twice as much, and something once."""
        return self.off <= STRAIGHT


def fit(runs: Sequence[Run], name: str) -> Line | None:
    """Lay the line through a figure of runs over their items; None for fewer than three sizes.

    Distances count as shares of the values: else the largest batch alone would decide.
    """
    items = np.array([run.items for run in runs], dtype=float)
    values = np.array([getattr(run, name) for run in runs], dtype=float)
    if len(set(items.tolist())) < FEWEST or not values.all():
        return None
    per_item, fixed = np.polyfit(items, values, 1, w=1 / values)
    off = np.abs(fixed + per_item * items - values) / values
    return Line(float(fixed), float(per_item), float(off.max()))


def by_chunk(runs: Sequence[Run]) -> dict[int, list[Run]]:
    """Group runs by items a task, and sort them by size."""
    groups: dict[int, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (-run.chunk, run.items)):
        groups.setdefault(run.chunk, []).append(run)
    return groups
