"""The user of a chaos run: submits a batch, reads its status, cancels it, and retries while there is no answer."""

import asyncio
import time
from typing import Any

from bench.chaos.checker import COLUMN, ENDED, SERVER_ERROR
from bench.chaos.plan import Plan
from bench.chaos.stage import Stage

# Twenty silences without any progress.
HANG = 60.0
LIMIT = 400.0
POLL = 0.1
ACCEPTED = frozenset({200, 201, 202})
CSV = {"Content-Type": "text/csv"}
STARTED = 202
PROGRESS = ("state", "generation", "succeeded", "failed", "settled")


class User:
    """Submits a batch and follows it.

    `requests` are the modes that were called, with status and answer; `problems` are the answers that must not be.
    """

    def __init__(self, stage: Stage, batch: str, plan: Plan) -> None:
        self.stage, self.batch, self.plan = stage, batch, plan
        self.problems: list[str] = []
        self.stopped = self.cancelled = False
        self.requests: list[tuple[str, int, Any]] = []

    async def prepare(self) -> None:
        """Put the rows under the key that the submission names."""
        if self.plan.by_key:
            async with self.stage.bucket() as bucket:
                await bucket.put(f"chaos/{self.batch}.csv", self._csv())

    async def submit(self) -> None:
        """Submit until the batch is accepted; the same id and specification are the same batch."""
        body, kind = (f"chaos/{self.batch}.csv".encode(), {}) if self.plan.by_key else (self._csv(), CSV)
        options = {name: str(value) for name, value in self.plan.options.items()}
        await self._insist("batch", body=body, headers={"X-Batch-Id": self.batch, **kind}, **options)

    def _csv(self) -> bytes:
        return "".join(f"{row}\n" for row in (COLUMN, *self.plan.rows)).encode()

    async def cancel(self) -> None:
        """Cancel the batch."""
        self.stopped = True
        self.cancelled = await self._insist("cancel", batch=self.batch)

    async def pause(self, seconds: float) -> None:
        """Pause the batch for a while."""
        await self._insist("pause", batch=self.batch)
        await asyncio.sleep(seconds)
        await self._insist("resume", batch=self.batch)

    async def redrive(self) -> None:
        """Run the failed items again; where there are none, the batch stays as it ended."""
        if await self._insist("redrive", batch=self.batch) and self.requests[-1][1] == STARTED:
            self.stopped = self.cancelled = False

    async def _insist(self, mode: str, *, headers: dict[str, str] | None = None, **request: Any) -> bool:
        """Call a mode until it is accepted, until the batch has ended, or until a submission is refused for good.

        Returns whether it was accepted.
        """
        deadline = time.monotonic() + HANG
        while True:
            status, document = await self.stage.ask(mode, headers=headers or {}, **request)
            self.requests.append((mode, status, document))
            if status in ACCEPTED:
                return True
            known = None if mode == "batch" else await self._status()
            if known and known["state"] in ENDED:
                return False
            if (mode == "batch" and 0 < status < SERVER_ERROR) or time.monotonic() > deadline:
                self.problems.append(f"{mode} was answered {status}: {document}")
                return False
            await asyncio.sleep(POLL)

    async def _status(self) -> dict[str, Any] | None:
        """Read the status: None while there is no answer, {} when there is no such batch."""
        status, document = await self.stage.ask("status", headers={}, batch=self.batch)
        known: dict[int, dict[str, Any]] = {200: document, 404: {}}
        return known.get(status)

    async def follow(self) -> dict[str, Any]:
        """Return the status once the batch has ended, or has stood still for long."""
        started = changed = time.monotonic()
        last: tuple[Any, ...] = ()
        status: dict[str, Any] = {}
        while True:
            read = await self._status()
            if read == {}:
                self.problems.append("an accepted batch is gone")
                await self.submit()
            status, now = read or status, time.monotonic()
            if status.get("state") in ENDED:
                return status
            progress = tuple(status.get(name) for name in PROGRESS)
            if progress != last:
                last, changed = progress, now
            if now - changed > HANG or now - started > LIMIT:
                self.problems.append(f"it hangs after {now - started:.0f} s: {status}")
                return status
            await asyncio.sleep(POLL)
