"""What people ask of a batch that runs or has ended: one typed method a script."""

import time

from redis.asyncio import Redis

from pipeline.ledger.replies import Cancelled, Deletion, Redriven
from pipeline.ledger.scripts import DUTY_LEASE, LEDGER_TTL, Scripts, microseconds

_NAMES = ("cancel", "delete", "disown", "forget", "hold", "redrive", "tune")


class Control:
    """Requests to the ledgers under one prefix. A state is '' where Redis knows no such batch."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._run = Scripts(redis, prefix, *_NAMES).run

    async def cancel(self, batch: str) -> Cancelled:
        """Stop releasing; what is in flight settles."""
        state, generation, segment, reduce = await self._run("cancel", batch, microseconds(DUTY_LEASE))
        return Cancelled(state.decode(), int(generation), segment if segment >= 0 else None, bool(reduce))

    async def hold(self, batch: str, *, paused: bool) -> str:
        """Pause the batch, or let it go on; returns the state before."""
        return str((await self._run("hold", batch, int(paused))).decode())

    async def tune(self, batch: str, window: int | None, rate: float | None) -> str:
        """Change the window, or the rate in calls a second (0 lifts it); returns the state."""
        arguments = ("" if value is None else value for value in (window, rate))
        return str((await self._run("tune", batch, *arguments)).decode())

    async def redrive(self, batch: str, ended: str = "") -> Redriven:
        """Make the reduce of an ended batch due again: it runs what has failed in the next generation.

        With `ended`, as a sweep reports it, only that end is meant.
        """
        state, generation, verdict = await self._run("redrive", batch, microseconds(DUTY_LEASE), ended)
        return Redriven(state.decode(), int(generation), verdict.decode())

    async def delete(self, batch: str, owner: str, *, go_on: bool = False) -> Deletion:
        """Take an ended or forgotten batch to be deleted, or renew that; `go_on` begins no deletion."""
        expire_at = int(time.time() + LEDGER_TTL)
        verdict, state = await self._run("delete", batch, owner, microseconds(DUTY_LEASE), expire_at, int(go_on))
        return Deletion(verdict.decode(), state.decode())

    async def disown(self, batch: str, epoch: str) -> None:
        """Drop a ledger that is of an earlier life of the id: Redis has come back from an old copy."""
        await self._run("disown", batch, epoch)

    async def forget(self, batch: str, owner: str) -> bool:
        """Free the id of a batch whose objects `owner` has deleted; says whether it was still its to free."""
        return bool(await self._run("forget", batch, owner))
