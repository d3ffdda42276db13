"""The user of a chaos run: submits a batch, reads its status, cancels it, and retries while there is no answer."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from bench.chaos.evidence import ENDED
from bench.chaos.stage import REQUEST

if TYPE_CHECKING:
    from bench.chaos.plan import Plan, Step
    from bench.chaos.stage import Stage

# Twenty silences without any progress.
HANG = 60.0
LIMIT = 400.0
POLL = 0.1
ACCEPTED = frozenset({200, 201, 202})
COLUMN = "item"


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

    async def submit(self) -> None:
        """Submit until the batch is accepted; the same id and specification are the same batch."""
        deadline = time.monotonic() + HANG
        while True:
            status, document = await self._submit_once()
            self.requests.append(("batch", status, document))
            if status in ACCEPTED:
                return
            if (status and status < 500) or time.monotonic() > deadline:  # noqa: PLR2004
                self.problems.append(f"the submission was answered {status}: {document}")
                return
            await asyncio.sleep(POLL)

    async def _submit_once(self) -> tuple[int, Any]:
        headers = {"X-Batch-Id": self.batch}
        options = {name: str(value) for name, value in self.plan.options.items()}
        csv = "".join(f"{row}\n" for row in (COLUMN, *self.plan.rows)).encode()
        if not self.plan.by_key:
            return await self.stage.ask("batch", options, body=csv, headers={**headers, "Content-Type": "text/csv"})
        return await self.stage.ask("batch", options, body=f"chaos/{self.batch}.csv".encode(), headers=headers)

    async def prepare(self) -> None:
        """Put the rows under the key that the submission names."""
        if self.plan.by_key:
            csv = "".join(f"{row}\n" for row in (COLUMN, *self.plan.rows)).encode()
            await self.stage.put(f"chaos/{self.batch}.csv", csv)

    async def strike(self, step: Step) -> None:
        """Do what a user does; the stage does the rest."""
        match step.fault:
            case "cancel":
                self.stopped = True
                self.cancelled = await self._insist("cancel")
            case "resubmit":
                await self.submit()
            case "redrive":
                self.stopped = self.cancelled = False
                await self._insist("redrive")
            case "pause":
                await self._insist("pause")
                await asyncio.sleep(step.value)
                await self._insist("resume")
            case _:
                await self.stage.strike(step)

    async def _insist(self, mode: str) -> bool:
        """Call a mode until it is accepted, or until the batch has ended.

        Returns whether it was accepted.
        """
        deadline = time.monotonic() + HANG
        while True:
            status, document = await self.stage.ask(mode, {"batch": self.batch})
            self.requests.append((mode, status, document))
            known = None if status in ACCEPTED else await self.status()
            if status in ACCEPTED or (known and known["state"] in ENDED):
                return status in ACCEPTED
            if time.monotonic() > deadline:
                self.problems.append(f"{mode} was answered {status}: {document}")
                return False
            await asyncio.sleep(POLL)

    async def status(self) -> dict[str, Any] | None:
        """Read the status: None while there is no answer, {} when there is no such batch."""
        try:
            async with self.stage.http.get(self.stage.url, params={"batch": self.batch}, timeout=REQUEST) as answer:
                if answer.status == 404:  # noqa: PLR2004
                    return {}
                document: dict[str, Any] = await answer.json()
                return document if answer.status == 200 else None  # noqa: PLR2004
        except (aiohttp.ClientError, TimeoutError):
            return None

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
