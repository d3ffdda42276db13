"""The cost of watching a batch: `python -m bench.page.watch`, two minutes on a local stack, with a Chromium."""

import os
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, Any

import polars as pl
import typer
from playwright.async_api import Page

from bench.kit.browser import open_browser
from bench.kit.cli import Out, Workers, measure, new_app
from bench.kit.counters import counted
from bench.kit.errors import BenchError
from bench.kit.machine import RESULTS
from bench.kit.pages import wrap
from bench.kit.processes import Usage
from bench.kit.results import as_page, read_frame, read_machine, table
from bench.kit.stack import Site, item_names, model_spec, open_site, pids, put_input
from pipeline.client import Batch, Progress

NAME = "watching"
MODEL = "model"
BETWEEN_LOOKS = 0.2
# Enough items for all kinds of failure that a status shows.
SETTLED = 1_000
READS = 200
# Long tasks are those over 50 ms (W3C, "Long Tasks API"), which a person notices as a delay.
_OBSERVE = """() => {
  window.seen = {long: [], gap: 0, last: performance.now()};
  new PerformanceObserver((list) => seen.long.push(...list.getEntries().map((entry) => entry.duration)))
    .observe({type: 'longtask', buffered: false});
  const frame = (now) => {
    seen.gap = Math.max(seen.gap, now - seen.last);
    seen.last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}"""
_SEEN = """() => ({
  long_tasks: seen.long.length, longest_ms: Math.max(0, ...seen.long), longest_frame_ms: seen.gap,
  heap_mb: performance.memory.usedJSHeapSize / 2 ** 20, nodes: document.querySelectorAll('*').length,
})"""
READING = {
    "items": ("items", ",.0f"),
    "settled": ("settled", ",.0f"),
    "kinds of failure": ("kinds", ""),
    "function, CPU ms": ("function_cpu_ms", ".2f"),
    "Redis, CPU ms": ("redis_cpu_ms", ".2f"),
    "Redis round trips": ("redis_round_trips", ".2f"),
    "Redis commands": ("redis_commands", ".1f"),
    "p50, ms": ("p50_ms", ".1f"),
}
LOOKING = {
    "requests": ("requests", ".0f"),
    "tasks over 50 ms": ("long_tasks", ".0f"),
    "longest of them, ms": ("longest_ms", ".0f"),
    "longest frame, ms": ("longest_frame_ms", ".0f"),
    "heap before, MiB": ("heap_before_mb", ".1f"),
    "heap after, MiB": ("heap_mb", ".1f"),
    "nodes before": ("nodes_before", ".0f"),
    "nodes after": ("nodes", ".0f"),
}

Items = Annotated[int, typer.Option(min=1, help="Items of the large batch.")]
Seconds = Annotated[float, typer.Option(min=1, help="How long the page is looked at.")]

app = new_app()


@app.command()
def main(*, items: Items = 100_000, workers: Workers = 4, seconds: Seconds = 20, out: Out = RESULTS) -> None:
    """Measure the cost of reading a status, and the page over a batch that runs."""
    measure("bench.page.watch", _measure((2 * SETTLED, items), workers, seconds), out, render)


async def _measure(sizes: Sequence[int], workers: int, seconds: float) -> dict[str, list[dict[str, Any]]]:
    """Return a row a batch; the last has the figures of the page too."""
    rows: list[dict[str, Any]] = []
    model = model_spec(MODEL, fails="kinds")
    async with open_browser(os.environ) as browser, open_site(model, workers=workers) as site:
        page = await browser.new_page()
        for items in sizes:
            batch, status = await _paused_batch(site, items)
            rows.append({"items": items, "settled": _settled(status), "kinds": len(status.failures)})
            rows[-1] |= await _read(site, batch)
        rows[-1]["unwatched_ms"] = await _cpu_ms_a_second(site, page, seconds)
        answer = await page.goto(batch.page)
        if answer is None or not answer.ok:
            raise BenchError(f"there is no page at {batch.page}")
        await page.get_by_role("progressbar").first.wait_for()
        rows[-1]["watched_ms"] = await _cpu_ms_a_second(site, page, seconds)
        await batch.resume()
        rows[-1] |= await _look(page, batch, seconds)
        await batch.cancel()
    return {NAME: rows}


