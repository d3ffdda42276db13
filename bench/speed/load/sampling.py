"""Samples of a running stack, one a second."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from bench.kit.processes import Memory
from bench.kit.stack import pids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.kit.stack import Site
    from pipeline.client import Progress
    from pipeline.local.openfaas.message_queue import Message
    from pipeline.local.openfaas.queue_worker import CallbackRecord

SECONDS = 1.0
OK = 200


class Sampler:
    """Takes samples: rows of the results. `statuses` are the last progress by batch."""

    def __init__(self, site: Site) -> None:
        self.samples: list[dict[str, Any]] = []
        self.statuses: dict[str, Progress] = {}
        self._site = site
        replicas = {f"replica_{number}": (pid,) for number, pid in enumerate(site.stack.pids("pipeline"), 1)}
        services = {name: group for name, group in pids(site.stack, ()).items() if name != "gateway"}
        self._memory = Memory({**replicas, **services})
        self._started = time.monotonic()
        self._last: CallbackRecord | None = next(reversed(site.stack.gateway.callback_log), None)
        self._deepest = 0
        site.stack.gateway.messages_hook = self._enqueued

    @classmethod
    async def start(cls, site: Site) -> Sampler:
        """Take a first sample, before anything runs."""
        sampler = cls(site)
        await sampler.look([])
        return sampler

    @property
    def done(self) -> int:
        """Items counted so far."""
        return sum(status.succeeded + status.failed for status in self.statuses.values())

    async def look(self, batches: Sequence[str]) -> None:
        """Take one sample; raises BenchError when a process has ended, CallError when a status cannot be read.

        `collect_ms` are the milliseconds of the callbacks answered since the sample before, `messages_waiting` the
        deepest queue since then.
        """
        unfinished = [batch for batch in batches if batch not in self.statuses or not self.statuses[batch].over]
        statuses = await asyncio.gather(*(self._site.pipeline.batch(batch).status() for batch in unfinished))
        self.statuses.update(zip(unfinished, statuses, strict=True))
        await self._memory.sample()
        collects = self._collects()
        self.samples.append(
            {
                "seconds": time.monotonic() - self._started,
                "items_done": self.done,
                "batches_ended": sum(status.over for status in self.statuses.values()),
                "messages_waiting": max(self._deepest, self._site.stack.gateway.queue_depth()),
                "collects": len(collects),
                "collect_ms": " ".join(f"{1000 * record.seconds:.0f}" for record in collects),
                "collects_refused": sum(record.status != OK for record in collects),
                "rss_mb": self._memory.samples[-1][1],
            }
        )
        self._deepest = 0

    async def follow(self, batches: Sequence[str]) -> None:
        """Take a sample a second until all batches have ended."""
        await self.look(batches)
        while self.samples[-1]["batches_ended"] < len(batches):
            await asyncio.sleep(SECONDS)
            await self.look(batches)

    async def rest(self, seconds: float) -> None:
        """Take a sample a second after the end."""
        for _ in range(round(seconds / SECONDS)):
            await asyncio.sleep(SECONDS)
            await self.look(list(self.statuses))

    def _enqueued(self, _message: Message, /) -> Sequence[float]:
        self._deepest = max(self._deepest, self._site.stack.gateway.queue_depth() + 1)
        return (0.0,)

    def _collects(self) -> list[CallbackRecord]:
        """Return the callbacks since the last sample; the log keeps 10,000, more than two cores answer in a second."""
        new: list[CallbackRecord] = []
        for record in reversed(self._site.stack.gateway.callback_log):
            if record is self._last:
                break
            new.append(record)
        self._last = new[0] if new else self._last
        return new
