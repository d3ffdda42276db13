"""Go through the open batches and take over what is overdue: lost releases, segments, reduces, openings, deletions."""

import logging
import time

from structlog.contextvars import bound_contextvars

from pipeline.context import Context
from pipeline.deleting import disown_outlived, go_on_deleting
from pipeline.duties import close_batch, enqueue_open, enqueue_reduce, write_due_segment
from pipeline.errors import PipelineError
from pipeline.opening import reopen
from pipeline.releasing import release
from pipeline.replies import ENDED, Pass, Repairs
from pipeline.settling import settle_failed
from pipeline.signing import Identity
from pipeline.surveying import survey

LOST_STATUS = 504
ORPHAN_AGE = 600.0

log = logging.getLogger(__name__)


async def sweep_all(context: Context) -> int:
    """Sweep every open batch once; returns how many there are. Two reads of Redis when there is none.

    A batch that cannot be swept is logged and left for the next sweep. Raises UnavailableError.
    """
    if await context.ledger.index.take_survey():
        await _survey(context)
    noted = await context.ledger.index.batches()
    for batch, since in noted:
        with bound_contextvars(batch=batch):
            await _sweep_and_say(context, batch, since)
    context.metrics.swept(len(noted))
    return len(noted)


async def _survey(context: Context) -> None:
    try:
        await survey(context)
    except PipelineError as error:
        log.warning("what is open could not be compared with S3", extra={"error": str(error)})


async def _sweep_and_say(context: Context, batch: str, since: float) -> None:
    try:
        await _sweep(context, batch, since)
    except PipelineError as error:
        log.warning("the batch could not be swept", extra={"error": str(error)})
    except Exception:
        log.exception("sweep: an error without a name")


async def sweep_batch(context: Context, batch: str) -> None:
    """Sweep one batch, however short the time since the last sweep."""
    await _take_over(context, batch, await context.ledger.repair(batch, context.settings.silence, 0))


async def _sweep(context: Context, batch: str, since: float) -> None:
    settings = context.settings
    repairs = await context.ledger.repair(batch, settings.silence, settings.sweep_interval / 2)
    if repairs.state == "gone":
        # Noted a moment ago and not claimed yet, forgotten by Redis, or long gone.
        if not await reopen(context, batch) and time.time() - since > ORPHAN_AGE:
            await context.ledger.index.forget(batch)
    elif (repairs.state in ENDED or repairs.delete) and await disown_outlived(context, batch):
        await reopen(context, batch)
    elif repairs.state in ENDED:
        await _close(context, batch, repairs)
    elif repairs.delete:
        await go_on_deleting(context, batch)
    else:
        await _take_over(context, batch, repairs)


async def _close(context: Context, batch: str, repairs: Repairs) -> None:
    """Close an ended batch, unless S3 knows of a redrive that a failover of Redis has undone."""
    marker = await context.specs.read_marker(batch)
    # A redrive takes the mark of an earlier cancel away before it is answered.
    if marker is None or marker.base <= repairs.generation or marker.cancelled:
        await close_batch(context, batch)
    elif (await context.ledger.control.redrive(batch, repairs.ended)).verdict == "redriven":
        await enqueue_reduce(context, batch, repairs.generation)


async def _take_over(context: Context, batch: str, repairs: Repairs) -> None:
    generation = repairs.generation
    if repairs.open:
        await enqueue_open(context, batch)
    context.metrics.lost.inc(repairs.lost)
    if repairs.release:
        log.info("tasks are released by the sweep", extra={"tasks": len(repairs.release)})
        await release(context, Pass(batch, repairs.epoch, generation, repairs.function), repairs.release)
    for number in repairs.segments:
        await write_due_segment(context, batch, generation, number)
    if repairs.reduce:
        await enqueue_reduce(context, batch, generation)
    for task in repairs.exhausted:
        identity = Identity(batch, generation, task, epoch=repairs.epoch)
        await settle_failed(context, identity, LOST_STATUS, "the task was lost too often")
