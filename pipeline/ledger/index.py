"""The index in Redis of open batches, of those that ended and tell of it, and of the newest ended ones.

And the mark of Redis having lost its memory.
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
    """The open batches under one prefix, which the sweep goes through, and the last that ended, for people to find."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._open = f"{prefix}:open"
        self._telling = f"{prefix}:telling"
        self._ended = f"{prefix}:ended"
        self._epoch = f"{prefix}:epoch"

    async def note(self, batch: str) -> None:
        """Put a batch into the index; one that is there stays where it is."""
        with unavailable():
            await self._redis.zadd(self._open, {batch: time.time()}, nx=True)
            await self._redis.expire(self._open, LEDGER_TTL)

    async def forget(self, batch: str) -> None:
        """Take a batch out of those that are open, or tell of their end."""
        with unavailable():
            await self._redis.zrem(self._open, batch)
            await self._redis.zrem(self._telling, batch)

    async def note_telling(self, batch: str) -> None:
        """Note that a batch has ended, that S3 knows it, and that somebody is still to be told: it is not open."""
        with unavailable():
            await self._redis.zadd(self._telling, {batch: time.time()}, nx=True)
            await self._redis.expire(self._telling, LEDGER_TTL)
            await self._redis.zrem(self._open, batch)

    async def telling(self) -> list[str]:
        """Return the batches that tell of their end."""
        with unavailable():
            rows = await self._redis.zrange(self._telling, 0, -1)
            if rows:
                await self._redis.expire(self._telling, LEDGER_TTL)
        return [name.decode() for name in cast("list[bytes]", rows)]

    async def note_ended(self, batches: Mapping[str, float]) -> None:
        """Remember when batches ended, in seconds since 1970; beyond the newest 1,000 they are forgotten."""
        with unavailable():
            await self._redis.zadd(self._ended, dict(batches))
            await self._redis.zremrangebyrank(self._ended, 0, -REMEMBERED - 1)
            await self._redis.expire(self._ended, LEDGER_TTL)

    async def forget_ended(self, batch: str) -> None:
        """A batch is deleted."""
        with unavailable():
            await self._redis.zrem(self._ended, batch)

    async def ended(self, limit: int) -> list[tuple[str, float]]:
        """Return the newest of the ended batches, the last one first, each with when it ended."""
        with unavailable():
            rows = await self._redis.zrevrange(self._ended, 0, limit - 1, withscores=True)
        return [(name.decode(), float(score)) for name, score in cast("list[tuple[bytes, float]]", rows)]

    async def batches(self, limit: int = 0) -> list[tuple[str, float]]:
        """Return the open batches, the oldest first, each with when it was noted, in seconds; `limit` 0 is all."""
        with unavailable():
            rows = await self._redis.zrange(self._open, 0, limit - 1, withscores=True)
            if rows:
                await self._redis.expire(self._open, LEDGER_TTL)
        return [(name.decode(), float(score)) for name, score in cast("list[tuple[bytes, float]]", rows)]

    async def take_survey(self) -> bool:
        """Say whether it is time, and this caller's turn, to compare the index with what S3 says is open.

        The mark expires, so the comparison is made now and then; where it is missing because Redis has lost its
        memory, at once.
        """
        with unavailable():
            if await self._redis.exists(self._epoch):
                return False
            return bool(await self._redis.set(self._epoch, str(time.time()), nx=True, ex=SURVEY_LEASE))

    async def surveyed(self) -> None:
        """The comparison is made: the next one has time."""
        with unavailable():
            await self._redis.set(self._epoch, str(time.time()), ex=SURVEY_INTERVAL)
