"""The cost of watching a batch: `python -m bench.page.watch`, two minutes on a local stack, with a Chromium."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.kit.browser import open_browser
from bench.kit.cli import Out, Workers, new_app, new_console, run_to_end
from bench.kit.machine import RESULTS, describe_machine
from bench.kit.publish import heading, markdown_table, publish
from bench.kit.stack import item_names, model_spec, open_site, put_input
from bench.page.measure import measure_cost, measure_looking, measure_reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.kit.stack import Site
    from bench.page.measure import Cost, Look, Reading
    from pipeline.client import Batch, Progress

NAME = "watching"
MODEL = "model"
BETWEEN_LOOKS = 0.2
# Enough items for all kinds of failure that a status shows.
SETTLED = 1_000

Items = Annotated[int, typer.Option(min=1, help="Items of the large batch.")]
Seconds = Annotated[float, typer.Option(min=1, help="How long the page is looked at.")]

app = new_app()


@dataclass(frozen=True)
class Watching:
    """The figures of one run; `look` and `cost` are of the last of the batches read."""

    readings: tuple[Reading, ...]
    cost: Cost
    look: Look


@app.command()
def main(*, items: Items = 100_000, workers: Workers = 4, seconds: Seconds = 20, out: Out = RESULTS) -> None:
    """Measure the cost of reading a status, and the page over a batch that runs."""
    machine = describe_machine("bench.page.watch")
    watching = run_to_end(_measure((2 * SETTLED, items), workers, seconds))
    page = as_page(watching, machine)
    publish(out, NAME, machine={"machine": machine, **asdict(watching)}, page=page)
    new_console().print(page)


async def _measure(sizes: Sequence[int], workers: int, seconds: float) -> Watching:
    readings, model = [], model_spec(MODEL, fails="kinds")
    async with open_browser(os.environ) as browser, open_site(model, workers=workers) as site:
        page = await browser.new_page()
        for items in sizes:
            batch = await begin(site, items, settled=SETTLED)
            await halt(batch)
            readings.append(await measure_reading(site, batch))
        cost = await measure_cost(site, page, batch, seconds)
        await batch.resume()
        look = await measure_looking(page, batch, seconds)
        await batch.cancel()
    return Watching(tuple(readings), cost, look)


def as_page(watching: Watching, machine: Mapping[str, Any]) -> str:
    """Return the figures in Markdown."""
    look, cost, last = watching.look, watching.cost, watching.readings[-1]
    heads = ("items", "settled", "kinds of failure", "function, CPU ms", "Redis, CPU ms")
    looked = ("requests", "tasks over 50 ms", "longest of them, ms", "longest frame, ms", "heap, MiB", "nodes")
    lines = [
        *heading("What watching costs", machine),
        "## A read of the status",
        "",
        f"Means of {last.reads} reads, one after the other, of a paused batch. Redis commands: those in the script.",
        "",
        *markdown_table((*heads, "Redis round trips", "Redis commands", "p50, ms"), map(_cells, watching.readings)),
        "",
        "## The page",
        "",
        f"Over the batch of {last.items:,} items, standing still, the function used {cost.unwatched_ms:.1f} ms of",
        f"processor time a second without a watcher, and {cost.watched_ms:.1f} ms with the page open.",
        "",
        f"While the batch ran, {look.settled:,} items settled in {look.seconds:.0f} s of looking at it:",
        "",
        *markdown_table(
            looked,
            [
                (
                    *(look.requests, look.long_tasks, f"{look.longest_ms:.0f}", f"{look.longest_frame_ms:.0f}"),
                    f"{look.heap_before_mb:.1f} -> {look.heap_after_mb:.1f}",
                    f"{look.nodes_before} -> {look.nodes_after}",
                )
            ],
        ),
    ]
    return "\n".join([*lines, ""])


def _cells(reading: Reading) -> tuple[object, ...]:
    counts = (f"{reading.items:,}", f"{reading.settled:,}", reading.kinds)
    cpu = (f"{reading.function_cpu_ms:.2f}", f"{reading.redis_cpu_ms:.2f}")
    return (*counts, *cpu, f"{reading.redis_round_trips:.2f}", f"{reading.redis_commands:.1f}", f"{reading.p50_ms:.1f}")


async def begin(site: Site, items: int, settled: int, window: int = 128) -> Batch:
    """Start a batch of so many items, and return when at least `settled` of them are."""
    key = await put_input(site.stack.s3, item_names(items))
    batch = await site.pipeline.submit(key, function=MODEL, chunk=1, window=window)
    async for progress in batch.follow(BETWEEN_LOOKS):
        if progress.succeeded + progress.failed >= settled:
            break
    return batch


async def halt(batch: Batch) -> Progress:
    """Pause a batch, and return when nothing of it is in flight any more."""
    await batch.pause()
    async for progress in batch.follow(BETWEEN_LOOKS):
        if not progress.in_flight:
            break
    return progress


if __name__ == "__main__":
    app()
