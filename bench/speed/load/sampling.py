"""Samples of a running stack, one a second."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import psutil

from bench.kit.errors import BenchError
from bench.kit.processes import MIB
from bench.kit.stack import pids
from bench.speed.load.figures import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redis.asyncio import Redis

    from pipeline.client import Pipeline, Progress
    from pipeline.local.openfaas.message_queue import Message
    from pipeline.local.openfaas.queue_worker import CallbackRecord
    from pipeline.local.stack import LocalStack

SECONDS = 1.0


class Deepest:
    """A hook of the queue that changes nothing and records its largest depth."""

    def __init__(self, stack: LocalStack) -> None:
        self.depth = 0
        self._gateway = stack.gateway
        self._gateway.messages_hook = self

    def __call__(self, _message: Message, /) -> Sequence[float]:
        """Record the depth, with the message that arrives."""
        self.depth = max(self.depth, self._gateway.queue_depth() + 1)
        return (0.0,)


class Sampler:
    """Takes samples; `statuses` are the last progress by batch, `refused` the callbacks without a 200."""

    def __init__(self, stack: LocalStack, pipeline: Pipeline, redis: Redis) -> None:
        self.samples: list[Sample] = []
        self.statuses: dict[str, Progress] = {}
        self.refused = 0
        self._stack = stack
        self._pipeline = pipeline
        self._redis = redis
        replicas = {f"replica {number}": pid for number, pid in enumerate(stack.pids("pipeline"), 1)}
        services = {name: pid for name, (pid,) in pids(stack, ()).items() if name != "gateway"}
        self._processes = {name: psutil.Process(pid) for name, pid in {**replicas, **services}.items()}
        self._started = time.monotonic()
        self._last: CallbackRecord | None = next(reversed(stack.gateway.callback_log), None)

    @property
    def done(self) -> int:
        """Items counted so far."""
        return sum(status.succeeded + status.failed for status in self.statuses.values())

    async def look(self, batches: Sequence[str]) -> Sample:
        """Take one sample; raises BenchError when a process has ended, CallError when a status cannot be read."""
        unfinished = [batch for batch in batches if batch not in self.statuses or not self.statuses[batch].over]
        statuses = await asyncio.gather(*(self._pipeline.batch(batch).status() for batch in unfinished))
        self.statuses.update(zip(unfinished, statuses, strict=True))
        sample = Sample(
            seconds=time.monotonic() - self._started,
            done=self.done,
            ended=sum(status.over for status in self.statuses.values()),
            waiting=self._stack.gateway.queue_depth(),
            collects_ms=tuple(self._collects()),
            rss_mb=self._rss(),
            redis_mb=(await self._redis.info("memory"))["used_memory"] / MIB,
            keys=await self._redis.dbsize(),
        )
        self.samples.append(sample)
        return sample

    async def follow(self, batches: Sequence[str], report: Callable[[int], None]) -> None:
        """Take a sample a second until all batches have ended; `report` gets the number of counted items each time."""
        while True:
            sample = await self.look(batches)
            report(sample.done)
            if sample.ended == len(batches):
                return
            await asyncio.sleep(SECONDS)

    async def rest(self, seconds: float) -> None:
        """Take a sample a second after the end."""
        for _ in range(round(seconds / SECONDS)):
            await asyncio.sleep(SECONDS)
            await self.look(list(self.statuses))

    def _collects(self) -> list[float]:
        """Return the callbacks since the last sample; the log keeps 10,000, more than two cores answer in a second."""
        new = []
        for record in reversed(self._stack.gateway.callback_log):
            if record is self._last:
                break
            new.append(record)
        if new:
            self._last = new[0]
        self.refused += sum(record.status != 200 for record in new)  # noqa: PLR2004
        return [1000 * record.seconds for record in new]

    def _rss(self) -> dict[str, float]:
        try:
            return {name: process.memory_info().rss / MIB for name, process in self._processes.items()}
        except psutil.NoSuchProcess as error:
            raise BenchError(f"a process ended during the run: {error}") from error
