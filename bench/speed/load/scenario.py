"""The load: many batches at once, and a small one among them."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.kit.cli import new_progress
from bench.kit.leftovers import clean_within
from bench.kit.stack import BETWEEN_POLLS, model_spec, open_site, put_input, times_of
from bench.speed.load.figures import Ended
from bench.speed.load.sampling import SECONDS, Deepest, Sampler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from bench.kit.stack import Site
    from bench.speed.load.figures import Sample
    from pipeline.client import Progress
    from pipeline.local.demo.bucket import Bucket

MODEL = "model"
DEADLINE_SECONDS = 6 * 3600
REST_SECONDS = 5
ALONE_TIMES = 3
# The sweep removes leftovers one lease later.
CLEAN_WITHIN = 60.0


@dataclass(frozen=True)
class Load:
    """The load: `batches` of `items` each, and a batch of `small` items, first alone and then in the middle of them."""

    batches: int
    items: int
    small: int
    replicas: int
    workers: int
    chunk: int
    window: int


@dataclass(frozen=True)
class Result:
    """The results: `alone` and `amid` are the small batch; `problems` is [] for a good run."""

    samples: list[Sample]
    batches: list[Ended]
    alone: list[Ended]
    amid: Ended
    deepest: int
    refused: int
    problems: list[str]


async def run_load(load: Load, console: Console) -> Result:
    """Start a stack, run the load on it and check the batches.

    Raises BenchError, LocalError, CallError when it cannot be run; the problems of batches are in the result.
    """
    async with open_site(model_spec(MODEL), workers=load.workers, pipeline_replicas=load.replicas) as site:
        problems: list[str] = []
        await _run_small(site, load, "warm-up", problems)
        alone = [await _run_small(site, load, f"alone-{turn}", problems) for turn in range(ALONE_TIMES)]
        return await _run_all(site, load, alone, problems, console)


async def _submit(site: Site, load: Load, name: str, items: int) -> tuple[str, float]:
    """Put the rows and submit them; returns the batch's id and the time just before, in seconds since 1970."""
    key = await put_input(site.stack.s3, rows_of(name, items), name)
    before = time.time()
    batch = await site.pipeline.submit(
        key, function=MODEL, chunk=load.chunk, window=load.window, deadline=DEADLINE_SECONDS
    )
    return batch.id, before


async def _run_small(site: Site, load: Load, name: str, problems: list[str]) -> Ended:
    """Run one small batch to its end and check it."""
    batch, before = await _submit(site, load, name, load.small)
    status = await site.pipeline.batch(batch).wait(BETWEEN_POLLS)
    problems += await batch_problems(site.bucket, batch, rows_of(name, load.small), status)
    return ended(status, before)


async def _run_all(site: Site, load: Load, alone: list[Ended], problems: list[str], console: Console) -> Result:
    deepest = Deepest(site.stack)
    sampler = Sampler(site.stack, site.pipeline, site.redis)
    # The memory at the start, before anything runs.
    await sampler.look([])
    names = [f"load-{number:02}" for number in range(load.batches)]
    submitted = await asyncio.gather(*(_submit(site, load, name, load.items) for name in names))
    ids = [batch for batch, _ in submitted]
    with new_progress(console) as progress:
        bar = progress.add_task("items", total=load.batches * load.items)
        task = asyncio.create_task(_amid(site, load, sampler, problems))
        try:
            await sampler.follow(ids, lambda done: progress.update(bar, completed=done, refresh=True))
            amid = await task
        finally:
            task.cancel()
    await sampler.rest(REST_SECONDS)
    for name, batch in zip(names, ids, strict=True):
        problems += await batch_problems(site.bucket, batch, rows_of(name, load.items), sampler.statuses[batch])
    problems += await clean_within(CLEAN_WITHIN, site.bucket, site.redis)
    batches = [ended(sampler.statuses[batch], before) for batch, before in submitted]
    return Result(sampler.samples, batches, alone, amid, deepest.depth, sampler.refused, problems)


async def _amid(site: Site, load: Load, sampler: Sampler, problems: list[str]) -> Ended:
    """Submit the small batch once half of all items are counted."""
    while 2 * sampler.done < load.batches * load.items:  # noqa: ASYNC110 - the count is Redis'
        await asyncio.sleep(SECONDS)
    return await _run_small(site, load, "amid", problems)


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


def summary_problems(batch: str, rows: Sequence[str], status: Progress, summary: Any) -> list[str]:
    """Return the problems of a batch whose items all succeed: [] when each is in the summary once and in order."""
    problems = []
    if status.state != "done":
        problems.append(f"{batch} is {status.state}: {status.reason}")
    if summary is None:
        return [*problems, f"{batch} has no summary"]
    for name in ("results", "failures"):
        part = summary[name]
        if part["count"] != len(part["results"]):
            problems.append(f"{batch}: {name} counts {part['count']}, the list has {len(part['results'])}")
    if summary["failures"]["results"]:
        problems.append(f"{batch}: {len(summary['failures']['results'])} items failed")
    if [entry["item"] for entry in summary["results"]["results"]] != list(rows):
        problems.append(f"{batch}: the results are not the rows, each once and in order")
    if any(entry["result"] != {"length": len(entry["item"])} for entry in summary["results"]["results"]):
        problems.append(f"{batch}: a result belongs to another item")
    counted = (status.items, status.succeeded, status.failed)
    if counted != (len(rows), len(rows), 0):
        problems.append(
            f"{batch}: the status counts {counted} items, succeeded and failed instead of {len(rows)} and none"
        )
    return problems


async def batch_problems(bucket: Bucket, batch: str, rows: Sequence[str], status: Progress) -> list[str]:
    """Read the summary of an ended batch and return its problems."""
    content = await bucket.get(f"{batch}.json")
    summary = None if content is None else json.loads(content)
    return summary_problems(batch, rows, status, summary)
