"""Compare the open batches in S3 with the index in Redis, and delete ended batches whose retention is over."""

import logging
import time
from functools import partial

from pipeline.batch.control import cancel_in_ledger
from pipeline.batch.delete import delete_batch, drop_stale_ledger
from pipeline.batch.each_batch import for_each_batch
from pipeline.context import Context
from pipeline.errors import PipelineError
from pipeline.ledger.states import ACTIVE, SETTLING
from pipeline.status.saved_state import mark_open

MOST_DELETED = 100
# After a deletion; a task may take longer.
LATE_WRITES = 600.0

log = logging.getLogger(__name__)


async def survey(context: Context) -> None:
    """Note every open batch that the index lacks: its next sweep finds out whether Redis has lost its ledger.

    Late objects of deleted batches are deleted. With a retention, so are the batches that ended longer ago, at most 100
    at a time. Raises UnavailableError.
    """
    index = context.ledger.index
    noted = {batch for batch, _ in await index.open_batches()} | set(await index.notifying())
    await for_each_batch(context, "stale ledger", noted, partial(drop_stale_ledger, context))
    still_open = await context.records.open_batches()
    for batch in still_open:
        if batch not in noted:
            log.warning("a batch is open in S3, and not in the index", extra={"batch": batch})
            await index.add_open(batch)
    await for_each_batch(context, "lost cancel", noted.intersection(still_open), partial(_repeat_lost_cancel, context))
    await for_each_batch(context, "lost mark", noted.difference(still_open), partial(_repeat_lost_mark, context))
    # The rest may take long, and no other replica should begin a survey meanwhile.
    await index.end_survey()
    await _delete_late_objects(context)
    await _delete_expired(context, set(still_open))


async def _repeat_lost_mark(context: Context, batch: str) -> None:
    """Mark an open batch again if its mark is gone from the bucket: Redis alone would know it."""
    phase = await context.ledger.phase(batch)
    if phase is not None and phase.state in SETTLING | {"reducing"}:
        await mark_open(context, batch)


async def _repeat_lost_cancel(context: Context, batch: str) -> None:
    """Cancel a batch again if a failover of Redis has undone a cancel that was answered: S3 has it in the mark."""
    marker, state = await context.records.read_marker(batch), await context.ledger.state(batch)
    if marker is None or state is None or not marker.cancelled or marker.base != state.number("base"):
        return
    if state["outcome"] == "done" and state["state"] in ACTIVE:
        log.warning("Redis has forgotten a cancel", extra={"batch": batch})
        await cancel_in_ledger(context, batch)


async def _delete_late_objects(context: Context) -> None:
    """Delete the objects that came in for deleted batches, as long as some may come."""
    deleted = await context.records.deleted_batches()
    longest = context.settings.task_timeout + LATE_WRITES

    async def look_at(batch: str) -> None:
        if await context.ledger.phase(batch) is None and await context.records.has_late_objects(batch):
            log.info("objects came in after the deletion of the batch")
            await delete_batch(context, batch)
        elif time.time() - deleted[batch] > longest:
            await context.records.unmark_deleted(batch)

    await for_each_batch(context, "late objects", deleted, look_at)


async def _delete_expired(context: Context, still_open: set[str]) -> None:
    """Delete the batches whose retention is over; an index that has lost the ended batches is filled again."""
    index, retention = context.ledger.index, context.settings.retention
    is_forgotten = not await index.ended(1)
    if retention is None and not is_forgotten:
        return
    # A batch that is redriven, or has notifications pending, is marked as both open and ended.
    ended = [(batch, at) for batch, at in await context.records.ended_batches() if batch not in still_open]
    if is_forgotten and ended:
        await index.add_ended(dict(ended))
    if retention is None:
        return
    expired = [batch for batch, at in ended if time.time() - at > retention][:MOST_DELETED]

    async def delete_expired(batch: str) -> None:
        log.info("the batch's retention is over")
        try:
            await delete_batch(context, batch)
        except PipelineError as error:
            log.warning("the batch could not be deleted", extra={"error": str(error)})

    await for_each_batch(context, "retention", expired, delete_expired)
