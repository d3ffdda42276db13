"""One batch on a local stack whose requests to S3 go through a proxy that counts them."""

from __future__ import annotations

import sys
import uuid
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from redis.asyncio import Redis

from bench.kit.errors import BenchError
from bench.kit.machine import ROOT
from bench.kit.one_batch import BETWEEN_POLLS, put_input
from bench.kit.times import times_of
from bench.speed.sizing.figures import OPERATIONS, STORED, Case, Row
from bench.speed.sizing.memory import watched_keys
from bench.speed.sizing.proxy import counting_proxy
from pipeline.client import Pipeline
from pipeline.local.demo.bucket import open_bucket
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.stack import local_stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.speed.sizing.proxy import CountingProxy
    from pipeline.client import Progress
    from pipeline.local.demo.bucket import Bucket
    from pipeline.local.openfaas.message_queue import Message
    from pipeline.local.services.redis_and_s3 import S3Server
    from pipeline.local.stack import LocalStack

MODEL = "model"
WARM_UP_ITEMS = 100


@dataclass(frozen=True)
class _Site:
    stack: LocalStack
    redis: Redis
    bucket: Bucket
    proxy: CountingProxy
    pipeline: Pipeline

    async def run(self, case: Case, name: str) -> Progress:
        """Run a batch to its end; raises BenchError for one that ended otherwise than it had to."""
        key = await put_input(self.stack.s3, case.items)
        batch = await self.pipeline.submit(
            key, batch_id=name, function=MODEL, chunk=case.chunk, window=case.window, attempts=case.attempts
        )
        last = await batch.wait(BETWEEN_POLLS)
        if last.state != "done" or (last.failed and not case.fails):
            raise BenchError(f"batch {name} is {last.state} with {last.failed} failed items: {last.reason}")
        return last

    async def used(self, figure: str = "used_memory") -> int:
        """Return a figure of Redis' memory, in bytes."""
        return int((await self.redis.info("memory"))[figure])

    async def stored(self, name: str) -> dict[str, int]:
        """Return the bytes of a batch's objects by kind; `outputs` is what is none of the others."""
        sizes: Counter[str] = Counter(dict.fromkeys(STORED, 0))
        pages = self.bucket.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket.name, Prefix=name)
        async for page in pages:
            for entry in page.get("Contents", []):
                kind = entry["Key"].removeprefix(f"{name}/").split("/")[0]
                sizes[kind if kind in STORED else "outputs"] += entry["Size"]
        return dict(sizes)


async def run_case(case: Case, s3: S3Server) -> Row:
    """Start a stack with a Redis of its own, warm it up and run the batch. Raises BenchError, LocalError, CallError."""
    async with AsyncExitStack() as cleanup:
        enter = cleanup.enter_async_context
        proxy = await enter(counting_proxy(s3.info.endpoint))
        environment = {
            "PYTHONPATH": str(ROOT),
            "BENCH_MODEL_MS": str(case.model_ms),
            "BENCH_RESULT_BYTES": str(case.result_bytes),
            "BENCH_FAILS": case.fails,
        }
        model = FunctionSpec(MODEL, (sys.executable, "-m", "bench.speed.sizing.model"), environment)
        counted = {"s3_endpoint": proxy.url}
        stack = await enter(local_stack([model], workers=case.workers, s3=s3, pipeline_environment=counted))
        redis = await enter(Redis.from_url(stack.redis_url, password=stack.redis_password))
        site = _Site(stack, redis, await enter(open_bucket(s3.info)), proxy, await enter(Pipeline(stack.gateway_url)))
        await site.run(replace(case, items=min(WARM_UP_ITEMS, case.items)), f"warm-up-{uuid.uuid4()}")
        return await _measure(site, case)


async def _measure(site: _Site, case: Case) -> Row:
    gateway, name = site.stack.gateway, f"sizing-{uuid.uuid4()}"
    messages = 0

    def enqueued(_message: Message) -> Sequence[float]:
        nonlocal messages
        messages += 1
        return (0.0,)

    gateway.messages_hook = enqueued
    calls, before = gateway.functions[MODEL].invocations, await site.used()
    site.proxy.operations.clear()
    async with watched_keys(site.redis, name) as keys:
        times = times_of(last := await site.run(case, name))
    unknown = site.proxy.operations.keys() - set(OPERATIONS)
    if unknown:
        raise BenchError(f"S3 was asked for what has no price here: {', '.join(sorted(unknown))}")
    return Row(
        case=case,
        seconds=times.completed - times.started,
        redis_peak=await site.used("used_memory_peak") - before,
        redis_kept=await keys.look(),
        messages=messages,
        calls=gateway.functions[MODEL].invocations - calls,
        failed=last.failed,
        retried=last.retried,
        keys=keys.most,
        s3={operation: site.proxy.operations[operation] for operation in OPERATIONS},
        stored=await site.stored(name),
    )
