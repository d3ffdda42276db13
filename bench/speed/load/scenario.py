"""The load: many batches at once, and a small one among them."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.asyncio import Redis
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from bench.kit.one_batch import BETWEEN_POLLS
from bench.kit.platforms import model_spec
from bench.kit.times import times_of
from bench.speed.load.checks import batch_problems, leftovers
from bench.speed.load.figures import Ended
from bench.speed.load.sampling import SECONDS, Deepest, Sampler
from pipeline.client import Pipeline
from pipeline.local.demo.bucket import open_bucket
from pipeline.local.stack import local_stack

if TYPE_CHECKING:
    from rich.console import Console

    from bench.speed.load.figures import Sample
    from pipeline.client import Progress
    from pipeline.local.demo.bucket import Bucket
    from pipeline.local.stack import LocalStack

MODEL = "model"
DEADLINE_SECONDS = 6 * 3600
REST_SECONDS = 5
ALONE_TIMES = 3


@dataclass(frozen=True)
class Load:
    """What is run: `batches` of `items` each, one more of `small` items alone and then in the middle of them."""

    batches: int
    items: int
    small: int
    replicas: int
    workers: int
    chunk: int
    window: int


@dataclass(frozen=True)
class Result:
    """What was seen: `alone` and `amid` are the small batch; `problems` is what should not be, [] for a good run."""

    samples: list[Sample]
    batches: list[Ended]
    alone: list[Ended]
    amid: Ended
    deepest: int
    refused: int
    problems: list[str]


@dataclass(frozen=True)
class Site:
    """The stack, and what asks it."""

    load: Load
    stack: LocalStack
    pipeline: Pipeline
    bucket: Bucket
    redis: Redis

    async def submit(self, name: str, items: int) -> tuple[str, float]:
        """Put the rows and submit them; returns the batch's id and the time just before, in seconds since 1970."""
        rows = rows_of(name, items)
        key = f"bench/{name}.csv"
        await self.bucket.put(key, "".join(f"{row}\n" for row in ("item", *rows)).encode())
        before = time.time()
        chunk, window = self.load.chunk, self.load.window
        batch = await self.pipeline.submit(key, function=MODEL, chunk=chunk, window=window, deadline=DEADLINE_SECONDS)
        return batch.id, before

    async def run_small(self, name: str, problems: list[str]) -> Ended:
        """Run one small batch to its end and check it."""
        batch, before = await self.submit(name, self.load.small)
        status = await self.pipeline.batch(batch).wait(BETWEEN_POLLS)
        problems += await batch_problems(self.bucket, batch, rows_of(name, self.load.small), status)
        return ended(status, before)


async def run_load(load: Load, console: Console) -> Result:
    """Start a stack, run the load on it and check what it left.

    Raises BenchError, LocalError, CallError when it cannot be run; what a batch did wrong is in the result.
    """
    async with AsyncExitStack() as cleanup:
        enter = cleanup.enter_async_context
        model = model_spec(MODEL, 0)
        stack = await enter(local_stack([model], workers=load.workers, pipeline_replicas=load.replicas))
        site = Site(
            load,
            stack,
            await enter(Pipeline(stack.gateway_url)),
            await enter(open_bucket(stack.s3)),
            await enter(Redis.from_url(stack.redis_url, password=stack.redis_password)),
        )
        problems: list[str] = []
        await site.run_small("warm-up", problems)
        alone = [await site.run_small(f"alone-{turn}", problems) for turn in range(ALONE_TIMES)]
        return await _run_all(site, alone, problems, console)


async def _run_all(site: Site, alone: list[Ended], problems: list[str], console: Console) -> Result:
    load = site.load
    deepest = Deepest(site.stack)
    sampler = Sampler(site.stack, site.pipeline, site.redis)
    # Before anything runs: the memory at the start.
    await sampler.look([])
    names = [f"load-{number:02}" for number in range(load.batches)]
    submitted = await asyncio.gather(*(site.submit(name, load.items) for name in names))
    ids = [batch for batch, _ in submitted]
    columns = (TextColumn("items"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # Drawn at each look: a thread that redraws would take its time from the gateway.
    with Bar(*columns, console=console, auto_refresh=False) as progress:
        bar = progress.add_task("items", total=load.batches * load.items)
        task = asyncio.create_task(_amid(site, sampler, problems))
        try:
            await sampler.follow(ids, lambda done: progress.update(bar, completed=done, refresh=True))
            amid = await task
        finally:
            task.cancel()
    await sampler.rest(REST_SECONDS)
    for name, batch in zip(names, ids, strict=True):
        problems += await batch_problems(site.bucket, batch, rows_of(name, load.items), sampler.statuses[batch])
    problems += await leftovers(site.bucket, site.redis)
    batches = [ended(sampler.statuses[batch], before) for batch, before in submitted]
    return Result(sampler.samples, batches, alone, amid, deepest.depth, sampler.refused, problems)


async def _amid(site: Site, sampler: Sampler, problems: list[str]) -> Ended:
    """Submit the small batch once half of all items are counted."""
    while 2 * sampler.done < site.load.batches * site.load.items:  # noqa: ASYNC110 - the count is Redis'
        await asyncio.sleep(SECONDS)
    return await site.run_small("amid", problems)


def rows_of(name: str, items: int) -> list[str]:
    """Return the rows of one input, all different."""
    return [f"{name}-item-{index:07}" for index in range(items)]


def ended(status: Progress, before: float) -> Ended:
    """Read a final status; `before` is the time of the submission in seconds since 1970. Raises BenchError."""
    return Ended(
        batch=status.batch_id,
        items=status.items,
        seconds=times_of(status).ended - before,
        state=status.state,
        succeeded=status.succeeded,
        retried=status.retried,
    )
