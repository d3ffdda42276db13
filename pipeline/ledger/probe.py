"""What `doctor` asks Redis: the servers as they describe themselves, their clock, and what became of a probe."""

from collections.abc import Mapping
from typing import Any, Literal, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from pipeline.ledger.redis.client import server_infos, unavailable

PROBE_TTL = 60
Step = Literal["invoked", "called back"]
STEPS: tuple[Step, ...] = ("invoked", "called back")


class Probes:
    """Asks under one prefix; each method raises UnavailableError."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix

    async def servers(self) -> list[Mapping[str, Any]]:
        """Return INFO of the server, or of each primary of a cluster."""
        with unavailable():
            return await server_infos(self._redis)

    async def saves(self) -> bool | None:
        """Say whether it writes snapshots to its disk, None where its user may not know."""
        try:
            answer = cast("dict[str, str]", await self._redis.config_get("save"))
        except RedisError:
            return None
        return bool(answer.get("save"))

    async def clock(self) -> float:
        """Return Redis' time in seconds since 1970."""
        with unavailable():
            reply: Any = await self._redis.time()
        # A cluster's client asks each node.
        seconds, microseconds = next(iter(reply.values())) if isinstance(reply, dict) else reply
        return float(seconds) + float(microseconds) / 1e6

    async def begin(self, probe: str) -> None:
        """Wait for the steps of a probe, for a minute: a step of one that nobody waits for is not noted."""
        with unavailable():
            for step in STEPS:
                await self._redis.set(self._key(probe, step), "", ex=PROBE_TTL)

    async def note(self, probe: str, step: Step, said: str) -> bool:
        """Note that a probe has come so far; says whether somebody waits for it."""
        with unavailable():
            return bool(await self._redis.set(self._key(probe, step), said, xx=True, keepttl=True))

    async def seen(self, probe: str) -> dict[Step, str]:
        """Return how far a probe has come, with what was said of each step."""
        with unavailable():
            said: list[Any] = await self._redis.mget([self._key(probe, step) for step in STEPS])
        return {step: value.decode() for step, value in zip(STEPS, said, strict=True) if value}

    async def end(self, probe: str) -> None:
        """Forget a probe."""
        with unavailable():
            await self._redis.delete(*(self._key(probe, step) for step in STEPS))

    def _key(self, probe: str, step: Step) -> str:
        return f"{self._prefix}:doctor:{{{probe}}}:{step}"
