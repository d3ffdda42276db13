"""What a run asks of a local stack: requests counted by those who serve them, and how long two of them take."""

from __future__ import annotations

import contextlib
import math
from statistics import median
from typing import TYPE_CHECKING

from redis.asyncio import Redis

from bench.kit.counters import read_counts
from bench.kit.figures import Traffic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bench.kit.counters import Counts
    from pipeline.local.openfaas.message_queue import Callback, Message
    from pipeline.local.stack import LocalStack


class Meter:
    """Counts from its start on: messages and callbacks as they pass, the rest by what the servers say."""

    def __init__(self, stack: LocalStack, redis: Redis) -> None:
        self._stack = stack
        self._redis = redis
        self._messages = 0
        self._task_ms: list[float] = []

    async def start(self) -> None:
        """Begin to count; raises BenchError where S3 has no metrics."""
        gateway = self._stack.gateway
        gateway.messages_hook, gateway.callbacks_hook = self._enqueue, self._bring
        self._before, self._calls_before = await self._counts(), self._calls()

    async def traffic(self, items: int) -> Traffic:
        """Return what was counted, an item."""
        calls = self._calls() - self._calls_before
        collect_ms = [1000 * record.seconds for record in self._stack.gateway.callback_log[-len(self._task_ms) :]]
        before, after = self._before, await self._counts()
        return Traffic(
            http_requests=(self._messages + calls) / items,
            redis_round_trips=(after.redis_reads - before.redis_reads) / items,
            redis_commands=(after.redis_commands - before.redis_commands) / items,
            s3_requests=(sum(after.s3.values()) - sum(before.s3.values())) / items,
            task_p50_ms=median(self._task_ms),
            task_p99_ms=high(self._task_ms),
            collect_p50_ms=median(collect_ms),
            collect_p99_ms=high(collect_ms),
        )

    def _enqueue(self, _message: Message) -> Sequence[float]:
        self._messages += 1
        return (0.0,)

    def _bring(self, callback: Callback) -> Sequence[float]:
        self._task_ms.append(1000 * float(callback.headers["X-Duration-Seconds"]))
        return (0.0,)

    def _calls(self) -> int:
        return sum(function.invocations for function in self._stack.gateway.functions.values())

    async def _counts(self) -> Counts:
        return await read_counts(self._redis, self._stack.s3_service.metrics_url)


def high(values: Sequence[float]) -> float:
    """Return the value that a hundredth of them are above."""
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]


@contextlib.asynccontextmanager
async def meter(stack: LocalStack) -> AsyncIterator[Meter]:
    """Give one that has not started."""
    async with Redis.from_url(stack.redis_url, password=stack.redis_password) as redis:
        yield Meter(stack, redis)
