"""The state of batches in Redis: one typed method a script.

Every key of a batch carries the batch in a hash tag, so a script's keys share a slot, and has a TTL. Times inside
Redis are microseconds by Redis' own clock; the methods take and give seconds.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, Literal, Self, cast

from redis.asyncio import Redis

from pipeline.answers.envelope import Envelope
from pipeline.identity import Identity
from pipeline.ledger.arguments import NewGeneration, Published
from pipeline.ledger.control import MISSING_PATIENCE, Control
from pipeline.ledger.index import Index
from pipeline.ledger.measures import bucket_of
from pipeline.ledger.notices import NoticeBoard
from pipeline.ledger.probe import Probes
from pipeline.ledger.redis.client import check_server, open_redis, unavailable
from pipeline.ledger.replies import (
    Claim,
    FailVerdict,
    GenerationRef,
    Lease,
    Overview,
    Phase,
    Repairs,
    Settled,
    Start,
    State,
)
from pipeline.ledger.scripts import DUTY_LEASE, LEDGER_TTL, Scripts
from pipeline.metrics import Metrics
from pipeline.spec.submission import Submission
from pipeline.units import MIB

OPENING_LEASE = 60.0
REDUCE_LEASE = 30.0
# Of a task that failed, before its next release.
LONGEST_BACKOFF = 60.0
SEGMENT_OUTCOMES = 1_000
SEGMENT_BYTES = 8 * MIB
LOSSES_ALLOWED = 5
# A queue that answers sooner as a rule is looked at when no answer comes for so long.
QUICKEST = 5.0
FIRST_CALLS = 10
MOST_RELEASES = 100

_NOTHING: Mapping[str, str] = {}

ClaimKind = Literal["new", "queued", "renewed"]
Begun = Literal["running", "paused", "reducing", "lost"]


class Ledger:
    """The ledgers of all batches under one prefix.

    Beside them the `index` of batches, `control` for people, `notices` of ends, and `probes` for `doctor`.
    """

    def __init__(self, redis: Redis, prefix: str) -> None:
        self.index = Index(redis, prefix)
        scripts = Scripts(redis, prefix)
        self.control = Control(scripts)
        self.notices = NoticeBoard(scripts)
        self.probes = Probes(redis, prefix)
        self._redis = redis
        self._run = scripts.run

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
        requested: Mapping[str, str] = _NOTHING,
    ) -> Claim:
        """Claim an id for its opening, or renew the claim; `hand_on` lets a queued opening take it over at once.

        `ahead` are the seconds that a task may wait for its turn, where there is a rate; `requested` are fields that
        people had set of a batch that Redis has lost.
        """
        spec = submission.spec
        reply = await self._run(
            "claim",
            batch,
            owner=owner,
            digest=submission.digest,
            claim_lease=OPENING_LEASE,
            ttl=LEDGER_TTL + spec.deadline,
            window=spec.window,
            model_function=spec.function,
            kind=kind,
            hand_on=hand_on,
            rate=spec.rate,
            ahead=ahead,
            requested=requested,
            epoch_before=int(submission.epoch, 16),
            targets=len(spec.targets),
            reduces=spec.reduce is not None,
            shown=spec.shown_targets,
        )
        return Claim(**reply)

    async def abandon(self, batch: str, owner: str, reason: str = "") -> bool:
        """Give up an opening: with a reason the batch ends as failed, without one its id is free again."""
        return bool(await self._run("abandon", batch, owner=owner, reason=reason, claim_lease=OPENING_LEASE))

    async def begin(self, batch: str, owner: str, new: NewGeneration) -> tuple[Begun, list[int]]:
        """Begin a generation; returns its verdict and the tasks of the first window, which are due until confirmed."""
        reply = await self._run("begin", batch, owner=owner, duty_lease=DUTY_LEASE, **asdict(new))
        return reply["verdict"], list(reply["release"])

    async def restore(
        self, batch: str, owner: str, fields: Mapping[str, str], settled: bytes, tasks: int, remaining: int
    ) -> Begun:
        """Rebuild a lost ledger under the claim of `owner`; `settled` is the bitmap, the first task its highest bit.

        The next sweep finds what is due.
        """
        of = {"owner": owner, "fields": fields, "tasks": tasks}
        return cast("Begun", await self._run("restore", batch, settled=settled, remaining=remaining, **of))

    async def note_trouble(self, batch: str, owner: str, trouble: str, *, excused: bool = False) -> None:
        """Note why the opening or the reduce of `owner` did not succeed; it is tried again.

        A reduce that is `excused` is not counted among those begun: the fault was not its own.
        """
        await self._run("note_trouble", batch, owner=owner, trouble=trouble, excused=excused)

    async def start_task(self, identity: Identity, run_lease: float) -> Start:
        """Lease the run of a task for `run_lease` seconds, unless the task is settled, or runs now."""
        of = {**_task(identity), "attempt": identity.attempt}
        return Start(**await self._run("start_task", identity.batch, run_lease=run_lease, **of))

    async def settle(
        self, identity: Identity, envelope: Envelope, answer: bytes, seconds: float | None = None
    ) -> Settled:
        """Record a task's first answer, count it, and take on the duties that follow; the task took `seconds`."""
        reply = await self._run(
            "settle",
            identity.batch,
            *(part for kind in envelope.failures for part in kind.arguments(identity.generation)),
            **_task(identity),
            attempt=identity.attempt,
            succeeded=envelope.succeeded,
            failed=envelope.failed,
            not_found=envelope.not_found,
            retryable=envelope.retryable,
            answer=answer,
            bucket=None if seconds is None else bucket_of(seconds),
            most_outcomes=SEGMENT_OUTCOMES,
            most_bytes=SEGMENT_BYTES,
            first_calls=FIRST_CALLS,
            duty_lease=DUTY_LEASE,
        )
        return Settled(**reply)

    async def fail(self, identity: Identity, attempts: int, backoff: float) -> FailVerdict:
        """Count a callback without a usable answer; on 'retry' the task is due again after `backoff` seconds.

        `attempts` of these make it 'exhausted'; 0 does not count this one.
        """
        of = {**_task(identity), "attempt": identity.attempt}
        return cast("FailVerdict", await self._run("fail", identity.batch, attempts=attempts, backoff=backoff, **of))

    async def extend(self, identity: Identity) -> None:
        """Keep the task from being found lost for a while: the queue-worker tries it again by itself."""
        await self._run("extend", identity.batch, **_task(identity))

    async def confirm_window(self, batch: str, generation: int, epoch: str) -> None:
        """The first window of a generation is released: the gateway accepted each message, or it was deferred."""
        await self._run("confirm_window", batch, generation=generation, epoch=epoch)

    async def defer(self, of: GenerationRef, tasks: Sequence[int], backoff: float) -> None:
        """The gateway refused these releases: they are due again in `backoff` seconds."""
        await self._run("defer", of.batch, *tasks, generation=of.generation, epoch=of.epoch, backoff=backoff)

    async def read_segment(self, batch: str, generation: int, segment: int) -> tuple[str, list[bytes]]:
        """Return the epoch and the answers of a segment, in the order they settled; none when it is written already."""
        reply = await self._run("read_segment", batch, generation=generation, segment=segment)
        return reply["epoch"], list(reply["answers"])

    async def segment_written(self, batch: str, generation: int, segment: int, epoch: str) -> None:
        """The segment is in S3: drop its outcomes and the duty to write it."""
        of = {"generation": generation, "segment": segment, "epoch": epoch}
        await self._run("segment_written", batch, ttl=LEDGER_TTL, **of)

    async def lease_reduce(self, batch: str, owner: str, generation: int, *, renewal: bool = False) -> Lease:
        """Take the lease of the reduce for 30 s, or only renew it."""
        of = {"owner": owner, "generation": generation, "renewal": renewal}
        return Lease(**await self._run("lease_reduce", batch, reduce_lease=REDUCE_LEASE, **of))

    async def finish(self, batch: str, owner: str, generation: int, published: Published) -> str:
        """End the batch; returns its final state, or '' when the lease was lost.

        After a cancel that the outputs do not say the state stays `reducing`, and the reduce is due again.
        """
        of = {"owner": owner, "generation": generation}
        return str(await self._run("finish", batch, ttl=LEDGER_TTL, **of, **asdict(published)))

    async def reserve_call(self, batch: str, longest: float) -> float | None:
        """Reserve the turn of one call by the batch's rate; returns the seconds until then, None past `longest`."""
        return cast("float | None", await self._run("reserve_call", batch, longest=longest))

    async def repair(self, batch: str, silence: float, shortest: float, worker_retries: float = 0) -> Repairs:
        """Sweep one batch; `silence` seconds make a taken message lost, two sweeps are `shortest` seconds apart.

        A direct call, which the queue-worker may repeat by itself, is lost after `worker_retries` seconds more.
        """
        times = {
            "silence": silence,
            "quickest": QUICKEST,
            "worker_retries": worker_retries,
            "shortest": shortest,
            "duty_lease": DUTY_LEASE,
            "opening_lease": OPENING_LEASE,
            "patience": MISSING_PATIENCE,
            "longest_backoff": LONGEST_BACKOFF,
            "ttl": LEDGER_TTL,
        }
        limits = {"losses_allowed": LOSSES_ALLOWED, "most_releases": MOST_RELEASES}
        return Repairs(**await self._run("repair", batch, **times, **limits))

    async def state(self, batch: str) -> State | None:
        """Return the batch's state, None when there is no ledger."""
        reply = await self._run("state", batch)
        return State(**reply) if reply else None

    async def overview(self, batch: str) -> Overview | None:
        """Return the batch's entry in a list, None when there is no ledger."""
        reply = await self._run("overview", batch)
        return Overview(**reply) if reply["state"] else None

    async def phase(self, batch: str) -> Phase | None:
        """Return where the batch stands, None when there is no ledger."""
        reply = await self._run("phase", batch)
        return Phase(**reply) if reply["state"] else None


def _task(identity: Identity) -> dict[str, Any]:
    return {"generation": identity.generation, "task": identity.task, "epoch": identity.epoch}
