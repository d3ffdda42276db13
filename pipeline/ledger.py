"""The state of batches in Redis: one typed method a script.

Every key of a batch carries the batch in a hash tag, so a script's keys share a slot, and has a TTL. Times inside
Redis are microseconds by Redis' own clock; the methods take and give seconds.
"""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any, Literal, Self, cast

from redis.asyncio import Redis

from pipeline.connection import check_server, open_redis, unavailable
from pipeline.models import MIB, Envelope, Submission
from pipeline.replies import MICROSECONDS, FailVerdict, Lease, Phase, Repairs, Settled, State
from pipeline.signing import Identity

LEDGER_TTL = 7 * 86400
OPENING_LEASE = 60.0
REDUCE_LEASE = 30.0
DUTY_LEASE = 30.0
SEGMENT_OUTCOMES = 1_000
SEGMENT_BYTES = 8 * MIB
LOSSES_ALLOWED = 5
FIRST_CALLS = 10
MOST_RELEASES = 100
ORPHAN_AGE = 600.0

_SCRIPTS = (
    *("abandon", "begin", "cancel", "claim", "confirm", "defer", "explain"),
    *("extend", "fail", "finish", "lease", "repair", "segment", "settle"),
)


class Ledger:
    """The ledgers of all batches under one prefix."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix
        folder = files("pipeline") / "lua"
        common = (folder / "common.lua").read_text()
        self._scripts = {
            name: redis.register_script(common + (folder / f"{name}.lua").read_text()) for name in _SCRIPTS
        }

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, password: str | None, prefix: str) -> AsyncIterator[Self]:
        """Open a pool of connections that lives as long as the context; nothing is sent yet."""
        async with open_redis(url, password) as redis:
            yield cls(redis, prefix)

    def _keys(self, batch: str) -> list[str]:
        root = f"{self._prefix}:{{{batch}}}"
        return [
            root,
            *(f"{root}:{part}" for part in ("settled", "outcomes", "inflight", "due", "remaining", "attempts")),
        ]

    async def _run(self, script: str, batch: str, *arguments: str | bytes | float) -> Any:
        with unavailable():
            return await self._scripts[script](keys=self._keys(batch), args=list(arguments))

    async def ping(self) -> None:
        """Raise UnavailableError unless Redis answers."""
        with unavailable():
            await self._redis.ping()

    async def check_server(self) -> None:
        """Raise UnavailableError when this Redis is too old, or may evict keys."""
        await check_server(self._redis)

    async def note_open(self, batch: str) -> None:
        """Put the batch into the index that the sweep goes through."""
        with unavailable():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.zadd(f"{self._prefix}:open", {batch: time.time()})
                pipe.expire(f"{self._prefix}:open", LEDGER_TTL)
                await pipe.execute()

    async def forget_open(self, batch: str) -> None:
        """Take the batch out of the index."""
        with unavailable():
            await self._redis.zrem(f"{self._prefix}:open", batch)

    async def open_batches(self, limit: int = 1000) -> list[tuple[str, float]]:
        """Return the open batches, the oldest first, each with the time in seconds at which it was noted."""
        with unavailable():
            rows = await self._redis.zrange(f"{self._prefix}:open", 0, limit - 1, withscores=True)
            if rows:
                await self._redis.expire(f"{self._prefix}:open", LEDGER_TTL)
        return [(name.decode(), float(score)) for name, score in cast("list[tuple[bytes, float]]", rows)]

    async def claim(
        self, batch: str, owner: str, submission: Submission, *, queued: bool = False, hand_on: bool = False
    ) -> str:
        """Claim an id for its opening, or renew the claim; `hand_on` lets a `queued` opening take it over at once.

        Returns 'claimed', 'exists', 'conflict', or 'unknown' when a queued opening finds nothing.
        """
        spec = submission.spec
        expire_at = int(time.time() + spec.deadline + LEDGER_TTL)
        arguments = (owner, submission.digest, _us(OPENING_LEASE), expire_at, spec.window, spec.function)
        verdict, _ = await self._run("claim", batch, *arguments, int(queued), int(hand_on))
        return str(verdict.decode())

    async def abandon(self, batch: str, owner: str, reason: str = "") -> bool:
        """Give up an opening: with a reason the batch ends as failed, without one its id is free again."""
        return bool(await self._run("abandon", batch, owner, reason))

    async def begin(  # noqa: PLR0913
        self,
        batch: str,
        owner: str,
        generation: int,
        *,
        tasks: int,
        items: int,
        deadline: float,
        delay: float = 0,
        again: int = 0,
    ) -> tuple[Literal["running", "reducing", "lost"], list[int]]:
        """Begin a generation; returns its verdict and the tasks of the first window, which are due until confirmed.

        `delay` seconds pass before the first release, then by the sweep; `again` failures are counted back.
        """
        arguments = (owner, generation, tasks, items, deadline, _us(delay), _us(DUTY_LEASE), again)
        verdict, *release = await self._run("begin", batch, *arguments)
        return verdict.decode(), release

    async def explain(self, batch: str, trouble: str) -> None:
        """Say in the ledger what an opening or a reduce stumbled over; it is tried again."""
        await self._run("explain", batch, trouble)

    async def settle(self, identity: Identity, envelope: Envelope, answer: bytes) -> Settled:
        """Record a task's first answer, count it, and take on the duties that follow."""
        reply = await self._run(
            *("settle", identity.batch, identity.generation, identity.task, identity.attempt),
            *(envelope.succeeded, envelope.failed, envelope.not_found, answer),
            *(SEGMENT_OUTCOMES, SEGMENT_BYTES, _us(DUTY_LEASE), FIRST_CALLS, identity.epoch),
        )
        verdict, function, segment, reduce, *release = reply
        segment = segment if segment >= 0 else None
        return Settled(verdict.decode(), function.decode(), segment, bool(reduce), tuple(release))

    async def fail(self, identity: Identity, attempts: int, backoff: float) -> FailVerdict:
        """Count a callback without a usable answer; on 'retry' the task is due again after `backoff` seconds.

        `attempts` of these make it 'exhausted'; 0 does not count this one.
        """
        arguments = (identity.generation, identity.task, identity.attempt, attempts, _us(backoff), identity.epoch)
        (verdict,) = await self._run("fail", identity.batch, *arguments)
        return cast("FailVerdict", verdict.decode())

    async def extend(self, identity: Identity) -> None:
        """Keep the task from being found lost for a while: the queue-worker itself tries it again."""
        await self._run("extend", identity.batch, identity.generation, identity.task, identity.epoch)

    async def confirm(self, batch: str, generation: int) -> None:
        """The first window of a generation is released: the gateway took each message, or it was deferred."""
        await self._run("confirm", batch, generation)

    async def defer(self, batch: str, generation: int, tasks: Sequence[int], backoff: float) -> None:
        """The gateway refused these releases: they stay due, in `backoff` seconds."""
        await self._run("defer", batch, generation, _us(backoff), *tasks)

    async def segment_outcomes(self, batch: str, segment: int) -> list[bytes]:
        """Return the answers set aside for a segment, in the order they settled; empty when it is written already."""
        with unavailable():
            return cast("list[bytes]", await self._redis.lrange(f"{self._keys(batch)[2]}:{segment}", 0, -1))

    async def segment_written(self, batch: str, generation: int, segment: int) -> None:
        """The segment is in S3: drop its outcomes and the duty to write it."""
        await self._run("segment", batch, generation, segment, int(time.time() + LEDGER_TTL))

    async def lease(self, batch: str, owner: str, generation: int, upload: str = "", upload_key: str = "") -> Lease:
        """Take or renew the reduce's lease for 30 s; `upload` records a multipart upload before its first part."""
        arguments = (owner, generation, _us(REDUCE_LEASE), upload, upload_key)
        verdict, old, old_key, *segments = await self._run("lease", batch, *arguments)
        return Lease(verdict.decode(), old.decode(), old_key.decode(), tuple(segments))

    async def finish(self, batch: str, owner: str, generation: int, failed: int) -> str:
        """End the batch with `failed` failures; returns its final state, or '' when the lease was lost."""
        ended = await self._run("finish", batch, owner, generation, int(time.time() + LEDGER_TTL), failed)
        return str(ended.decode())

    async def cancel(self, batch: str) -> tuple[str, int, int | None, bool]:
        """Stop releasing; returns the state before ('' for no such batch), generation, segment and reduce duties."""
        state, generation, segment, reduce = await self._run("cancel", batch, _us(DUTY_LEASE))
        return state.decode(), int(generation), segment if segment >= 0 else None, bool(reduce)

    async def repair(self, batch: str, silence: float, shortest: float) -> Repairs:
        """Sweep one batch; `silence` seconds make a taken message lost, two sweeps are `shortest` seconds apart."""
        arguments = (_us(silence), _us(DUTY_LEASE), LOSSES_ALLOWED, MOST_RELEASES)
        reply = await self._run("repair", batch, *arguments, int(time.time() + LEDGER_TTL), _us(shortest))
        state = reply[0].decode()
        if state in {"", "gone"}:
            return Repairs(state)
        _, generation, function, epoch, opening, reduce, segments, release, exhausted = reply
        return Repairs(
            *(state, int(generation or 0), function.decode(), epoch.decode()),
            *(bool(opening), bool(reduce), tuple(segments)),
            release=tuple((int(task), int(attempt)) for task, attempt in release),
            exhausted=tuple(exhausted),
        )

    async def state(self, batch: str) -> State | None:
        """Return the batch's state, None when there is no ledger: four commands in one round trip."""
        keys = self._keys(batch)
        with unavailable():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hgetall(keys[0])
                pipe.zcard(keys[3])
                pipe.get(keys[5])
                pipe.time()
                fields, in_flight, remaining, (seconds, micro) = await pipe.execute()
        if not fields:
            return None
        text = {name.decode(): value.decode() for name, value in fields.items()}
        return State(text, in_flight, int(remaining or 0), seconds + micro / MICROSECONDS)

    async def phase(self, batch: str) -> Phase | None:
        """Return where the batch stands, None when there is no ledger."""
        with unavailable():
            values = await self._redis.hmget(self._keys(batch)[0], ["state", "generation", "epoch"])
        state, generation, epoch = cast("list[bytes | None]", values)
        return Phase(state.decode(), int(generation or 0), (epoch or b"").decode()) if state else None


def _us(seconds: float) -> int:
    return int(seconds * MICROSECONDS)
