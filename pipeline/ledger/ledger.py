"""The state of batches in Redis: one typed method a script.

Every key of a batch carries the batch in a hash tag, so a script's keys share a slot, and has a TTL. Times inside
Redis are microseconds by Redis' own clock; the methods take and give seconds.
"""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, Self, cast

import orjson
from redis.asyncio import Redis

from pipeline.answers.envelope import Envelope
from pipeline.identity import Identity
from pipeline.ledger.commands import Control
from pipeline.ledger.index import Index
from pipeline.ledger.measures import bucket_of
from pipeline.ledger.notices import Notifications
from pipeline.ledger.probe import Probing
from pipeline.ledger.redis.client import check_server, open_redis, unavailable
from pipeline.ledger.replies import MICROSECONDS, Brief, Claim, FailVerdict, Lease, Pass, Phase, Repairs, Settled, State
from pipeline.ledger.scripts import DUTY_LEASE, LEDGER_TTL, Scripts, microseconds
from pipeline.metrics import Metrics
from pipeline.spec.submission import Submission
from pipeline.units import MIB

OPENING_LEASE = 60.0
REDUCE_LEASE = 30.0
SEGMENT_OUTCOMES = 1_000
SEGMENT_BYTES = 8 * MIB
LOSSES_ALLOWED = 5
FIRST_CALLS = 10
MOST_RELEASES = 100

_NAMES = (
    *("abandon", "answers", "begin", "brief", "claim", "confirm", "defer", "explain", "extend", "fail", "finish"),
    *("lease", "pace", "phase", "repair", "restore", "segment", "settle", "state"),
)

_NOTHING: Mapping[str, str] = {}

ClaimKind = Literal["new", "queued", "renewed"]
Begun = Literal["running", "paused", "reducing", "lost"]


@dataclass(frozen=True)
class Generation:
    """One to begin. `calls` are those of a task, `again` failures are counted back; times are in seconds.

    `delay` passes before the first release. `final`: what fails in it does not run again by itself. `tolerated`
    failures that are final end the batch when there is one more; None is any number.
    """

    number: int
    tasks: int
    items: int
    deadline: float
    calls: int = 1
    delay: float = 0
    again: int = 0
    final: bool = False
    tolerated: int | None = None


@dataclass(frozen=True)
class End:
    """What an ended batch has: its summary's counts, its outputs' names, what is to be said, its query's answer."""

    succeeded: int
    failed: int
    outputs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sql: str = ""


