"""One batch through a platform, measured."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from aiohttp import ClientError, ClientSession
from botocore.exceptions import BotoCoreError
from botocore.exceptions import ClientError as S3Error

from bench.kit.errors import BenchError
from bench.kit.figures import BARE, Case, Run
from bench.kit.meters import meter
from bench.kit.processes import watched
from bench.kit.times import times_of
from bench.kit.ways import WAYS, called_at_once
from pipeline.client import Pipeline, Progress
from pipeline.local.demo.bucket import open_bucket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.kit.platforms import Platform
    from bench.kit.processes import Pids
    from pipeline.client import SpecFields
    from pipeline.local.services.s3_client import S3Info

DEADLINE_SECONDS = 600
BETWEEN_LOOKS = 0.02
BETWEEN_POLLS = 0.2
FUNCTION = "function"


async def warm_up(platform: Platform, ways: Sequence[str], parallelism: int) -> None:
    """Run a small batch every way through every model function: connections are opened and code is loaded."""
    for model_ms in platform.functions:
        for way in ways:
            await run_batch(platform, Case(way, parallelism, model_ms, max(20, 2 * parallelism)), repeat=0)


async def run_batch(platform: Platform, case: Case, *, repeat: int) -> Run:
    """Put the input, run it and measure until the summary can be read; the bare queue has neither.

    Raises BenchError when an item failed, the batch did not end well or S3 refused; CallError when the pipeline did.
    """
    fields = WAYS[case.way]
    key = "" if fields is None else await put_input(platform.s3, case.items)
    async with AsyncExitStack() as cleanup:
        measured = await cleanup.enter_async_context(meter(platform.stack)) if platform.stack else None
        if measured is not None:
            await measured.start()
        usage = await cleanup.enter_async_context(watched(_groups(platform, case), FUNCTION))
        if fields is None:
            done = await _run_bare(platform, case)
        else:
            done = await _run_pipeline(platform, case, key, fields)
        cpu_ms = {name: ms / case.items for name, ms in usage.cpu_ms().items()}
        traffic = await measured.traffic(case.items) if measured is not None else None
    times = times_of(done)
    return Run(
        case=case,
        repeat=repeat,
        seconds=times.completed - times.started,
        total_seconds=times.ended - times.created,
        at_once=called_at_once(case.items, done.tasks),
        retried=done.retried,
        cpu_ms=cpu_ms,
        peak_rss_mb=usage.peak_rss_mb.get(FUNCTION),
        traffic=traffic,
    )


def _groups(platform: Platform, case: Case) -> dict[str, Pids]:
    """Return the processes of a run, by part; `function` is the pipeline or what stands in for it."""
    groups = platform.groups(case.model_ms)
    others = {name: pids for name, pids in groups.items() if name not in {"pipeline", BARE}}
    own = BARE if case.way == BARE else "pipeline"
    return {FUNCTION: groups[own], **others} if groups else {}


async def _run_pipeline(platform: Platform, case: Case, key: str, fields: SpecFields) -> Progress:
    spec: SpecFields = {
        **fields,
        "function": platform.functions[case.model_ms],
        # More in the queue than are worked on: else the workers would wait for the window, not for work.
        "window": max(128, 2 * case.parallelism),
        "deadline": DEADLINE_SECONDS,
    }
    async with Pipeline(platform.gateway_url) as pipeline:
        batch = await pipeline.submit(key, **spec)
        last = await batch.wait(BETWEEN_POLLS)
    if last.state != "done" or last.succeeded != case.items:
        raise BenchError(
            f"batch {last.batch_id} is {last.state} with {last.succeeded} of {case.items} items "
            f"succeeded: {last.reason or 'the summary says why'}"
        )
    return last


async def _run_bare(platform: Platform, case: Case) -> Progress:
    """Send every item through the bare queue; returns what a batch would tell."""
    url = f"{platform.gateway_url}/function/{BARE}"
    query = {"items": str(case.items), "function": platform.functions[case.model_ms]}
    started = time.time()
    try:
        async with ClientSession(raise_for_status=True) as session:
            async with session.post(f"{url}/start", params=query):
                pass
            seen = {"last": 0.0}
            while not seen["last"]:
                await asyncio.sleep(BETWEEN_LOOKS)
                async with session.get(f"{url}/last") as answer:
                    seen = await answer.json()
    except (ClientError, TimeoutError) as error:
        raise BenchError(f"the bare queue at {url} cannot be measured: {error}") from error
    if seen["failed"]:
        raise BenchError(f"{seen['failed']:g} of {case.items} calls through the bare queue failed")
    end = seen["last"]
    return Progress("done", created=started, started=started, completed=end, ended=end, tasks=case.items)


async def put_input(s3: S3Info, items: int) -> str:
    """Put a CSV of so many items, and return its key; raises BenchError."""
    key = f"bench/{items}.csv"
    rows = "".join(f"item-{index:07}\n" for index in range(items))
    try:
        async with open_bucket(s3) as bucket:
            await bucket.put(key, f"item\n{rows}".encode())
    except (BotoCoreError, S3Error) as error:
        raise BenchError(f"the input cannot be put to {s3.endpoint}: {error}") from error
    return key
