"""The needs of a batch of Redis, S3 and the queue: `python -m bench.speed.sizing`, on a local stack."""

import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl
from redis.asyncio import Redis

from bench.kit.cli import Out, interleaved, measure, new_app
from bench.kit.counters import counted, stored_bytes
from bench.kit.errors import BenchError
from bench.kit.machine import RESULTS
from bench.kit.pages import wrap
from bench.kit.processes import repeated
from bench.kit.results import read_frame, table
from bench.kit.stack import Site, model_spec, open_site, run_batch, times_of
from bench.speed.scale import Line, fit
from pipeline.client import Progress
from pipeline.local.services.redis_and_s3 import S3Server, s3_server

NAME = "sizing"
# AWS' list price of S3 Standard in us-east-1 on this day, in dollars a request. Deletions and aborts cost nothing.
PRICED_ON = "2026-11-26"
PUT_DOLLARS = 0.005 / 1000
GET_DOLLARS = 0.0004 / 1000
KIB = 1024
MILLION = 1_000_000
SEGMENT_ITEMS = 1_000
WORDS = {"calls": "a tenth of the calls", "items": "a tenth of the items, each time"}


@dataclass(frozen=True)
class Case:
    """One batch to run, of the group of cases that it is compared with.

    `result_bytes` is about the size of a result; a tenth of the calls or of the items fails, by `fails`; `workers` are
    the queue-workers at work; the model function takes `model_ms` milliseconds a call.
    """

    group: Literal["size", "window", "result", "attempts", "parallelism"]
    items: int
    chunk: int
    window: int = 128
    result_bytes: int = 100
    attempts: int = 3
    fails: Literal["", "calls", "items"] = ""
    workers: int = 4
    model_ms: int = 0


CASES = (
    *(Case("size", items, chunk) for items in (1_000, 10_000) for chunk in (1, 10, 100)),
    *(Case("size", 100_000, chunk) for chunk in (10, 100)),
    *(Case("window", 10_000, 10, window=window) for window in (32, 128, 512)),
    *(Case("result", 5_000, chunk, result_bytes=1024) for chunk in (1, 10, 100)),
    *(Case("result", 2_000, chunk, result_bytes=10_240) for chunk in (1, 10)),
    *(Case("attempts", 300, 1, attempts=times, fails="calls", workers=16) for times in (1, 2, 3)),
    *(Case("attempts", 300, 1, attempts=times, fails="items", workers=16) for times in (1, 2, 3)),
    # Three times over, since it is the seconds that count here; repeats outermost.
    *(Case("parallelism", 480, 1, window=window, workers=16, model_ms=100) for window in (8, 16, 24, 32, 64, 128) * 3),
)
MODEL = "model"
WARM_UP_ITEMS = 100
SAMPLE_SECONDS = 0.02
KEYS = ("ledger", "outcomes", "inflight", "settled", "due", "remaining", "attempts", "series", "failures", "other")

app = new_app()


class Keys:
    """The most bytes of each kind of key so far: MEMORY USAGE, all of its elements counted."""

    def __init__(self, redis: Redis, batch: str) -> None:
        self.most = dict.fromkeys(KEYS, 0)
        self._redis = redis
        self._tag = f"{{{batch}}}"

    async def sample(self) -> int:
        """Take a sample; returns the bytes of all keys of the batch."""
        sizes = dict.fromkeys(KEYS, 0)
        keys = [key.decode() async for key in self._redis.scan_iter(match=f"*{self._tag}*", count=1000)]
        for key in keys:
            kind = key.partition(self._tag)[2].strip(":").split(":")[0] or "ledger"
            kind = kind if kind in KEYS else "other"
            sizes[kind] += await self._redis.memory_usage(key, samples=0) or 0
        self.most = {kind: max(size, self.most[kind]) for kind, size in sizes.items()}
        return sum(sizes.values())


@app.command()
def main(*, out: Out = RESULTS) -> None:
    """Measure batches of several sizes, chunks, windows and results."""
    measure("bench.speed.sizing", _measure(), out, render)


async def _measure() -> dict[str, list[dict[str, Any]]]:
    async with s3_server() as s3:
        return {NAME: [await _run_case(case, s3) for _, case in interleaved(CASES)]}


async def _run_case(case: Case, s3: S3Server) -> dict[str, Any]:
    """Start a stack with a Redis of its own, warm it up and run the batch. Raises BenchError, LocalError, CallError."""
    model = model_spec(MODEL, case.model_ms, case.result_bytes, case.fails)
    async with open_site(model, workers=case.workers, s3=s3) as site:
        await _run(site, case, min(WARM_UP_ITEMS, case.items), f"warm-up-{uuid.uuid4()}")
        return await _run_measured(site, case, f"sizing-{uuid.uuid4()}")


async def _run(site: Site, case: Case, items: int, name: str) -> Progress:
    last = await run_batch(
        site, items, name, function=MODEL, chunk=case.chunk, window=case.window, attempts=case.attempts
    )
    if last.failed and not case.fails:
        raise BenchError(f"batch {name} has {last.failed} failed items")
    return last


