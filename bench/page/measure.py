"""The cost of reading a status, and the page in a browser over a batch."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from bench.kit.errors import BenchError
from bench.kit.processes import Usage
from bench.kit.stack import pids

if TYPE_CHECKING:
    from playwright.async_api import Page

    from bench.kit.stack import Site
    from pipeline.client import Batch

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
_SEEN = "() => ({...seen, heap: performance.memory.usedJSHeapSize, nodes: document.querySelectorAll('*').length})"
READS = 200


@dataclass(frozen=True)
class Reading:
    """Means of reading the status of a batch of so many items again and again; times are in milliseconds."""

    items: int
    settled: int
    kinds: int
    reads: int
    function_cpu_ms: float
    redis_cpu_ms: float
    redis_round_trips: float
    redis_commands: float
    p50_ms: float


async def measure_reading(site: Site, batch: Batch) -> Reading:
    """Read the status of a paused batch READS times; the commands inside scripts are counted too."""
    processes = pids(site.stack, ("pipeline",))
    groups = {name: processes[name] for name in ("pipeline", "redis")}
    status = await batch.status()
    took: list[float] = []
    before, usage = await site.counts(), Usage(groups)
    for _ in range(READS):
        started = perf_counter()
        await batch.status()
        took.append(1000 * (perf_counter() - started))
    cpu, after = usage.cpu_ms(), await site.counts()
    return Reading(
        items=status.items,
        settled=status.succeeded + status.failed,
        kinds=len(status.failures),
        reads=READS,
        function_cpu_ms=cpu["pipeline"] / READS,
        redis_cpu_ms=cpu["redis"] / READS,
        redis_round_trips=(after.redis_reads - before.redis_reads) / READS,
        redis_commands=(after.redis_commands - before.redis_commands) / READS,
        p50_ms=median(took),
    )


@dataclass(frozen=True)
class Look:
    """The page over some seconds; times of the browser in milliseconds, its memory in MiB."""

    seconds: float
    settled: int
    requests: int
    long_tasks: int
    longest_ms: float
    longest_frame_ms: float
    heap_before_mb: float
    heap_after_mb: float
    nodes_before: int
    nodes_after: int


@dataclass(frozen=True)
class Cost:
    """Milliseconds of the function's processor time a second, over a paused batch: watched, or not."""

    unwatched_ms: float
    watched_ms: float


async def measure_looking(page: Page, batch: Batch, seconds: float) -> Look:
    """Open the page of a batch and measure it for a while; raises BenchError."""
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    await _open(page, batch)
    await page.evaluate(_OBSERVE)
    before, requests[:] = await page.evaluate(_SEEN), []
    settled, started = await _settled(batch), perf_counter()
    await page.wait_for_timeout(1000 * seconds)
    after: dict[str, Any] = await page.evaluate(_SEEN)
    took = perf_counter() - started
    mib = 1024 * 1024
    return Look(
        seconds=took,
        settled=await _settled(batch) - settled,
        requests=len(requests),
        long_tasks=len(after["long"]),
        longest_ms=max(after["long"], default=0.0),
        longest_frame_ms=after["gap"],
        heap_before_mb=before["heap"] / mib,
        heap_after_mb=after["heap"] / mib,
        nodes_before=before["nodes"],
        nodes_after=after["nodes"],
    )


async def measure_cost(site: Site, page: Page, batch: Batch, seconds: float) -> Cost:
    """Measure the function while a paused batch is not watched, and while it is; raises BenchError."""
    unwatched = await _used(site, page, seconds)
    await _open(page, batch)
    return Cost(unwatched, await _used(site, page, seconds))


async def _used(site: Site, page: Page, seconds: float) -> float:
    usage, started = Usage({"pipeline": tuple(site.stack.pids("pipeline"))}), perf_counter()
    await page.wait_for_timeout(1000 * seconds)
    return usage.cpu_ms()["pipeline"] / (perf_counter() - started)


async def _open(page: Page, batch: Batch) -> None:
    answer = await page.goto(batch.page)
    if answer is None or not answer.ok:
        raise BenchError(f"there is no page at {batch.page}")
    await page.get_by_role("progressbar").first.wait_for()


async def _settled(batch: Batch) -> int:
    progress = await batch.status()
    return progress.succeeded + progress.failed
