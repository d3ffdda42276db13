"""Delete a batch that has ended: its objects, then what Redis knows of it. One replica at a time deletes a batch."""

import logging
import uuid
from dataclasses import dataclass

from pipeline.concurrency import repeated
from pipeline.context import Context
from pipeline.errors import UnavailableError
from pipeline.ledger.replies import Deletion
from pipeline.ledger.scripts import DUTY_LEASE
from pipeline.store.errors import MissingObjectError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outlived:
    """A ledger of an earlier life of an id, whose batch is deleted, or whose id is another's by now."""

    epoch: str
    is_deleted: bool


async def delete_batch(context: Context, batch: str) -> Deletion:
    """Delete an ended batch; does nothing where it has not ended, or another replica deletes it.

    A deletion that breaks off is gone on with by the sweep. Raises UnavailableError.
    """
    # First, so that no moment is left in which nobody would go on with it.
    await context.ledger.index.note(batch)
    return await _delete(context, batch, go_on=False)


async def go_on_deleting(context: Context, batch: str) -> None:
    """Take over a deletion that broke off. Raises UnavailableError."""
    await _delete(context, batch, go_on=True)


async def disown_outlived(context: Context, batch: str) -> bool:
    """Drop a ledger that Redis holds from an old copy: its batch is deleted, or its id is another's by now.

    Says whether it was one. The specification is written before anything runs, and is the last of the objects to go.
    Raises ConflictError where the batch in the bucket is another function's.
    """
    outlived = await find_outlived(context, batch)
    if outlived is None:
        return False
    await context.ledger.control.disown(batch, outlived.epoch)
    if outlived.is_deleted:
        log.warning("the batch is deleted, and Redis holds it from an old copy", extra={"batch": batch})
        # What was done by that ledger meanwhile may have left objects.
        await delete_batch(context, batch)
    else:
        log.warning("Redis holds an earlier life of this id", extra={"batch": batch})
    return True


async def find_outlived(context: Context, batch: str) -> Outlived | None:
    """Return the ledger that Redis holds from an old copy, None where it holds none or the batch's own.

    Raises ConflictError where the batch in the bucket is another function's.
    """
    phase = await context.ledger.phase(batch)
    if phase is None or phase.state == "opening":
        return None
    try:
        submission = await context.specs.read(batch)
    except MissingObjectError:
        return None if phase.state == "deleting" else Outlived(phase.epoch, is_deleted=True)
    return Outlived(phase.epoch, is_deleted=False) if submission.is_later(phase.epoch) else None


async def _delete(context: Context, batch: str, *, go_on: bool) -> Deletion:
    owner = uuid.uuid4().hex
    found = await context.ledger.control.delete(batch, owner, go_on=go_on)
    if found.verdict != "leased":
        return found

    async def still_ours() -> None:
        if (await context.ledger.control.delete(batch, owner, go_on=True)).verdict != "leased":
            raise UnavailableError(f"the lease of the deletion of batch {batch!r} was lost")

    async with repeated(still_ours, DUTY_LEASE / 3):
        await context.specs.erase(batch, still_ours)
    if await context.ledger.control.forget(batch, owner):
        await _leave(context, batch)
        log.info("batch deleted", extra={"batch": batch})
    return found


async def _leave(context: Context, batch: str) -> None:
    """Take a free id out of the index, unless it is a batch's again meanwhile."""
    await context.ledger.index.forget_ended(batch)
    await context.ledger.index.forget(batch)
    if await context.ledger.phase(batch) is not None:
        await context.ledger.index.note(batch)
