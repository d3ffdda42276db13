"""One batch at each of several sizes: `python -m bench.speed.scale`, on a local stack."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from bench.kit.cli import Out, Workers, interleaved, measure, new_app
from bench.kit.counters import counted, stored_bytes
from bench.kit.errors import BenchError
from bench.kit.machine import RESULTS
from bench.kit.processes import Memory, Usage, sampled
from bench.kit.stack import Site, Times, model_spec, open_site, pids, run_batch, times_of
from bench.speed.scale.report import NAME, PROCESSES, render
from pipeline.client import Progress

SIZES = (1_000, 10_000, 100_000, 1_000_000)
CHUNK = 1_000
MOST_ALONE = 10_000
MODEL = "model"
COUNTS = ("redis_scripts", "redis_commands", "s3_put", "s3_get", "s3_delete")
WARM_UP_ITEMS = 1_000
HEAD = "bytes=0-4095"
_COUNT = re.compile(rb'"failures":\{"count":0,"results":\[\]\},"results":\{"count":(?P<count>\d+),')

Row = dict[str, Any]


Sizes = Annotated[list[int] | None, typer.Option("--size", min=1, help="Items of a batch; may be repeated.")]
ResultBytes = Annotated[int, typer.Option(min=27, help="Bytes of a result, about.")]

app = new_app()


@app.command()
def main(
    *,
    sizes: Sizes = None,
    workers: Workers = 4,
    result_bytes: ResultBytes = 200,
    out: Out = RESULTS,
) -> None:
    """Measure the cost of a batch at each size, and plan a far larger one.

    The chunk is 1,000 items, sent in one call; batches of up to 10,000 items also run at chunk 1.
    """
    measure("bench.speed.scale", _measure(sizes or SIZES, workers, result_bytes), out, render)


async def _measure(sizes: Sequence[int], workers: int, result_bytes: int) -> dict[str, list[Row]]:
    cases, rows = [(items, CHUNK) for items in sizes] + [(items, 1) for items in sizes if items <= MOST_ALONE], []
    for _, (items, chunk) in interleaved(cases):
        async with open_site(model_spec(MODEL, 0, result_bytes), workers=workers) as site:
            await _run(site, min(items, WARM_UP_ITEMS), chunk)
            rows.append(await _run_measured(site, items, chunk))
    return {NAME: rows}


async def _run(site: Site, items: int, chunk: int) -> Progress:
    return await run_batch(site, items, function=MODEL, chunk=chunk, chunk_call=chunk > 1)


async def _run_measured(site: Site, items: int, chunk: int) -> Row:
    """Run a batch: seconds by phase, processor time of the whole batch in milliseconds, peaks of memory in MiB."""
    groups = pids(site.stack, ("pipeline", MODEL))
    before, usage = await site.counts(), Usage(groups)
    async with sampled(groups) as memory:
        status = await _run(site, items, chunk)
    cpu, counts = usage.cpu_ms(), counted(before, await site.counts())
    await _check(site, items, status)
    stored, times = await stored_bytes(site.bucket, status.batch_id), times_of(status)
    return {
        "items": items,
        "chunk": chunk,
        "open_seconds": times.started - times.created,
        "map_seconds": times.completed - times.started,
        "reduce_seconds": times.ended - times.completed,
        **{f"{name}_cpu_ms": cpu[name] for name in PROCESSES},
        **_memory(memory, times),
        "redis_bytes": counts["redis_peak"],
        **{name: counts[name] for name in COUNTS},
        "snapshot_bytes": stored["input"],
        "segment_bytes": stored["segments"],
        "summary_bytes": stored["refs"] + stored["outputs"],
    }


async def _check(site: Site, items: int, status: Progress) -> None:
    """Raise BenchError unless the summary counts every item as a result."""
    key = f"{status.batch_id}.json"
    answer = await site.bucket.client.get_object(Bucket=site.bucket.name, Key=key, Range=HEAD)
    count = _COUNT.search(await answer["Body"].read())
    if count is None or int(count["count"]) != items:
        raise BenchError(f"the summary of batch {status.batch_id} lacks some of {items} results")


def _memory(memory: Memory, times: Times) -> dict[str, float]:
    """Return the peaks by phase; the ledger's clock is this machine's."""
    return {
        "opening_rss_mb": memory.peak("pipeline", times.created, times.started),
        **{f"{name}_rss_mb": memory.peak(name, times.started, times.completed) for name in PROCESSES},
        "reduce_rss_mb": memory.peak("pipeline", times.completed, times.ended),
    }


if __name__ == "__main__":
    app()
