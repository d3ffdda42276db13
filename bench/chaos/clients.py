"""The user of a chaos run: submits a batch, reads its status, cancels it, and retries while there is no answer."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.chaos.evidence import ENDED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.chaos.plan import Plan, Step
    from bench.chaos.stage import Stage

# Twenty silences without any progress.
HANG = 60.0
LIMIT = 400.0
POLL = 0.1
ACCEPTED = frozenset({200, 201, 202})
COLUMN = "item"
CSV = {"Content-Type": "text/csv"}
STARTED = 202
SERVER_ERROR = 500


@dataclass
class Client:
    """Submits a batch, follows it, and retries while there is no answer.

    `requests` are the modes that were called, with status and answer; `problems` are the answers that must not be.
    """

    stage: Stage
    batch: str
    plan: Plan
    problems: list[str] = field(default_factory=list)
    stopped: bool = False
    cancelled: bool = False
    requests: list[tuple[str, int, Any]] = field(default_factory=list)

    async def prepare(self) -> None:
        """Put the rows under the key that the submission names."""
        if self.plan.by_key:
            async with self.stage.bucket() as bucket:
                await bucket.put(f"chaos/{self.batch}.csv", self._csv())

    async def submit(self) -> None:
        """Submit until the batch is accepted; the same id and specification are the same batch."""
        options = {name: str(value) for name, value in self.plan.options.items()}
        body, kind = (f"chaos/{self.batch}.csv".encode(), {}) if self.plan.by_key else (self._csv(), CSV)
        await self._insist("batch", options, body=body, headers={"X-Batch-Id": self.batch, **kind})

    def _csv(self) -> bytes:
        return "".join(f"{row}\n" for row in (COLUMN, *self.plan.rows)).encode()

    async def strike(self, step: Step) -> None:
        """Do what a user does; the stage does the rest."""
        match step.fault:
            case "cancel":
                self.stopped = True
                self.cancelled = await self._insist("cancel")
            case "resubmit":
                await self.submit()
            case "redrive":
                # 200: no item had failed, so the batch stays as it ended.
                if await self._insist("redrive") and self.requests[-1][1] == STARTED:
                    self.stopped = self.cancelled = False
            case "pause":
                await self._insist("pause")
                await asyncio.sleep(step.value)
                await self._insist("resume")
            case _:
                await self.stage.strike(step)

    async def _insist(self, mode: str, query: Mapping[str, str] | None = None, **request: Any) -> bool:
        """Call a mode until it is accepted, until the batch has ended, or until a submission is refused for good.

        Returns whether it was accepted.
        """
        deadline = time.monotonic() + HANG
        while True:
            status, document = await self.stage.ask(mode, query or {"batch": self.batch}, **request)
            self.requests.append((mode, status, document))
            if status in ACCEPTED:
                return True
            known = None if mode == "batch" else await self.status()
            if known and known["state"] in ENDED:
                return False
            if (mode == "batch" and 0 < status < SERVER_ERROR) or time.monotonic() > deadline:
                self.problems.append(f"{mode} was answered {status}: {document}")
                return False
            await asyncio.sleep(POLL)

    async def status(self) -> dict[str, Any] | None:
        """Read the status: None while there is no answer, {} when there is no such batch."""
        status, document = await self.stage.ask("status", {"batch": self.batch})
        known: dict[int, dict[str, Any]] = {200: document, 404: {}}
        return known.get(status)

    async def follow(self) -> dict[str, Any]:
        """Return the status once the batch has ended, or has stood still for long."""
        started = changed = time.monotonic()
        last: tuple[Any, ...] = ()
        status: dict[str, Any] = {}
        while True:
            read = await self.status()
            now = time.monotonic()
            if read == {}:
                self.problems.append("an accepted batch is gone")
                await self.submit()
            if read:
                status = read
                if status["state"] in ENDED:
                    return status
                progress = tuple(status[name] for name in ("state", "generation", "succeeded", "failed", "settled"))
                if progress != last:
                    last, changed = progress, now
            if now - changed > HANG or now - started > LIMIT:
                self.problems.append(f"it hangs after {now - started:.0f} s: {status}")
                return status
            await asyncio.sleep(POLL)
