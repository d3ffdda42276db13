"""The user of a batch: submits it, follows it, and makes requests at any point."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from bench.chaos.evidence import COLUMN
from bench.chaos.plan import Plan
from bench.chaos.stage import Stage
from pipeline.client import CallError, RefusedError

if TYPE_CHECKING:
    from pipeline.client.batch import Batch

POLL = 0.1
PROGRESS = ("state", "generation", "succeeded", "failed", "settled")
# Sweeps of all replicas in which nothing changes: about ten minutes, of which a lease of 30 s has become one of 2 s.
HANG = 400
PAUSED = {"opening", "paused", "closing", "reducing"}
MISSING = 404


class User:
    """Submits a batch and follows it; `problems` are the answers that must not be.

    `stopped`: a cancel was requested; `cancelled`: it was accepted. `deleted`: the batch was to be deleted, and was not
    submitted again. `lost` are the keys of objects that faults have deleted. `begun` is the generation with which the
    batch, or its redrive, began; `window` the last one that was tuned; `requests` counts redrives and deletions.
    """

    def __init__(self, stage: Stage, batch: str, plan: Plan) -> None:
        self.stage, self.plan = stage, plan
        self.batch: Batch = stage.pipeline.batch(batch)
        self.problems: list[str] = []
        self.stopped = self.cancelled = self.deleted = False
        self.lost: tuple[str, ...] = ()
        self.window = self.begun = self.requests = 0
        self._source: bytes | str = "".join(f"{row}\n" for row in (COLUMN, *plan.rows)).encode()

    async def prepare(self) -> None:
        """Put the rows under the key that the submission names."""
        if self.plan.by_key and isinstance(self._source, bytes):
            key = f"chaos/{self.batch.id}.csv"
            async with self.stage.bucket() as bucket:
                await bucket.put(key, self._source)
            self._source = key

    async def submit(self) -> None:
        """Submit the batch; the same id and specification are the same batch."""
        options: Any = self.plan.options
        try:
            await self.stage.pipeline.submit(self._source, batch_id=self.batch.id, **options)
        except CallError as error:
            self.problems.append(f"the submission: {error}")

    async def cancel(self) -> None:
        """Cancel the batch."""
        self.stopped = True
        self.cancelled |= await self._insist(self.batch.cancel)

    async def pause(self, seconds: float) -> None:
        """Pause the batch for a while."""
        if await self._insist(self.batch.pause):
            status = await self.batch.status()
            if not status.over and status.state not in PAUSED:
                self.problems.append(f"a pause was accepted, and the batch is {status.state}")
        await asyncio.sleep(seconds)
        await self._insist(self.batch.resume)

    async def tune(self, window: int) -> None:
        """Change the window of the batch."""
        if await self._insist(lambda: self.batch.tune(window=window)):
            self.window = window

    async def redrive(self) -> None:
        """Run the failed items of an ended batch again; where there are none, the batch stays as it ended."""
        self.requests += 1
        generation = (await self.batch.status()).generation
        if await self._insist(self.batch.redrive, over=True):
            self.stopped = self.cancelled = False
            self.begun = generation + 1
            # The `switch` items succeed from now on.
            (self.stage.folder / "switch").touch()

    async def delete(self) -> None:
        """Delete an ended batch."""
        self.deleted = True
        self.requests += 1
        try:
            self.deleted = await self._insist(self._delete, over=True)
        except RefusedError as error:
            if error.status != MISSING:
                raise

    async def submit_anew(self) -> None:
        """Delete an ended batch, and submit it again under the same id."""
        await self.delete()
        if self.deleted:
            self.stopped = self.cancelled = self.deleted = False
            self.lost, self.window, self.begun = (), 0, 0
            await self.submit()

    async def _delete(self) -> None:
        while not await self.batch.delete():  # noqa: ASYNC110 - another process deletes it
            await asyncio.sleep(POLL)

    async def _insist(self, request: Callable[[], Awaitable[bool | None]], *, over: bool = False) -> bool:
        """Make a request until it is accepted, or the batch is in no state for it; returns whether it had an effect.

        `over`: the request is for a batch that has ended, and for no other.
        """
        waits = self.stage.sweeps() + HANG
        while True:
            try:
                return await request() is not False
            except RefusedError as error:
                if (await self.batch.status()).over != over:
                    return False
                if self.stage.sweeps() > waits:
                    self.problems.append(str(error))
                    return False
            await asyncio.sleep(POLL)

    async def follow(self) -> dict[str, Any]:
        """Return the status once the batch has ended, is deleted, or has not changed for many sweeps."""
        last: tuple[Any, ...] = ()
        waits = 0
        while True:
            try:
                read = await self.batch.status()
            except CallError as error:
                if not self.deleted:
                    self.problems.append(f"an accepted batch has no status: {error}")
                return {}
            status: dict[str, Any] = msgspec.to_builtins(read)
            progress = tuple(status[name] for name in PROGRESS)
            if progress != last:
                last, waits = progress, self.stage.sweeps() + HANG
            if read.over:
                return status
            if self.stage.sweeps() > waits:
                self.problems.append(f"nothing changed for {HANG} sweeps: {status}")
                return status
            await asyncio.sleep(POLL)
