"""The real ledger of one batch, a loop to drive it from synchronous tests, and a clock that tests can advance."""

import asyncio
from collections.abc import Awaitable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import pytest
import uvloop
from redis.asyncio import Redis
from redis.typing import ScriptTextT

from pipeline.ledger.keys import batch_keys
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.scripts import Scripts
from pipeline.ledger.states import EXPIRY, NONE
from pipeline.local.services.redis_and_s3 import redis_server
from pipeline.units import microseconds

T = TypeVar("T")

PREFIX, BATCH = "model", "batch"
KEYS = batch_keys(PREFIX, BATCH)
ROOT = KEYS[0]

# The clock of the scripts is a counter in Redis, so nothing depends on the speed of this machine: each script takes a
# microsecond, and tests advance it further.
_TIME = "call('TIME')"
_CLOCK = "clock"
_COUNTER = "{0, call('INCR', 'clock')}"
# Far in the future of the clock by which Redis lets keys expire.
_START = 4_000_000_000_000_000

_READ_VIEW = """
local expiries = {}
for n, key in ipairs(KEYS) do expiries[n] = redis.call('EXPIRETIME', key) end
return {redis.call('GET', 'clock'), redis.call('HGETALL', KEYS[1]), redis.call('GET', KEYS[2]) or '',
  redis.call('LRANGE', KEYS[3], 0, -1), redis.call('ZRANGE', KEYS[4], 0, -1, 'WITHSCORES'),
  redis.call('ZRANGE', KEYS[5], 0, -1, 'WITHSCORES'), redis.call('GET', KEYS[6]) or '0',
  redis.call('HGETALL', KEYS[7]), expiries, redis.call('KEYS', '*'), redis.call('HGETALL', KEYS[10])}
"""


@dataclass(frozen=True)
class RedisView:
    """Everything that Redis has of the batch. Times of sorted sets are seconds from now, to the nearest ten."""

    fields: dict[str, str]
    settled: frozenset[int]
    outcomes: list[bytes]
    in_flight: dict[int, float]
    due: dict[str, float]
    remaining: int
    attempts: dict[str, int]
    expiries: list[int]
    keys: frozenset[str]
    notices: dict[str, str]
    now: float
    raw: list[Any]

    def age(self, name: str) -> float:
        """A time of the hash in seconds from now, to the nearest ten."""
        return float(round(float(self.fields[name]) / 1e6 - self.now, -1))


class _ClockedRedis(Redis):
    """Runs scripts with the counter as their clock."""

    def register_script(self, script: ScriptTextT) -> Any:
        return super().register_script(str(script).replace(_TIME, _COUNTER))


class World:
    """Redis with one batch in it."""

    def __init__(self, runner: asyncio.Runner, redis: Redis) -> None:
        self.ledger = Ledger(redis, PREFIX)
        self.control = self.ledger.control
        # All changes of the batch's state, over all runs of the machine: before, after, and the script.
        self.changes: set[tuple[str, str, str]] = set()
        self._state = NONE
        self._runner = runner
        self._redis = redis
        self._view_script = redis.register_script(_READ_VIEW)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    def pass_time(self, seconds: float) -> None:
        self.run(self._pass(seconds))

    async def _pass(self, seconds: float) -> None:
        await self._redis.incrby(_CLOCK, microseconds(seconds))

    async def record(self, script: str, reply: Awaitable[T]) -> T:
        """Wait for the reply of a script, and note how it changed the batch's state."""
        answer = await reply
        await self._note_change(script)
        return answer

    async def _note_change(self, script: str) -> None:
        state = cast("bytes | None", await self._redis.hget(ROOT, "state"))
        before, self._state = self._state, state.decode() if state else NONE
        if self._state != before:
            self.changes.add((before, self._state, script))

    def lose_redis(self) -> None:
        """Redis loses all data except the clock."""
        self.run(self._lose_redis())

    async def _lose_redis(self) -> None:
        clock = await self._redis.get(_CLOCK)
        await self._redis.flushdb()
        await self._redis.set(_CLOCK, clock or _START)
        await self._note_change(EXPIRY)

    def read_view(self) -> RedisView:
        return self.run(self._read_view())

    async def _read_view(self) -> RedisView:
        clock, *raw = await self._view_script(keys=KEYS)
        fields, bits, outcomes, in_flight, due, remaining, attempts, expiries, keys, notices = raw
        now = int(clock) / 1e6
        keys.remove(_CLOCK.encode())
        return RedisView(
            fields={name.decode(): value.decode() for name, value in _pairs(fields)},
            settled=frozenset(n for n in range(len(bits) * 8) if bits[n // 8] & (0x80 >> n % 8)),
            outcomes=outcomes,
            in_flight={int(task): round(float(at) / 1e6 - now, -1) for task, at in _pairs(in_flight)},
            due={duty.decode(): round(float(at) / 1e6 - now, -1) for duty, at in _pairs(due)},
            remaining=int(remaining),
            attempts={name.decode(): int(value) for name, value in _pairs(attempts)},
            expiries=expiries,
            keys=frozenset(key.decode() for key in keys),
            notices={name.decode(): value.decode() for name, value in _pairs(notices)},
            now=now,
            raw=[
                *(sorted(_pairs(fields)), *raw[1:5], int(remaining), sorted(_pairs(attempts)), expiries, sorted(keys)),
                sorted(_pairs(notices)),
            ],
        )


def _pairs(flat: list[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(flat[::2], flat[1::2], strict=True)


@contextmanager
def open_world() -> Iterator[World]:
    """Start a separate Redis, and a loop that lives as long."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, pytest.MonkeyPatch.context() as patch:
        stack = AsyncExitStack()
        run = Scripts.run

        def recorded(scripts: Scripts, script: str, *arguments: Any, **named: Any) -> Coroutine[Any, Any, Any]:
            return world.record(script, run(scripts, script, *arguments, **named))

        patch.setattr(Scripts, "run", recorded)

        async def start() -> Redis:
            server = await stack.enter_async_context(redis_server())
            return await stack.enter_async_context(_ClockedRedis.from_url(server.url, password=server.password))

        redis = runner.run(start())
        try:
            world = World(runner, redis)
            yield world
        finally:
            runner.run(stack.aclose())
