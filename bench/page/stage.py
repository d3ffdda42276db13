"""A local stack with a model function that fails now and then, and batches on it that stand still or run."""

from __future__ import annotations

import contextlib
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from redis.asyncio import Redis

from bench.kit import platforms
from bench.kit.one_batch import put_input
from pipeline.client import Pipeline
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.stack import local_stack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bench.kit.processes import Pids
    from pipeline.client import Batch, Progress
    from pipeline.local.stack import LocalStack

MODEL = "picky"
BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class Stage:
    """What runs, and how it is reached."""

    stack: LocalStack
    pipeline: Pipeline
    redis: Redis
    pids: dict[str, Pids]

    @property
    def metrics_url(self) -> str:
        """Where S3 tells what it was asked."""
        return self.stack.s3_service.metrics_url

    async def begin(self, items: int, settled: int, window: int = 128) -> Batch:
        """Start a batch of so many items, and return when at least `settled` of them are."""
        batch = await self.pipeline.submit(
            await put_input(self.stack.s3, items), function=MODEL, chunk=1, window=window
        )
        async for progress in batch.follow(BETWEEN_LOOKS):
            if progress.succeeded + progress.failed >= settled:
                return batch
        return batch


async def halt(batch: Batch) -> Progress:
    """Pause a batch, and return when nothing of it is in flight any more."""
    await batch.pause()
    async for progress in batch.follow(BETWEEN_LOOKS):
        if not progress.in_flight:
            break
    return progress


@contextlib.asynccontextmanager
async def open_stage(workers: int) -> AsyncIterator[Stage]:
    """Start it with so many queue-workers; raises LocalError."""
    handler = Path(__file__).with_name("picky.py")
    command = (sys.executable, "-m", "pipeline.local.serve_handler", str(handler))
    async with AsyncExitStack() as cleanup:
        enter = cleanup.enter_async_context
        stack = await enter(local_stack([FunctionSpec(MODEL, command)], workers=workers))
        pipeline = await enter(Pipeline(stack.gateway_url))
        redis = await enter(Redis.from_url(stack.redis_url, password=stack.redis_password))
        yield Stage(stack, pipeline, redis, platforms.pids(stack, {0: MODEL}))
