"""One batch on a fresh local stack, measured from outside."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis

from bench.kit.counters import read_counts, stored_bytes
from bench.kit.errors import BenchError
from bench.kit.memory import sampled
from bench.kit.one_batch import BETWEEN_POLLS, put_input
from bench.kit.platforms import Platform, model_spec, pids
from bench.kit.processes import Usage
from bench.kit.times import times_of
from bench.speed.scale.figures import PROCESSES, Case, Run
from pipeline.client import Pipeline
from pipeline.local.demo.bucket import open_bucket
from pipeline.local.stack import local_stack

if TYPE_CHECKING:
    from bench.kit.counters import Counts
    from bench.kit.memory import Memory
    from bench.kit.times import Times
    from pipeline.client import Progress
    from pipeline.local.demo.bucket import Bucket

MODEL = "model-0ms"
WARM_UP_ITEMS = 1_000
HEAD_BYTES = 4096
_COUNT = re.compile(rb'"failures":\{"count":0,"results":\[\]\},"results":\{"count":(?P<count>\d+),')


@dataclass(frozen=True)
class _Site:
    """A stack with one replica of the pipeline, and what asks it."""

    platform: Platform
    redis: Redis
    bucket: Bucket
    metrics_url: str

    async def put(self, case: Case) -> str:
        return await put_input(self.platform.s3, case.items)

    async def run(self, case: Case, key: str) -> Progress:
        """Run a batch of the CSV under `key` to its end; returns its final status."""
        async with Pipeline(self.platform.gateway_url) as pipeline:
            batch = await pipeline.submit(key, function=MODEL, chunk=case.chunk, chunk_call=case.chunk > 1)
            return await batch.wait(BETWEEN_POLLS)

    async def check(self, case: Case, status: Progress) -> None:
        """Raise BenchError unless every item is a result in the summary."""
        batch, state = status.batch_id, status.state
        if state != "done" or await self._count(batch) != case.items:
            raise BenchError(f"batch {batch} is {state}, and its summary lacks some of {case.items} results")

    async def counts(self) -> Counts:
        return await read_counts(self.redis, self.metrics_url)

    async def _count(self, batch: str) -> int:
        """Return how many results a summary without failures counts, 0 for another one."""
        head = f"bytes=0-{HEAD_BYTES - 1}"
        answer = await self.bucket.client.get_object(Bucket=self.bucket.name, Key=f"{batch}.json", Range=head)
        found = _COUNT.search(await answer["Body"].read())
        return int(found["count"]) if found else 0


async def run_case(case: Case, workers: int, result_bytes: int) -> Run:
    """Start a stack with so many queue-workers, warm it up and run the batch; results have about `result_bytes`.

    Raises BenchError, LocalError, CallError.
    """
    async with AsyncExitStack() as cleanup:
        enter = cleanup.enter_async_context
        stack = await enter(local_stack([model_spec(MODEL, 0, result_bytes)], workers=workers))
        platform = Platform(stack.gateway_url, stack.s3, {0: MODEL}, pids(stack, {0: MODEL}))
        redis = await enter(Redis.from_url(stack.redis_url, password=stack.redis_password))
        site = _Site(platform, redis, await enter(open_bucket(stack.s3)), stack.s3_service.metrics_url)
        warm_up = Case(min(case.items, WARM_UP_ITEMS), case.chunk)
        await site.check(warm_up, await site.run(warm_up, await site.put(warm_up)))
        return await _measure(site, case)


async def _measure(site: _Site, case: Case) -> Run:
    groups = site.platform.groups(0)
    key = await site.put(case)
    before = await site.counts()
    usage = Usage(groups)
    async with sampled(groups) as memory:
        status = await site.run(case, key)
    cpu = usage.cpu_ms()
    after = await site.counts()
    await site.check(case, status)
    stored = await stored_bytes(site.bucket, status.batch_id)
    times = times_of(status)
    figures: dict[str, Any] = {
        "open_seconds": times.started - times.created,
        "map_seconds": times.completed - times.started,
        "reduce_seconds": times.ended - times.completed,
        **{f"{name}_cpu_ms": cpu[name] for name in PROCESSES},
        **_memory(memory, times),
        "redis_bytes": after.redis_peak - before.redis_used,
        "redis_scripts": after.redis_scripts - before.redis_scripts,
        "redis_commands": after.redis_commands - before.redis_commands,
        **{f"s3_{kind}": after.s3[kind] - before.s3[kind] for kind in after.s3},
        **{f"{name}_bytes": size for name, size in stored.items()},
    }
    return Run(case.items, case.chunk, **figures)


def _memory(memory: Memory, times: Times) -> dict[str, float]:
    """Return the peaks by phase; the ledger's clock is this machine's."""
    return {
        "opening_rss_mb": memory.peak("pipeline", times.created, times.started),
        **{f"{name}_rss_mb": memory.peak(name, times.started, times.completed) for name in PROCESSES},
        "reduce_rss_mb": memory.peak("pipeline", times.completed, times.ended),
    }