async def _run_measured(site: Site, case: Case, name: str) -> dict[str, Any]:
    model, keys, before = site.stack.gateway.functions[MODEL], Keys(site.redis, name), await site.counts()
    calls = model.invocations
    site.watch_queue()
    async with repeated(keys.sample, SAMPLE_SECONDS):
        last = await _run(site, case, case.items, name)
    counts, times = counted(before, await site.counts()), times_of(last)
    return {
        **asdict(case),
        "seconds": times.completed - times.started,
        "redis_peak": counts["redis_peak"],
        "redis_kept": await keys.sample(),
        "messages": site.messages,
        # The first one looks the function up, at the submission.
        "calls": model.invocations - calls - 1,
        "failed": last.failed,
        "retried": last.retried,
        **{f"key_{kind}": size for kind, size in keys.most.items()},
        # The bench itself has put the input.
        "s3_put": counts["s3_put"] - 1,
        **{name: counts[name] for name in ("s3_get", "s3_delete")},
        **{f"stored_{kind}": size for kind, size in (await stored_bytes(site.bucket, name)).items()},
    }


def request_lines(rows: pl.DataFrame) -> pl.DataFrame:
    """Return, for each chunk, the requests of a batch once and for each 1,000 items, and the price of a million items.

    The line leads from the smallest to the largest of the batches that differ in their items only.
    """
    thousands = pl.col("items") / 1000
    figures: dict[str, pl.Expr] = {}
    for name, count in {"puts": pl.col("s3_put"), "gets": pl.col("s3_get")}.items():
        each = (count.last() - count.first()) / (thousands.last() - thousands.first())
        figures |= {f"{name}_once": count.first() - thousands.first() * each, f"{name}_each": each}
    lines = rows.filter(group="size").sort("items").group_by("chunk").agg(**figures).sort("chunk")
    puts, gets = (pl.col(f"{name}_once") + MILLION / 1000 * pl.col(f"{name}_each") for name in ("puts", "gets"))
    return lines.with_columns(dollars=dollars(puts, gets))


def dollars(puts: pl.Expr, gets: pl.Expr) -> pl.Expr:
    """Return the list price of requests."""
    return puts * PUT_DOLLARS + gets * GET_DOLLARS


def fit_memory(rows: pl.DataFrame) -> tuple[float, Line | None]:
    """Return Redis' bytes for a task of the window, and the line of the rest over the outcomes that wait.

    A task of the window costs as much as its key. It is far below the rest, so a fit of it would fit noise.
    """
    released = pl.min_horizontal("window", pl.col("items") // pl.col("chunk"))
    task = rows.select((pl.col("key_inflight") / released).max()).item()
    return task, fit(rows.with_columns(rest=pl.col("redis_peak") - task * pl.col("window")), "rest", "key_outcomes")


def render(folder: Path) -> dict[str, str]:
    """Return the blocks of the page."""
    rows, items, seconds = read_frame(folder, NAME), pl.col("items"), pl.col("seconds")
    size, measured = rows.filter(group="size"), rows.filter(pl.col("group").is_in(["size", "window", "result"]))
    megabytes = measured.sort("result_bytes", "chunk").select(
        "result_bytes", pl.format("MB at chunk {}", "chunk"), pl.col("redis_peak") / MILLION
    )
    price = dollars(pl.col("s3_put"), pl.col("s3_get"))
    apart = {"puts_an_item": pl.col("s3_put") / items, "$ for a million items": price * MILLION / items}
    kinds = ("input", "segments", "outputs")
    stored = {f"stored_{kind}_kib": pl.col(f"stored_{kind}") * 1000 / items / KIB for kind in kinds}
    largest = measured.filter(pl.col("group") != "window", chunk=1).unique("result_bytes", keep="last")
    windows = rows.filter(group="parallelism").group_by("window").agg(seconds.median()).sort("window")
    attempts = rows.filter(group="attempts").with_columns(pl.col("fails").replace(WORDS))
    lines = request_lines(rows).rename({"dollars": "million_dollars"})
    prices = f"${PUT_DOLLARS * 1000:g} for 1,000 PUT, ${GET_DOLLARS * 1000:g} for 1,000 GET"
    return {
        "redis": _redis(measured, size),
        "memory": table(megabytes.pivot("chunk", index="result_bytes", values="redis_peak", aggregate_function="max")),
        "messages": table(size.select("items", "chunk", "messages")),
        "requests": f"Priced as S3 Standard in us-east-1 was listed on {PRICED_ON}: {prices}.\n\n{table(lines)}",
        "apart": table(rows.filter(pl.col("stored_refs") > 0, group="result").select("result_bytes", "chunk", **apart)),
        "stored": table(largest.sort("result_bytes").select("result_bytes", **stored)),
        "window": table(windows.select("window", of_the_highest_throughput=seconds.min() / seconds)),
        "attempts": table(attempts.select("fails", "attempts", "items", "failed", "calls", "seconds")),
    }


def _redis(measured: pl.DataFrame, size: pl.DataFrame) -> str:
    task, line = fit_memory(measured)
    if line is None:
        return ""
    per_outcome = pl.col("key_outcomes") / SEGMENT_ITEMS - pl.col("result_bytes")
    return wrap(
        f"**Redis**, for each open batch: {line.fixed / MILLION:.1f} MB + {task:.0f} B x `window` + "
        f"{line.each:.1f} x the outcomes that wait to be written, which are about {SEGMENT_ITEMS:,}, each of its "
        f"result and up to {size.select(per_outcome.max()).item():.0f} B, or 8 MB at most. That is within "
        f"{line.off:.0%} of every batch measured. How many items there are makes no difference. An ended batch keeps "
        f"{max(measured['redis_kept'].to_list()) / 1000:.1f} KB for a week."
    )


if __name__ == "__main__":
    app()