async def _paused_batch(site: Site, items: int) -> tuple[Batch, Progress]:
    """Return a batch with some settled items, of which nothing is in flight any more."""
    key = await put_input(site.stack.s3, item_names(items))
    batch = await site.pipeline.submit(key, function=MODEL, chunk=1, window=128)
    async for progress in batch.follow(BETWEEN_LOOKS):
        if _settled(progress) >= SETTLED:
            await batch.pause()
            break
    return batch, await anext(progress async for progress in batch.follow(BETWEEN_LOOKS) if not progress.in_flight)


async def _read(site: Site, batch: Batch) -> dict[str, float]:
    """Return the means of reading the status of a paused batch; the commands inside scripts are counted too."""
    processes, took = pids(site.stack, ("pipeline",)), []
    before, usage = await site.counts(), Usage({name: processes[name] for name in ("pipeline", "redis")})
    for _ in range(READS):
        started = perf_counter()
        await batch.status()
        took.append(1000 * (perf_counter() - started))
    cpu, counts = usage.cpu_ms(), counted(before, await site.counts())
    return {
        "reads": READS,
        "function_cpu_ms": cpu["pipeline"] / READS,
        "redis_cpu_ms": cpu["redis"] / READS,
        "redis_round_trips": counts["redis_reads"] / READS,
        "redis_commands": counts["redis_commands"] / READS,
        "p50_ms": median(took),
    }


async def _cpu_ms_a_second(site: Site, page: Page, seconds: float) -> float:
    usage, started = Usage({"pipeline": tuple(site.stack.pids("pipeline"))}), perf_counter()
    await page.wait_for_timeout(1000 * seconds)
    return usage.cpu_ms()["pipeline"] / (perf_counter() - started)


async def _look(page: Page, batch: Batch, seconds: float) -> dict[str, float]:
    """Return the figures of the open page for a while; times of the browser in milliseconds."""
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    await page.evaluate(_OBSERVE)
    before, settled, started = await page.evaluate(_SEEN), _settled(await batch.status()), perf_counter()
    await page.wait_for_timeout(1000 * seconds)
    after, took = await page.evaluate(_SEEN), perf_counter() - started
    return {
        "seconds": took,
        "settled_meanwhile": _settled(await batch.status()) - settled,
        "requests": len(requests),
        "heap_before_mb": before["heap_mb"],
        "nodes_before": before["nodes"],
        **after,
    }


def _settled(progress: Progress) -> int:
    return progress.succeeded + progress.failed


def render(folder: Path) -> dict[str, str]:
    """Return the page of the rows, and what the page of batches shows of them."""
    frame = read_frame(folder, NAME)
    looked = frame.filter(pl.col("seconds").is_not_null())
    last = looked.row(0, named=True)
    reads = (
        f"Means of {last['reads']} reads, one after the other, of a paused batch. Redis commands: those in the script."
    )
    cost = (
        f"Over the batch of {last['items']:,} items, standing still, the function used {last['unwatched_ms']:.1f} ms of"
        f" processor time a second without a watcher, and {last['watched_ms']:.1f} ms with the page open. While the "
        f"batch ran, {last['settled_meanwhile']:,.0f} items settled in {last['seconds']:.0f} s of looking at it:"
    )
    parts = ("## A read of the status", reads, table(frame, READING), "## The page", wrap(cost), table(looked, LOOKING))
    cpu, items = frame["function_cpu_ms"].to_list(), frame["items"].to_list()
    status = (
        f"A read of the status takes {min(cpu):.2f} to {max(cpu):.2f} ms and {last['redis_commands']:.0f} commands of "
        f"Redis, for {min(items):,} items as for {max(items):,}."
    )
    page = as_page("What watching costs", read_machine(folder, NAME), *parts)
    return {f"{NAME}.md": page, "status": wrap(status)}


if __name__ == "__main__":
    app()
