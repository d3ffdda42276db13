"""What is done with a whole batch: requests of people, deletion, an end without lost objects. One method a script."""

from collections.abc import Sequence

from pipeline.ledger.replies import Cancelled, Deletion, Redriven
from pipeline.ledger.scripts import DUTY_LEASE, LEDGER_TTL, Scripts

# Seconds before missing objects are looked for once more.
MISSING_PATIENCE = 120.0


class Control:
    """Requests to the ledgers under one prefix. A state is '' where Redis knows no such batch."""

    def __init__(self, scripts: Scripts) -> None:
        self._run = scripts.run

    async def cancel(self, batch: str) -> Cancelled:
        """Release no more tasks; those in flight settle."""
        return Cancelled(**await self._run("cancel", batch, duty_lease=DUTY_LEASE))

    async def hold(self, batch: str, *, paused: bool) -> str:
        """Pause or resume the batch; returns the state before."""
        return str(await self._run("hold", batch, pause=paused))

    async def tune(self, batch: str, window: int | None, rate: float | None) -> str:
        """Change the window, or the rate in calls a second (0 lifts it); returns the state."""
        return str(await self._run("tune", batch, window=window, rate=rate))

    async def redrive(self, batch: str, ended: str = "") -> Redriven:
        """Make the reduce of an ended batch due again: it runs the failed items in the next generation.

        With `ended`, as a sweep returns it, only that end is meant.
        """
        return Redriven(**await self._run("redrive", batch, duty_lease=DUTY_LEASE, ended=ended))

    async def delete(self, batch: str, owner: str, *, go_on: bool = False, renewal: bool = False) -> Deletion:
        """Lease the deletion of an ended or forgotten batch; `go_on` begins none, and `renewal` takes none over."""
        times = {"delete_lease": DUTY_LEASE, "ttl": LEDGER_TTL}
        return Deletion(**await self._run("delete", batch, owner=owner, go_on=go_on, renewal=renewal, **times))

    async def disown(self, batch: str, epoch: str) -> None:
        """Delete the ledger of an earlier batch of the same id: Redis came back from an old copy."""
        await self._run("disown", batch, epoch=epoch)

    async def forget(self, batch: str, owner: str) -> bool:
        """Free the id of a batch whose objects `owner` has deleted; False when another holds the lease by now."""
        return bool(await self._run("forget", batch, owner=owner))

    async def note_missing(self, batch: str, objects: Sequence[str]) -> None:
        """Note objects that an open batch needs and that are not in S3: a sweep will look for them once more."""
        await self._run("note_missing", batch, objects=" ".join(objects), patience=MISSING_PATIENCE)

    async def give_up(self, batch: str, objects: str, gone: Sequence[str] = (), reason: str = "") -> str:
        """End the batch without the objects that are gone, for this reason; without one they are all there again."""
        return str(await self._run("give_up", batch, objects=objects, gone=" ".join(gone), reason=reason))
