"""Many batches through platforms, one after the other, each measured."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, replace
from statistics import median
from typing import Any

import numpy as np
from aiohttp import ClientError, ClientSession

from bench.kit.cli import interleaved
from bench.kit.counters import counted
from bench.kit.errors import BenchError
from bench.kit.processes import Usage, sampled
from bench.kit.stack import BETWEEN_POLLS, Site, item_names, put_input, times_of
from bench.speed.parallelism.platforms import Opener, Platform
from bench.speed.parallelism.ways import BARE, WAYS, Case, called_at_once
from pipeline.client import Pipeline, Progress, SpecFields

Row = dict[str, Any]

DEADLINE_SECONDS = 600
BETWEEN_LOOKS = 0.02
FUNCTION = "function"


async def sweep(cases: Sequence[Case], repeats: int, where: AbstractAsyncContextManager[Opener]) -> list[Row]:
    """Run everything and return a row a batch; raises BenchError, LocalError, CallError.

    A small batch of each case first opens connections and loads code.
    """
    rows = []
    async with where as start:
        for repeat, parallelism in interleaved(sorted({case.parallelism for case in cases}), repeats):
            here = [case for case in cases if case.parallelism == parallelism]
            async with start(parallelism) as platform:
                for case in here:
                    await run_batch(platform, replace(case, items=max(20, 2 * parallelism)), repeat)
                for case in here:
                    rows.append(await run_batch(platform, case, repeat))  # noqa: PERF401 - one after the other
    return rows


async def run_batch(platform: Platform, case: Case, repeat: int) -> Row:
    """Put the input, run it and measure until the summary can be read; the bare queue has neither.

    `seconds` are from the opened ledger to the last item counted; `total_seconds` from the claim to the readable
    summary. Raises BenchError when an item failed, the batch did not end well or S3 refused; CallError when the
    pipeline did.
    """
    fields = WAYS[case.way]
    key = "" if fields is None else await put_input(platform.s3, item_names(case.items))
    site, before = platform.site, {}
    if site:
        site.watch_queue()
        before = await _counts(site)
    groups = platform.groups(case.model_ms, case.way)
    async with sampled({name: groups[name] for name in groups if name == FUNCTION}) as memory:
        usage = Usage(groups)
        progress, looks = await (
            _run_bare(platform, case) if fields is None else _run_pipeline(platform, case, key, fields)
        )
        cpu_ms = usage.cpu_ms()
        traffic = await _traffic(site, before, case, looks) if site else {}
    times = times_of(progress)
    return {
        **asdict(case),
        "repeat": repeat,
        "at_once": called_at_once(case.items, progress.tasks),
        "seconds": times.completed - times.started,
        "total_seconds": times.ended - times.created,
        "retried": progress.retried,
        **{f"{name}_cpu_ms_per_item": ms / case.items for name, ms in cpu_ms.items()},
        **({"function_peak_rss_mb": memory.peak(FUNCTION)} if groups else {}),
        **traffic,
    }


async def _run_pipeline(platform: Platform, case: Case, key: str, fields: SpecFields) -> tuple[Progress, int]:
    """Return the last progress, and how often it was read: requests of the bench, not of the batch."""
    spec: SpecFields = {
        **fields,
        "function": platform.functions[case.model_ms],
        # More messages than workers: else the workers would wait for the window, not for work.
        "window": max(128, 2 * case.parallelism),
        "deadline": DEADLINE_SECONDS,
    }
    async with Pipeline(platform.gateway_url) as pipeline:
        batch = await pipeline.submit(key, **spec)
        looks = [progress async for progress in batch.follow(BETWEEN_POLLS)]
    last = looks[-1]
    if last.state != "done" or last.succeeded != case.items:
        raise BenchError(
            f"batch {last.batch_id} is {last.state} with {last.succeeded} of {case.items} items "
            f"succeeded: {last.reason or 'the summary says why'}"
        )
    return last, len(looks)


async def _run_bare(platform: Platform, case: Case) -> tuple[Progress, int]:
    """Send every item through the bare queue; returns its progress as that of a batch, and how often it was read."""
    url = f"{platform.gateway_url}/function/{BARE}"
    query = {"items": str(case.items), "function": platform.functions[case.model_ms]}
    started, looks = time.time(), 0
    try:
        async with ClientSession(raise_for_status=True) as session:
            async with session.post(f"{url}/start", params=query):
                pass
            counted = {"last": 0.0}
            while not counted["last"]:
                await asyncio.sleep(BETWEEN_LOOKS)
                looks += 1
                async with session.get(f"{url}/last") as answer:
                    counted = await answer.json()
    except (ClientError, TimeoutError) as error:
        raise BenchError(f"the bare queue at {url} cannot be measured: {error}") from error
    if counted["failed"]:
        raise BenchError(f"{counted['failed']:g} of {case.items} calls through the bare queue failed")
    end = counted["last"]
    return Progress("done", created=started, started=started, completed=end, ended=end, tasks=case.items), looks


async def _traffic(site: Site, before: dict[str, float], case: Case, looks: int) -> dict[str, float]:
    """Return counts an item, without the looks of the bench, and milliseconds of a task and of a callback.

    The bare queue uses neither Redis nor S3: their requests meanwhile are those of a pipeline at rest.
    """
    counts = counted(before, await _counts(site))
    collects = site.stack.gateway.callback_log[-len(site.task_ms) :]
    times = {"task": site.task_ms, "collect": [1000 * record.seconds for record in collects]}
    figures = {"http_requests": counts["invocations"] + site.messages - looks}
    if case.way != BARE:
        figures |= {"redis_round_trips": counts["redis_reads"], "redis_commands": counts["redis_commands"]}
        figures["s3_requests"] = sum(counts[f"s3_{kind}"] for kind in ("put", "get", "delete"))
    return {
        **{f"{name}_per_item": count / case.items for name, count in figures.items()},
        **{f"{name}_p50_ms": median(values) for name, values in times.items()},
        # The value that a hundredth of them are above.
        **{f"{name}_p99_ms": float(np.quantile(values, 0.99, method="inverted_cdf")) for name, values in times.items()},
    }


async def _counts(site: Site) -> dict[str, float]:
    functions = site.stack.gateway.functions.values()
    return {**await site.counts(), "invocations": sum(function.invocations for function in functions)}
