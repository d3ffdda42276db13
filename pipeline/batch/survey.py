"""Compare what S3 says is open with the index in Redis, and delete what has been kept long enough."""

import logging
import time

from structlog.contextvars import bound_contextvars

from pipeline.batch.cancel import stop
from pipeline.batch.delete import delete_batch, disown_outlived
from pipeline.context import Context
from pipeline.errors import ConflictError, PipelineError
from pipeline.ledger.states import ACTIVE

MOST_DELETED = 100

log = logging.getLogger(__name__)


async def _recall(context: Context, batch: str) -> None:
    """Stop a batch again whose cancel a failover of Redis has undone: it was answered, and S3 knows of it."""
    marker, state = await context.specs.read_marker(batch), await context.ledger.state(batch)
    if marker is None or state is None or not marker.cancelled or marker.base != state.number("base"):
        return
    if state["outcome"] == "done" and state["state"] in ACTIVE:
        log.warning("Redis has forgotten a cancel", extra={"batch": batch})
        await stop(context, batch)


async def survey(context: Context) -> None:
    """Note every open batch that the index does not hold: its next sweep finds out what Redis still knows of it.

    With a retention, the batches that ended longer ago are deleted, at most 100 at a time. Raises UnavailableError.
    """
    index = context.ledger.index
    noted = {batch for batch, _ in await index.batches()} | set(await index.telling())
    for batch in noted:
        try:
            await disown_outlived(context, batch)
        except ConflictError as error:
            log.warning("%s", error)
    still_open = await context.specs.open_batches()
    for batch in still_open:
        if batch in noted:
            await _recall(context, batch)
        else:
            log.warning("a batch is open in S3, and not in the index", extra={"batch": batch})
            await index.note(batch)
    # The rest may take its time, and nobody else is to begin with it meanwhile.
    await index.surveyed()
    retention, forgotten = context.settings.retention, not await index.ended(1)
    if retention is None and not forgotten:
        return
    # A batch that is redriven, or tells of its end, has both marks.
    ended = [pair for pair in await context.specs.ended_batches() if pair[0] not in set(still_open)]
    if forgotten and ended:
        await index.note_ended(dict(ended))
    if retention is None:
        return
    for batch in [batch for batch, at in ended if time.time() - at > retention][:MOST_DELETED]:
        with bound_contextvars(batch=batch):
            log.info("the batch's retention is over")
            try:
                await delete_batch(context, batch)
            except PipelineError as error:
                log.warning("the batch could not be deleted", extra={"error": str(error)})
