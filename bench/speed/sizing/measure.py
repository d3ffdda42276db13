"""The batches to measure, each on a local stack whose requests to S3 go through a proxy that counts them."""

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from redis.asyncio import Redis

from bench.kit.counters import stored_bytes
from bench.kit.errors import BenchError
from bench.kit.processes import repeated
from bench.kit.stack import Site, model_spec, open_site, run_batch, times_of
from bench.speed.sizing.proxy import CountingProxy, counting_proxy
from pipeline.client import Progress
from pipeline.local.openfaas.message_queue import Message
from pipeline.local.services.redis_and_s3 import S3Server

# AWS' list price of S3 Standard in us-east-1 on this day, in dollars a request. Deletions and aborts cost nothing.
PRICED_ON = "2026-11-26"
PUT_DOLLARS = 0.005 / 1000
GET_DOLLARS = 0.0004 / 1000
PUTS = (
    *("PutObject", "CopyObject", "CreateMultipartUpload", "UploadPart", "UploadPartCopy"),
    *("CompleteMultipartUpload", "ListObjects", "ListMultipartUploads"),
)
GETS = ("GetObject", "HeadObject")
FREE = ("DeleteObject", "DeleteObjects", "AbortMultipartUpload")
OPERATIONS = (*PUTS, *GETS, *FREE)


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


async def run_case(case: Case, s3: S3Server) -> dict[str, Any]:
    """Start a stack with a Redis of its own, warm it up and run the batch. Raises BenchError, LocalError, CallError."""
    model = model_spec(MODEL, case.model_ms, case.result_bytes, case.fails)
    async with counting_proxy(s3.info.endpoint) as proxy:
        counted = {"s3_endpoint": proxy.url}
        async with open_site(model, workers=case.workers, s3=s3, pipeline_environment=counted) as site:
            await _run(site, case, min(WARM_UP_ITEMS, case.items), f"warm-up-{uuid.uuid4()}")
            return await _measure(site, proxy, case)


async def _run(site: Site, case: Case, items: int, name: str) -> Progress:
    last = await run_batch(
        site, items, name, function=MODEL, chunk=case.chunk, window=case.window, attempts=case.attempts
    )
    if last.failed and not case.fails:
        raise BenchError(f"batch {name} has {last.failed} failed items")
    return last


async def _measure(site: Site, proxy: CountingProxy, case: Case) -> dict[str, Any]:
    gateway, name = site.stack.gateway, f"sizing-{uuid.uuid4()}"
    messages = 0

    def enqueued(_message: Message) -> Sequence[float]:
        nonlocal messages
        messages += 1
        return (0.0,)

    gateway.messages_hook = enqueued
    calls, before = gateway.functions[MODEL].invocations, (await site.redis.info("memory"))["used_memory"]
    proxy.operations.clear()
    keys = Keys(site.redis, name)
    async with repeated(keys.sample, SAMPLE_SECONDS):
        last = await _run(site, case, case.items, name)
    unknown = proxy.operations.keys() - set(OPERATIONS)
    if unknown:
        raise BenchError(f"S3 served operations that have no price here: {', '.join(sorted(unknown))}")
    return {
        **asdict(case),
        "seconds": times_of(last).completed - times_of(last).started,
        "redis_peak": (await site.redis.info("memory"))["used_memory_peak"] - before,
        "redis_kept": await keys.sample(),
        "messages": messages,
        "calls": gateway.functions[MODEL].invocations - calls,
        "failed": last.failed,
        "retried": last.retried,
        **{f"key_{kind}": size for kind, size in keys.most.items()},
        **{f"s3_{operation}": proxy.operations[operation] for operation in OPERATIONS},
        **{f"stored_{kind}": size for kind, size in (await stored_bytes(site.bucket, name)).items()},
    }
