"""The index of batches in Redis: open ones, ended ones with targets still to be notified, the newest ended ones.

A mark beside it is missing when Redis has lost its memory.
"""

import time
from collections.abc import Mapping
from typing import cast

from redis.asyncio import Redis

from pipeline.ledger.redis.client import unavailable
from pipeline.ledger.scripts import LEDGER_TTL

SURVEY_LEASE = 30
SURVEY_INTERVAL = 300
REMEMBERED = 1_000


class Index:
    """The batches under one prefix: the sweep goes through the open ones, people find the newest ended ones."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._open = f"{prefix}:open"
        self._notifying = f"{prefix}:telling"
        self._ended = f"{prefix}:ended"
        self._epoch = f"{prefix}:epoch"

    async def add_open(self, batch: str) -> None:
        """Add an open batch; one that is there keeps its place."""
        with unavailable():
            await self._redis.zadd(self._open, {batch: time.time()}, nx=True)
            await self._redis.expire(self._open, LEDGER_TTL)

    async def remove(self, batch: str) -> None:
        """Remove a batch from the open and the notifying ones."""
        with unavailable():
            await self._redis.zrem(self._open, batch)
            await self._redis.zrem(self._notifying, batch)

    async def add_notifying(self, batch: str) -> None:
        """Add an ended batch with targets still to be notified, and remove it from the open ones: S3 has its end."""
        with unavailable():
            await self._redis.zadd(self._notifying, {batch: time.time()}, nx=True)
            await self._redis.expire(self._notifying, LEDGER_TTL)
            await self._redis.zrem(self._open, batch)

    async def notifying(self) -> list[str]:
        """Return the ended batches with targets still to be notified."""
        with unavailable():
            rows = await self._redis.zrange(self._notifying, 0, -1)
            if rows:
                await self._redis.expire(self._notifying, LEDGER_TTL)
        return [name.decode() for name in cast("list[bytes]", rows)]

    async def add_ended(self, batches: Mapping[str, float]) -> None:
        """Add ended batches with their ends, in seconds since 1970; only the newest 1,000 stay."""
        with unavailable():
            await self._redis.zadd(self._ended, dict(batches))
            await self._redis.zremrangebyrank(self._ended, 0, -REMEMBERED - 1)
            await self._redis.expire(self._ended, LEDGER_TTL)

    async def remove_ended(self, batch: str) -> None:
        """Remove a deleted batch from the ended ones."""
        with unavailable():
            await self._redis.zrem(self._ended, batch)

    async def ended(self, limit: int) -> list[tuple[str, float]]:
        """Return the newest ended batches, the newest first, each with the time of its end."""
        with unavailable():
            rows = await self._redis.zrevrange(self._ended, 0, limit - 1, withscores=True)
        return [(name.decode(), float(score)) for name, score in cast("list[tuple[bytes, float]]", rows)]

    async def open_batches(self, limit: int = 0) -> list[tuple[str, float]]:
        """Return the open batches, the oldest first, each with the time when it was added; `limit` 0 is all."""
        with unavailable():
            rows = await self._redis.zrange(self._open, 0, limit - 1, withscores=True)
            if rows:
                await self._redis.expire(self._open, LEDGER_TTL)
        return [(name.decode(), float(score)) for name, score in cast("list[tuple[bytes, float]]", rows)]

    async def begin_survey(self) -> bool:
        """Return whether the caller is to compare the index with the open batches in S3 now.

        The mark expires, so that a survey is due now and then, and at once when Redis has lost its memory.
        """
        with unavailable():
            if await self._redis.exists(self._epoch):
                return False
            return bool(await self._redis.set(self._epoch, str(time.time()), nx=True, ex=SURVEY_LEASE))

    async def end_survey(self) -> None:
        """Note that the survey is made: the next one is due when the mark expires."""
        with unavailable():
            await self._redis.set(self._epoch, str(time.time()), ex=SURVEY_INTERVAL)
