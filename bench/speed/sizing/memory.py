"""What the keys of one batch take of Redis, by kind, while it runs."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from bench.speed.sizing.figures import KEYS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis

BETWEEN_LOOKS = 0.02


class Keys:
    """The most bytes seen of each kind of key: MEMORY USAGE, all of its elements counted."""

    def __init__(self, redis: Redis, batch: str) -> None:
        self.most = dict.fromkeys(KEYS, 0)
        self._redis = redis
        self._tag = f"{{{batch}}}"

    async def look(self) -> int:
        """Take a sample; returns the bytes of all keys of the batch."""
        found: dict[str, int] = {}
        keys = [key.decode() async for key in self._redis.scan_iter(match=f"*{self._tag}*", count=1000)]
        for key in keys:
            kind = key.partition(self._tag)[2].strip(":").split(":")[0] or "ledger"
            kind = kind if kind in KEYS else "other"
            found[kind] = found.get(kind, 0) + (await self._redis.memory_usage(key, samples=0) or 0)
        for kind, size in found.items():
            self.most[kind] = max(size, self.most[kind])
        return sum(found.values())


@contextlib.asynccontextmanager
async def watched_keys(redis: Redis, batch: str) -> AsyncIterator[Keys]:
    """Look again and again while the block runs."""
    keys, ended = Keys(redis, batch), asyncio.Event()

    async def watch() -> None:
        while not ended.is_set():
            await keys.look()
            await asyncio.sleep(BETWEEN_LOOKS)

    watching = asyncio.create_task(watch())
    try:
        yield keys
    finally:
        # Asked and not cancelled: a client of Redis may keep a cancellation to itself.
        ended.set()
        await watching
