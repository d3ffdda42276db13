"""What reading a status costs the function and Redis, with a batch that stands still: nothing else is counted."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from bench.kit.counters import read_counts
from bench.kit.processes import Usage

if TYPE_CHECKING:
    from bench.page.stage import Stage
    from pipeline.client import Batch

READS = 200


@dataclass(frozen=True)
class Reading:
    """Means of reading the status of a batch of so many items again and again; times are in milliseconds."""

    items: int
    settled: int
    kinds: int
    reads: int
    function_cpu_ms: float
    redis_cpu_ms: float
    redis_round_trips: float
    redis_commands: float
    p50_ms: float


async def measure_reading(stage: Stage, batch: Batch) -> Reading:
    """Read the status of a paused batch READS times; commands are counted with those that the script runs."""
    groups = {name: stage.pids[name] for name in ("pipeline", "redis")}
    status = await batch.status()
    took: list[float] = []
    before, usage = await read_counts(stage.redis, stage.metrics_url), Usage(groups)
    for _ in range(READS):
        started = perf_counter()
        await batch.status()
        took.append(1000 * (perf_counter() - started))
    cpu, after = usage.cpu_ms(), await read_counts(stage.redis, stage.metrics_url)
    return Reading(
        items=status.items,
        settled=status.succeeded + status.failed,
        kinds=len(status.failures),
        reads=READS,
        function_cpu_ms=cpu["pipeline"] / READS,
        redis_cpu_ms=cpu["redis"] / READS,
        redis_round_trips=(after.redis_reads - before.redis_reads) / READS,
        redis_commands=(after.redis_commands - before.redis_commands) / READS,
        p50_ms=median(took),
    )
