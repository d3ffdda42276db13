"""The needs of a batch of Redis, S3 and the queue: `python -m bench.speed.sizing`, on a local stack."""

import uuid
from dataclasses import asdict, dataclass
from typing import Any, Literal

from redis.asyncio import Redis

from bench.kit.cli import Out, interleaved, measure, new_app
from bench.kit.counters import counted, stored_bytes
from bench.kit.errors import BenchError
from bench.kit.machine import RESULTS
from bench.kit.processes import repeated
from bench.kit.stack import Site, model_spec, open_site, run_batch, times_of
from bench.speed.sizing.report import NAME, render
from pipeline.client import Progress
from pipeline.local.services.redis_and_s3 import S3Server, s3_server


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
        "calls": model.invocations - calls,
        "failed": last.failed,
        "retried": last.retried,
        **{f"key_{kind}": size for kind, size in keys.most.items()},
        # The bench itself has put the input.
        "s3_put": counts["s3_put"] - 1,
        **{name: counts[name] for name in ("s3_get", "s3_delete")},
        **{f"stored_{kind}": size for kind, size in (await stored_bytes(site.bucket, name)).items()},
    }


if __name__ == "__main__":
    app()
