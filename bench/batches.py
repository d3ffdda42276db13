"""One batch through a platform, measured."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError, ClientSession
from botocore.exceptions import BotoCoreError
from botocore.exceptions import ClientError as S3Error

from bench.errors import BenchError
from bench.figures import BARE, Case, Run
from bench.meters import meter
from bench.processes import watched
from bench.ways import WAYS, called_at_once
from pipeline.local.demo.bucket import open_bucket
from pipeline.local.demo.client import PipelineClient

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.platforms import Platform
    from bench.processes import Pids
    from pipeline.local.stack import S3Info

DEADLINE_SECONDS = 600
BETWEEN_LOOKS = 0.02
FUNCTION = "function"


async def warm_up(platform: Platform, ways: Sequence[str], parallelism: int) -> None:
    """Run a small batch every way through every model function: connections are opened and code is loaded."""
    for model_ms in platform.functions:
        for way in ways:
            await run_batch(platform, Case(way, parallelism, model_ms, max(20, 2 * parallelism)), repeat=0)


async def run_batch(platform: Platform, case: Case, *, repeat: int) -> Run:
    """Put the input, run it and measure until the summary can be read; the bare queue has neither.

    Raises BenchError when an item failed, the batch did not end well or S3 refused; RefusedError when the pipeline did.
    """
    fields = WAYS[case.way]
    key = "" if fields is None else await put_input(platform.s3, case.items)
    async with AsyncExitStack() as cleanup:
        measured = await cleanup.enter_async_context(meter(platform.stack)) if platform.stack else None
        if measured is not None:
            await measured.start()
        usage = await cleanup.enter_async_context(watched(_groups(platform, case), FUNCTION))
        if fields is None:
            status = await _run_bare(platform, case)
        else:
            status = await _run_pipeline(platform, case, {**fields, "input": key})
        cpu_ms = {name: ms / case.items for name, ms in usage.cpu_ms().items()}
        traffic = await measured.traffic(case.items) if measured is not None else None
    return Run(
        case=case,
        repeat=repeat,
        seconds=status["completed"] - status["started"],
        total_seconds=status["ended"] - status["created"],
        at_once=called_at_once(case.items, status["tasks"]),
        retried=status["retried"],
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


async def _run_pipeline(platform: Platform, case: Case, fields: Mapping[str, Any]) -> dict[str, Any]:
    spec = {
        **fields,
        "function": platform.functions[case.model_ms],
        # More in the queue than are worked on: else the workers would wait for the window, not for work.
        "window": max(128, 2 * case.parallelism),
        "deadline": DEADLINE_SECONDS,
    }
    async with PipelineClient(platform.gateway_url) as client:
        batch = await client.start(spec)
        async for _ in client.follow(batch):
            pass
    status = await read_status(platform.gateway_url, batch)
    if status["state"] != "done" or status["succeeded"] != case.items:
        raise BenchError(
            f"batch {status['batch_id']} is {status['state']} with {status['succeeded']} of {case.items} items "
            f"succeeded: {status['reason'] or 'the summary says why'}"
        )
    return status


async def _run_bare(platform: Platform, case: Case) -> dict[str, Any]:
    """Send every item through the bare queue; returns what a status document would say of it."""
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
    return {"created": started, "started": started, "completed": end, "ended": end, "tasks": case.items, "retried": 0}


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


async def read_status(gateway_url: str, batch: str) -> dict[str, Any]:
    """Read a batch's status document; raises BenchError."""
    url = f"{gateway_url}/function/pipeline"
    try:
        async with ClientSession(raise_for_status=True) as session, session.get(url, params={"batch": batch}) as answer:
            document: dict[str, Any] = await answer.json()
    except (ClientError, TimeoutError) as error:
        raise BenchError(f"the status of {batch} cannot be read: {error}") from error
    return document
