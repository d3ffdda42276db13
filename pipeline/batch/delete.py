"""Delete an ended batch: its objects, then its ledger. A lease lets one replica at a time delete a batch."""

import logging
import uuid
from dataclasses import dataclass

from pipeline.concurrency import renew_every
from pipeline.context import Context
from pipeline.errors import ConflictError, UnavailableError
from pipeline.ledger.replies import Deletion
from pipeline.ledger.scripts import DUTY_LEASE
from pipeline.store.errors import MissingObjectError

log = logging.getLogger(__name__)


async def delete_batch(context: Context, batch: str) -> Deletion:
    """Delete an ended batch; nothing happens to one that has not ended, or that another replica deletes.

    The sweep resumes a deletion that breaks off. Raises UnavailableError.
    """
    # First, so that the sweep knows the batch at every moment.
    await context.ledger.index.add_open(batch)
    return await _delete(context, batch, go_on=False)


async def resume_deletion(context: Context, batch: str) -> None:
    """Take over a deletion that broke off. Raises UnavailableError."""
    await _delete(context, batch, go_on=True)


async def _delete(context: Context, batch: str, *, go_on: bool) -> Deletion:
    owner = uuid.uuid4().hex
    deletion = await context.ledger.control.delete(batch, owner, go_on=go_on)
    if deletion.verdict != "leased":
        return deletion

    async def renew_lease() -> None:
        if (await context.ledger.control.delete(batch, owner, renewal=True)).verdict != "leased":
            raise UnavailableError(f"the lease of the deletion of batch {batch!r} was lost")

    async with renew_every(DUTY_LEASE / 3, renew_lease):
        await context.records.mark_deleted(batch)
        await context.records.erase(batch, renew_lease)
    if await context.ledger.control.forget(batch, owner):
        await _remove_from_index(context, batch)
        log.info("batch deleted", extra={"batch": batch})
    return deletion


async def _remove_from_index(context: Context, batch: str) -> None:
    """Remove a free id from the index, unless a new batch has taken the id meanwhile."""
    await context.ledger.index.remove_ended(batch)
    await context.ledger.index.remove(batch)
    if await context.ledger.phase(batch) is not None:
        await context.ledger.index.add_open(batch)


@dataclass(frozen=True)
class StaleLedger:
    """A ledger that Redis has restored from an old copy: its batch is deleted, or its id belongs to a newer batch."""

    epoch: str
    is_deleted: bool


async def find_stale_ledger(context: Context, batch: str) -> StaleLedger | None:
    """Return the batch's ledger if it is stale, None if there is none or it is the batch's own.

    The specification is written before anything runs, and is the last object to be deleted: a ledger without one is
    stale, unless a snapshot shows that the batch has lost its specification otherwise. Raises ConflictError if the
    batch in the bucket is another function's.
    """
    phase = await context.ledger.phase(batch)
    if phase is None or phase.state == "opening":
        return None
    try:
        submission = await context.records.read(batch)
    except MissingObjectError:
        if phase.state == "deleting" or await context.snapshots.generations(batch):
            return None
        return StaleLedger(phase.epoch, is_deleted=True)
    except ConflictError:
        # The deletion ended but for the ledger, and another function has taken the id.
        if phase.state == "deleting":
            return None
        raise
    return StaleLedger(phase.epoch, is_deleted=False) if submission.is_later(phase.epoch) else None


async def drop_stale_ledger(context: Context, batch: str) -> bool:
    """Drop the batch's ledger if it is stale; returns whether it was. Raises ConflictError as `find_stale_ledger`."""
    stale = await find_stale_ledger(context, batch)
    if stale is None:
        return False
    await context.ledger.control.disown(batch, stale.epoch)
    if stale.is_deleted:
        log.warning("the batch is deleted, and Redis holds it from an old copy", extra={"batch": batch})
        # The stale ledger may have made replicas write objects meanwhile.
        await delete_batch(context, batch)
    else:
        log.warning("Redis holds an earlier life of this id", extra={"batch": batch})
    return True
