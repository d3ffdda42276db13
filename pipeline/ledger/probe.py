"""Questions of `doctor` to Redis: the INFO of the servers, their clock, and the steps that a probe has reached."""

from collections.abc import Mapping
from typing import Any, Literal, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from pipeline.ledger.redis.client import server_infos, unavailable

PROBE_TTL = 60
Step = Literal["invoked", "called back"]
STEPS: tuple[Step, ...] = ("invoked", "called back")


class Probes:
    """The probes under one prefix; each method raises UnavailableError."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix

    async def servers(self) -> list[Mapping[str, Any]]:
        """Return INFO of the server, or of each primary of a cluster."""
        with unavailable():
            return await server_infos(self._redis)

    async def saves(self) -> bool | None:
        """Return whether Redis writes snapshots to its disk, None where its user may not read the setting."""
        try:
            answer = cast("dict[str, str]", await self._redis.config_get("save"))
        except RedisError:
            return None
        return bool(answer.get("save"))

    async def clock(self) -> float:
        """Return Redis' time in seconds since 1970."""
        with unavailable():
            reply: Any = await self._redis.time()
        # The client of a cluster asks each node.
        seconds, microseconds = next(iter(reply.values())) if isinstance(reply, dict) else reply
        return float(seconds) + float(microseconds) / 1e6

    async def begin(self, probe: str) -> None:
        """Expect the steps of a probe for a minute: a step of an unexpected probe is not noted."""
        with unavailable():
            for step in STEPS:
                await self._redis.set(self._key(probe, step), "", ex=PROBE_TTL)

    async def note(self, probe: str, step: Step, detail: str) -> bool:
        """Note that a probe has reached a step; returns False for an unexpected probe."""
        with unavailable():
            return bool(await self._redis.set(self._key(probe, step), detail, xx=True, keepttl=True))

    async def seen(self, probe: str) -> dict[Step, str]:
        """Return the steps that a probe has reached, each with its detail."""
        with unavailable():
            details: list[Any] = await self._redis.mget([self._key(probe, step) for step in STEPS])
        return {step: value.decode() for step, value in zip(STEPS, details, strict=True) if value}

    async def end(self, probe: str) -> None:
        """Forget a probe."""
        with unavailable():
            await self._redis.delete(*(self._key(probe, step) for step in STEPS))

    def _key(self, probe: str, step: Step) -> str:
        return f"{self._prefix}:doctor:{{{probe}}}:{step}"