class Ledger:
    """The ledgers of all batches under one prefix.

    Beside them their `index`, what people ask (`control`), who is told of an end (`notices`), and `probing`.
    """

    def __init__(self, redis: Redis, prefix: str) -> None:
        self.index = Index(redis, prefix)
        self.control = Control(redis, prefix)
        self.notices = Notifications(redis, prefix)
        self.probing = Probing(redis, prefix)
        self._redis = redis
        self._run = Scripts(redis, prefix, *_NAMES).run

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, url: str, password: str | None, prefix: str, metrics: Metrics | None = None
    ) -> AsyncIterator[Self]:
        """Open a pool of connections that lives as long as the context; nothing is sent yet."""
        async with open_redis(url, password, metrics) as redis:
            yield cls(redis, prefix)

    async def ping(self) -> None:
        """Raise UnavailableError unless Redis answers."""
        with unavailable():
            await self._redis.ping()

    async def check_server(self) -> None:
        """Raise UnavailableError when this Redis is too old, or may evict keys."""
        await check_server(self._redis)

    async def claim(
        self,
        batch: str,
        owner: str,
        submission: Submission,
        *,
        ahead: float = 30,
        kind: ClaimKind = "new",
        hand_on: bool = False,
        asked: Mapping[str, str] = _NOTHING,
    ) -> Claim:
        """Claim an id for its opening, or renew the claim; `hand_on` lets a queued opening take it over at once.

        `ahead` are the seconds that a task may wait for its turn, where there is a rate; `asked` is what people had
        asked of a batch that Redis has forgotten.
        """
        spec = submission.spec
        expire_at = int(time.time() + spec.deadline + LEDGER_TTL)
        given = (owner, submission.digest, microseconds(OPENING_LEASE), expire_at, spec.window, spec.function)
        rate = "" if spec.rate is None else spec.rate
        targets = (len(spec.targets), int(spec.reduce is not None), orjson.dumps(spec.shown_targets))
        verdict, epoch = await self._run(
            *("claim", batch, *given, kind, int(hand_on), rate, ahead, orjson.dumps(asked), int(submission.epoch, 16)),
            *targets,
        )
        return Claim(verdict.decode(), epoch.decode())

    async def abandon(self, batch: str, owner: str, reason: str = "") -> bool:
        """Give up an opening: with a reason the batch ends as failed, without one its id is free again."""
        return bool(await self._run("abandon", batch, owner, reason))

    async def begin(self, batch: str, owner: str, new: Generation) -> tuple[Begun, list[int]]:
        """Begin a generation; returns its verdict and the tasks of the first window, which are due until confirmed."""
        verdict, *release = await self._run(
            *("begin", batch, owner, new.number, new.tasks, new.items, new.deadline, microseconds(new.delay)),
            *(microseconds(DUTY_LEASE), new.again, new.calls, int(new.final)),
            "" if new.tolerated is None else new.tolerated,
        )
        return verdict.decode(), release

    async def restore(
        self, batch: str, owner: str, fields: Mapping[str, str], settled: bytes, tasks: int, remaining: int
    ) -> Begun:
        """Rebuild a lost ledger under the claim of `owner`; `settled` is the bitmap, the first task its highest bit.

        What is due then is found by the sweep.
        """
        arguments = (owner, orjson.dumps(fields), tasks, settled, remaining)
        return cast("Begun", (await self._run("restore", batch, *arguments)).decode())

    async def explain(self, batch: str, trouble: str, excused: str = "") -> None:
        """Say in the ledger what an opening or a reduce stumbled over; it is tried again.

        `excused` is the owner of a reduce that does not count among those begun: the fault was not in what it does.
        """
        await self._run("explain", batch, trouble, excused)

    async def settle(
        self, identity: Identity, envelope: Envelope, answer: bytes, seconds: float | None = None
    ) -> Settled:
        """Record a task's first answer, count it, and take on the duties that follow; it took so many seconds."""
        reply = await self._run(
            *("settle", identity.batch, identity.generation, identity.task, identity.attempt),
            *(envelope.succeeded, envelope.failed, envelope.not_found, answer),
            *(SEGMENT_OUTCOMES, SEGMENT_BYTES, microseconds(DUTY_LEASE), FIRST_CALLS, identity.epoch),
            *(envelope.retryable, "" if seconds is None else bucket_of(seconds)),
            *(part for kind in envelope.failures for part in kind.arguments(identity.generation)),
        )
        verdict, function, segment, reduce, *release = reply
        segment = segment if segment >= 0 else None
        return Settled(verdict.decode(), function.decode(), segment, bool(reduce), tuple(release))

    async def fail(self, identity: Identity, attempts: int, backoff: float) -> FailVerdict:
        """Count a callback without a usable answer; on 'retry' the task is due again after `backoff` seconds.

        `attempts` of these make it 'exhausted'; 0 does not count this one.
        """
        attempt = (identity.generation, identity.task, identity.attempt)
        arguments = (*attempt, attempts, microseconds(backoff), identity.epoch)
        (verdict,) = await self._run("fail", identity.batch, *arguments)
        return cast("FailVerdict", verdict.decode())

    async def extend(self, identity: Identity) -> None:
        """Keep the task from being found lost for a while: the queue-worker itself tries it again."""
        await self._run("extend", identity.batch, identity.generation, identity.task, identity.epoch)

    async def confirm(self, batch: str, generation: int, epoch: str) -> None:
        """The first window of a generation is released: the gateway took each message, or it was deferred."""
        await self._run("confirm", batch, generation, epoch)

    async def defer(self, of: Pass, tasks: Sequence[int], backoff: float) -> None:
        """The gateway refused these releases: they stay due, in `backoff` seconds."""
        await self._run("defer", of.batch, of.generation, of.epoch, microseconds(backoff), *tasks)

    async def segment_answers(self, batch: str, generation: int, segment: int) -> tuple[str, list[bytes]]:
        """Return the epoch and the answers of a segment, in the order they settled; none when it is written already."""
        epoch, *answers = await self._run("answers", batch, generation, segment)
        return epoch.decode(), answers

    async def segment_written(self, batch: str, generation: int, segment: int, epoch: str) -> None:
        """The segment is in S3: drop its outcomes and the duty to write it."""
        await self._run("segment", batch, generation, segment, int(time.time() + LEDGER_TTL), epoch)

    async def lease(self, batch: str, owner: str, generation: int) -> Lease:
        """Take or renew the reduce's lease for 30 s."""
        verdict, begun, *segments = await self._run("lease", batch, owner, generation, microseconds(REDUCE_LEASE))
        return Lease(verdict.decode(), tuple(segments), begun)

    async def finish(self, batch: str, owner: str, generation: int, end: End) -> str:
        """End the batch; returns its final state, or '' when the lease was lost."""
        said = (end.succeeded, end.failed, orjson.dumps(end.outputs), orjson.dumps(end.notes), end.sql)
        arguments = (owner, generation, int(time.time() + LEDGER_TTL), *said)
        return str((await self._run("finish", batch, *arguments)).decode())

    async def pace(self, batch: str, longest: float) -> float | None:
        """Reserve the turn of one call by the batch's rate; returns the seconds until then, None past `longest`."""
        delay = await self._run("pace", batch, microseconds(longest))
        return None if delay < 0 else delay / MICROSECONDS

    async def repair(self, batch: str, silence: float, shortest: float) -> Repairs:
        """Sweep one batch; `silence` seconds make a taken message lost, two sweeps are `shortest` seconds apart."""
        arguments = (microseconds(silence), microseconds(DUTY_LEASE), LOSSES_ALLOWED, MOST_RELEASES)
        reply = await self._run("repair", batch, *arguments, int(time.time() + LEDGER_TTL), microseconds(shortest))
        return Repairs.read(reply)

    async def state(self, batch: str) -> State | None:
        """Return the batch's state, None when there is no ledger."""
        reply = await self._run("state", batch)
        return State.read(reply) if reply else None

    async def brief(self, batch: str) -> Brief | None:
        """Return what a list says of the batch, None when there is no ledger."""
        return Brief.read(await self._run("brief", batch))

    async def phase(self, batch: str) -> Phase | None:
        """Return where the batch stands, None when there is no ledger."""
        state, generation, epoch, rate = await self._run("phase", batch)
        return Phase(state.decode(), int(generation or 0), (epoch or b"").decode(), bool(rate)) if state else None
