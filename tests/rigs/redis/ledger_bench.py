"""One batch in a real ledger: short calls of its scripts, and its keys to read and to age."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis

from pipeline.answers.envelope import Envelope
from pipeline.identity import Identity
from pipeline.ledger.arguments import NewGeneration
from pipeline.ledger.ledger import Begun, Ledger
from pipeline.ledger.replies import FailVerdict, GenerationRef, Repairs, Settled
from pipeline.spec.submission import Submission

SILENCE = 100.0


def submission(
    *, window: int = 128, etag: str = "etag", chunk: int = 1, targets: int = 0, reduces: bool = False
) -> Submission:
    """A submission of one input; another etag or chunk makes it another one.

    `targets` targets are notified of its end; with `reduces`, the first of them is the reduce function.
    """
    fields: dict[str, Any] = {"input": "in.csv", "function": "model", "window": window, "chunk": chunk}
    functions = [f"told-{number}" for number in range(targets)]
    fields |= {"reduce": functions.pop(0)} if reduces else {}
    return Submission(fields | ({"notify": functions} if functions else {}), etag, 1, etag)


@dataclass(frozen=True)
class Bench:
    """A ledger and one batch in it. Seconds are relative to Redis' clock: negative is in the past."""

    ledger: Ledger
    redis: Redis
    prefix: str
    name: str

    def key(self, part: str = "") -> str:
        """The key of the batch's hash, or of a part of it."""
        return f"{self.prefix}:{{{self.name}}}" + (f":{part}" if part else "")

    async def claim(
        self,
        owner: str = "opener",
        *,
        queued: bool = False,
        hand_on: bool = False,
        window: int = 128,
        etag: str = "etag",
        chunk: int = 1,
    ) -> str:
        made = submission(window=window, etag=etag, chunk=chunk)
        return (
            await self.ledger.claim(self.name, owner, made, kind="queued" if queued else "new", hand_on=hand_on)
        ).verdict

    async def begin(
        self,
        generation: int = 0,
        *,
        tasks: int,
        items: int | None = None,
        owner: str = "opener",
        delay: float = 0,
        again: int = 0,
        calls: int = 1,
        final: bool = False,
        direct: bool = False,
        tolerated: int | None = None,
    ) -> tuple[Begun, list[int]]:
        new = NewGeneration(
            generation,
            tasks=tasks,
            items=tasks if items is None else items,
            deadline=3600,
            calls=calls,
            delay=delay,
            again=again,
            direct=direct,
            final=final,
            tolerated=tolerated,
        )
        return await self.ledger.begin(self.name, owner, new)

    async def open(self, tasks: int, *, window: int = 128, items: int | None = None, direct: bool = False) -> list[int]:
        """Open the batch and confirm its first window, as if the gateway had accepted it."""
        assert await self.claim(window=window) == "claimed"
        verdict, released = await self.begin(tasks=tasks, items=items, direct=direct)
        assert verdict == "running"
        await self.confirm(0)
        return released

    async def current(self, task: int, attempt: int = 0, generation: int = 0) -> Identity:
        """An identity of the batch in its current epoch."""
        phase = await self.ledger.phase(self.name)
        return Identity(self.name, generation, task, attempt, phase.epoch if phase else "")

    async def start(self, task: int, attempt: int = 0, *, lease: float = 60, generation: int = 0) -> str:
        """Start a task's run; returns the verdict."""
        return (await self.ledger.start_task(await self.current(task, attempt, generation), lease)).verdict

    async def settle(
        self,
        task: int,
        attempt: int = 0,
        *,
        generation: int = 0,
        succeeded: int = 1,
        failed: int = 0,
        not_found: int = 0,
        retryable: int = 0,
        answer: bytes = b"answer",
    ) -> Settled:
        envelope = Envelope(succeeded, failed, not_found, task, task, retryable)
        return await self.ledger.settle(await self.current(task, attempt, generation), envelope, answer)

    async def skip(self, task: int) -> Settled:
        """Settle without outcomes, as a task of a closing batch does."""
        return await self.settle(task, succeeded=0, answer=b"")

    async def fail(
        self, task: int, attempt: int = 0, *, attempts: int = 3, backoff: float = 50, generation: int = 0
    ) -> FailVerdict:
        return await self.ledger.fail(await self.current(task, attempt, generation), attempts, backoff)

    async def repair(self, *, shortest: float = 0, worker_retries: float = 0) -> Repairs:
        return await self.ledger.repair(self.name, SILENCE, shortest, worker_retries)

    async def read_segment(self, segment: int, generation: int = 0) -> list[bytes]:
        """The answers of a segment that is not written yet."""
        _, answers = await self.ledger.read_segment(self.name, generation, segment)
        return answers

    async def segment_written(self, segment: int, generation: int = 0) -> None:
        """Record that a segment of the batch's current epoch is in S3."""
        await self.ledger.segment_written(self.name, generation, segment, (await self.current(0)).epoch)

    async def confirm(self, generation: int = 0) -> None:
        """Record that the gateway accepted the first window."""
        await self.ledger.confirm_window(self.name, generation, (await self.current(0)).epoch)

    async def defer(self, tasks: Sequence[int], backoff: float, generation: int = 0) -> None:
        """Record that the gateway refused these tasks."""
        of = GenerationRef(self.name, (await self.current(0)).epoch, generation, "model")
        await self.ledger.defer(of, tasks, backoff)

    async def reduce(self, owner: str = "reducer", generation: int = 0) -> None:
        """Take the reduce's lease, so that `owner` may begin or finish."""
        assert (await self.ledger.lease_reduce(self.name, owner, generation)).verdict == "leased"

    async def now(self) -> float:
        seconds, micro = await self.redis.time()
        return float(seconds + micro / 1e6)

    async def fields(self) -> dict[str, str]:
        found: Mapping[bytes, bytes] = await self._hash("")
        return {name.decode(): value.decode() for name, value in found.items()}

    async def state(self) -> str:
        return (await self.fields())["state"]

    async def in_flight(self) -> list[int]:
        """The tasks in flight, sorted by number."""
        return sorted(int(task) for task, _ in await self._zset("inflight"))

    async def due(self) -> dict[str, float]:
        """The duties with the seconds until another may take them, to the nearest ten since tests take time."""
        now = await self.now()
        return {duty.decode(): round(at / 1e6 - now, -1) for duty, at in await self._zset("due")}

    async def release_time(self, task: int) -> float:
        return {int(member): at for member, at in await self._zset("inflight")}[task]

    async def age(self, seconds: float = -1000, **fields: float) -> None:
        """Move the time fields of the hash to `seconds` from now, or only the named fields to their own seconds."""
        now = await self.now()
        wanted = fields or dict.fromkeys(("heard_at", "mark_at", "probed_at"), seconds)
        for name, value in wanted.items():
            await self._await(self.redis.hset(self.key(), name, str(int((now + value) * 1e6))))

    async def write(self, **fields: str) -> None:
        """Write fields of the hash."""
        for name, value in fields.items():
            await self._await(self.redis.hset(self.key(), name, value))

    async def age_releases(self, **tasks: float) -> None:
        """Move release times, each given as t<task>=<seconds from now>."""
        now = await self.now()
        await self.redis.zadd(
            self.key("inflight"), {name[1:]: int((now + at) * 1e6) for name, at in tasks.items()}, xx=True
        )

    async def age_run(self, task: int) -> None:
        """Let the lease of a task's run end."""
        await self._await(self.redis.hset(self.key("attempts"), f"r:{task}", 0))

    async def age_duty(self, duty: str, seconds: float = -1) -> None:
        assert await self.redis.zscore(self.key("due"), duty) is not None
        await self.redis.zadd(self.key("due"), {duty: int((await self.now() + seconds) * 1e6)})

    async def dump(self) -> dict[str, Any]:
        """All that Redis holds of the batch, to compare before and after."""
        found: dict[str, Any] = {"hash": await self.fields()}
        for key in sorted([key async for key in self.redis.scan_iter(match=self.key("*"))]):
            found[key.decode()] = await self.redis.dump(key)
        return found

    async def expiries(self) -> set[int]:
        """When the keys of the batch expire, in seconds since 1970: -1 is never."""
        return {
            int(await self._await(self.redis.expiretime(key)))
            async for key in self.redis.scan_iter(match=f"{self.prefix}:{{*")
        }

    async def _hash(self, part: str) -> Mapping[bytes, bytes]:
        found: Mapping[bytes, bytes] = await self._await(self.redis.hgetall(self.key(part)))
        return found

    async def attempts(self) -> dict[str, int]:
        return {name.decode(): int(value) for name, value in (await self._hash("attempts")).items()}

    async def _zset(self, part: str) -> list[tuple[bytes, float]]:
        found = await self.redis.zrange(self.key(part), 0, -1, withscores=True)
        return cast("list[tuple[bytes, float]]", found)

    @staticmethod
    async def _await(answer: Any) -> Any:
        """Wait for an answer that the client types as one of sync and async."""
        return await answer
