"""Go through the open batches, and those that tell of their end, and take over what is overdue."""

import logging
import time
from typing import NamedTuple

from structlog.contextvars import bound_contextvars

from pipeline.batch.delete import disown_outlived, go_on_deleting
from pipeline.batch.open import reopen
from pipeline.batch.survey import survey
from pipeline.context import Context
from pipeline.errors import PipelineError
from pipeline.identity import Identity
from pipeline.ledger.replies import GenerationRef, Repairs
from pipeline.ledger.states import ENDED
from pipeline.notify.tell import tell_soon
from pipeline.status.final_status import close_batch
from pipeline.tasks.follow_up import enqueue_open, enqueue_reduce, write_due_segment
from pipeline.tasks.release import release
from pipeline.tasks.settle import settle_failed

LOST_STATUS = 504
ORPHAN_AGE = 600.0

log = logging.getLogger(__name__)


class Swept(NamedTuple):
    """How many batches are open, and how many have ended and tell of it."""

    open: int
    telling: int


async def sweep_all(context: Context) -> Swept:
    """Sweep every batch that is open, or tells of its end, once. Three reads of Redis when there is none.

    A batch that cannot be swept is logged and left for the next sweep. Raises UnavailableError.
    """
    index = context.ledger.index
    if await index.take_survey():
        await _survey(context)
    noted, telling = dict(await index.batches()), await index.telling()
    for batch, since in noted.items():
        with bound_contextvars(batch=batch):
            await _sweep_and_say(context, batch, since)
    for batch in telling:
        if batch not in noted:
            with bound_contextvars(batch=batch):
                await _sweep_and_say(context, batch, None)
    context.metrics.swept(len(noted))
    return Swept(len(noted), len(telling))


async def _survey(context: Context) -> None:
    try:
        await survey(context)
    except PipelineError as error:
        log.warning("what is open could not be compared with S3", extra={"error": str(error)})


async def _sweep_and_say(context: Context, batch: str, since: float | None) -> None:
    try:
        await _sweep(context, batch, since)
    except PipelineError as error:
        log.warning("the batch could not be swept", extra={"error": str(error)})
    except Exception:
        log.exception("sweep: an error without a name")


async def sweep_batch(context: Context, batch: str) -> None:
    """Sweep one batch, however short the time since the last sweep."""
    await _take_over(context, batch, await context.ledger.repair(batch, context.settings.silence, 0))


async def _sweep(context: Context, batch: str, since: float | None) -> None:
    """Sweep a batch that was noted `since` then, or one that only tells of its end (None): S3 knows of that one."""
    settings = context.settings
    repairs = await context.ledger.repair(batch, settings.silence, settings.sweep_interval / 2)
    # Nobody's turn, or no room for whose it is: then it costs no request of S3, which others would wait for.
    if since is None and repairs.waiting and (not repairs.notify or context.hooks.slots.locked()):
        return
    if repairs.state == "gone":
        # Noted a moment ago and not claimed yet, forgotten by Redis, or long gone.
        if not await reopen(context, batch) and await _is_orphan(context, batch, since):
            await context.ledger.index.forget(batch)
    elif (repairs.state in ENDED or repairs.delete) and await disown_outlived(context, batch):
        await reopen(context, batch)
    elif repairs.state in ENDED:
        await _close(context, batch, repairs)
    elif repairs.delete:
        await go_on_deleting(context, batch)
    else:
        await _take_over(context, batch, repairs)


async def _is_orphan(context: Context, batch: str, since: float | None) -> bool:
    """Say whether nothing is left to do for a batch of which Redis knows no more than that it was noted."""
    if since is None:
        return await context.specs.read_marker(batch) is None
    return time.time() - since > ORPHAN_AGE


async def _close(context: Context, batch: str, repairs: Repairs) -> None:
    """Close an ended batch, unless S3 knows of a redrive that a failover of Redis has undone."""
    marker = await context.specs.read_marker(batch)
    # A redrive takes the mark of an earlier cancel away before it is answered.
    if marker is None or marker.base <= repairs.generation or marker.cancelled:
        await close_batch(context, batch)
        if repairs.notify:
            tell_soon(context, batch)
    elif (await context.ledger.control.redrive(batch, repairs.ended)).verdict == "redriven":
        await enqueue_reduce(context, batch, repairs.generation)


async def _take_over(context: Context, batch: str, repairs: Repairs) -> None:
    generation = repairs.generation
    if repairs.open:
        await enqueue_open(context, batch)
    context.metrics.lost.inc(repairs.lost)
    if repairs.release:
        log.info("tasks are released by the sweep", extra={"tasks": len(repairs.release)})
        await release(context, GenerationRef(batch, repairs.epoch, generation, repairs.function), repairs.release)
    for number in repairs.segments:
        await write_due_segment(context, batch, generation, number)
    if repairs.reduce:
        await enqueue_reduce(context, batch, generation)
    for task in repairs.exhausted:
        identity = Identity(batch, generation, task, epoch=repairs.epoch)
        await settle_failed(context, identity, LOST_STATUS, "the task was lost too often")
