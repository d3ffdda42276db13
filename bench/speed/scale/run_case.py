"""One batch on a fresh local stack, measured from outside."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bench.kit.counters import stored_bytes
from bench.kit.errors import BenchError
from bench.kit.processes import Usage, sampled
from bench.kit.stack import BETWEEN_POLLS, item_names, model_spec, open_site, pids, put_input, times_of
from bench.speed.scale.figures import PROCESSES, Case, Run

if TYPE_CHECKING:
    from bench.kit.processes import Memory
    from bench.kit.stack import Site, Times
    from pipeline.client import Progress

MODEL = "model"
WARM_UP_ITEMS = 1_000
HEAD_BYTES = 4096
_COUNT = re.compile(rb'"failures":\{"count":0,"results":\[\]\},"results":\{"count":(?P<count>\d+),')


async def run_case(case: Case, workers: int, result_bytes: int) -> Run:
    """Start a stack with so many queue-workers, warm it up and run the batch; results have about `result_bytes`.

    Raises BenchError, LocalError, CallError.
    """
    async with open_site(model_spec(MODEL, 0, result_bytes), workers=workers) as site:
        warm_up = Case(min(case.items, WARM_UP_ITEMS), case.chunk)
        await _check(site, warm_up, await _submit(site, warm_up, await _put(site, warm_up)))
        return await _measure(site, case)


async def _put(site: Site, case: Case) -> str:
    return await put_input(site.stack.s3, item_names(case.items))


async def _submit(site: Site, case: Case, key: str) -> Progress:
    """Run a batch to its end; returns its final status."""
    batch = await site.pipeline.submit(key, function=MODEL, chunk=case.chunk, chunk_call=case.chunk > 1)
    return await batch.wait(BETWEEN_POLLS)


async def _check(site: Site, case: Case, status: Progress) -> None:
    """Raise BenchError unless the summary counts every item as a result."""
    batch, bucket = status.batch_id, site.bucket
    head = f"bytes=0-{HEAD_BYTES - 1}"
    answer = await bucket.client.get_object(Bucket=bucket.name, Key=f"{batch}.json", Range=head)
    count = _COUNT.search(await answer["Body"].read())
    if status.state != "done" or count is None or int(count["count"]) != case.items:
        raise BenchError(f"batch {batch} is {status.state}, and its summary lacks some of {case.items} results")


async def _measure(site: Site, case: Case) -> Run:
    groups = pids(site.stack, ("pipeline", MODEL))
    key = await _put(site, case)
    before, usage = await site.counts(), Usage(groups)
    async with sampled(groups) as memory:
        status = await _submit(site, case, key)
    cpu, after = usage.cpu_ms(), await site.counts()
    await _check(site, case, status)
    stored, times = await stored_bytes(site.bucket, status.batch_id), times_of(status)
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
        "snapshot_bytes": stored["input"],
        "segment_bytes": stored["segments"],
        "summary_bytes": stored["refs"] + stored["outputs"],
    }
    return Run(case.items, case.chunk, **figures)


def _memory(memory: Memory, times: Times) -> dict[str, float]:
    """Return the peaks by phase; the ledger's clock is this machine's."""
    return {
        "opening_rss_mb": memory.peak("pipeline", times.created, times.started),
        **{f"{name}_rss_mb": memory.peak(name, times.started, times.completed) for name in PROCESSES},
        "reduce_rss_mb": memory.peak("pipeline", times.completed, times.ended),
    }
