"""Sweep the open batches, and the ended ones with pending notifications: take over the duties that are overdue."""

import logging
import time
from functools import partial
from typing import NamedTuple

from pipeline.batch.delete import drop_stale_ledger, resume_deletion
from pipeline.batch.each_batch import for_each_batch
from pipeline.batch.recover import reopen_lost
from pipeline.batch.survey import survey
from pipeline.context import Context
from pipeline.errors import PipelineError
from pipeline.identity import Identity
from pipeline.ledger.replies import GenerationRef, Repairs
from pipeline.ledger.states import ENDED
from pipeline.notify.deliver import deliver_in_background
from pipeline.status.saved_state import save_final_status
from pipeline.tasks.missing import look_for_missing
from pipeline.tasks.release import enqueue_open, enqueue_reduce, release
from pipeline.tasks.settle import settle_failed, write_due_segment

LOST_STATUS = 504
ORPHAN_AGE = 600.0

log = logging.getLogger(__name__)


class Swept(NamedTuple):
    """The number of open batches, and of ended ones with pending notifications."""

    open: int
    notifying: int


async def sweep_all(context: Context) -> Swept:
    """Sweep every batch that is open, or has notifications pending, once. Three reads of Redis if there is none.

    A batch that cannot be swept is logged and left for the next sweep; the sweep of a slow one goes on after this
    returns. Raises UnavailableError.
    """
    index = context.ledger.index
    if await index.begin_survey():
        await context.sweeps.run({"survey": partial(_survey, context)}, context.settings.sweep_interval)
    noted, notifying = dict(await index.open_batches()), await index.notifying()
    batches = [*noted, *(batch for batch in notifying if batch not in noted)]
    await for_each_batch(context, "sweep", batches, lambda batch: _sweep(context, batch, noted.get(batch)))
    context.metrics.swept(len(noted))
    return Swept(len(noted), len(notifying))


async def _survey(context: Context) -> None:
    try:
        await survey(context)
    except PipelineError as error:
        log.warning("the open batches could not be compared with S3", extra={"error": str(error)})


async def sweep_batch(context: Context, batch: str) -> None:
    """Sweep one batch, however short the time since the last sweep."""
    await _take_over(context, batch, await _repair(context, batch, 0))


async def _sweep(context: Context, batch: str, noted_at: float | None) -> None:
    """Sweep a batch that the index has noted as open at this time, or one that only has notifications pending (None).

    S3 has the final status of the latter.
    """
    repairs = await _repair(context, batch, context.settings.sweep_interval / 2)
    # No delivery is due, or there is no slot for it: then the batch costs no request to S3.
    if noted_at is None and repairs.waiting and (not repairs.notify or context.webhook_client.slots.locked()):
        return
    if repairs.state == "gone":
        # Noted a moment ago and not claimed yet, forgotten by Redis, or deleted long ago.
        if not await reopen_lost(context, batch) and await _is_orphan(context, batch, noted_at):
            await context.ledger.index.remove(batch)
    elif (repairs.state in ENDED or repairs.delete) and await drop_stale_ledger(context, batch):
        await reopen_lost(context, batch)
    elif repairs.state in ENDED:
        await _finish_end(context, batch, repairs)
    elif repairs.delete:
        await resume_deletion(context, batch)
    else:
        await _take_over(context, batch, repairs)


async def _repair(context: Context, batch: str, shortest: float) -> Repairs:
    settings = context.settings
    return await context.ledger.repair(batch, settings.silence, shortest, settings.worker_retries)


async def _is_orphan(context: Context, batch: str, noted_at: float | None) -> bool:
    """Return whether an id in the index has no batch."""
    if noted_at is None:
        return await context.records.read_marker(batch) is None
    return time.time() - noted_at > ORPHAN_AGE


async def _finish_end(context: Context, batch: str, repairs: Repairs) -> None:
    """Save the final status of an ended batch, unless S3 knows of a redrive that a failover of Redis has undone."""
    marker = await context.records.read_marker(batch)
    # A redrive removes an earlier cancel from the mark before it is answered.
    if marker is None or marker.base <= repairs.generation or marker.cancelled:
        await save_final_status(context, batch)
        if repairs.notify:
            deliver_in_background(context, batch)
    elif (await context.ledger.control.redrive(batch, repairs.ended)).verdict == "redriven":
        await enqueue_reduce(context, batch, repairs.generation)


async def _take_over(context: Context, batch: str, repairs: Repairs) -> None:
    generation = repairs.generation
    if repairs.missing and not await drop_stale_ledger(context, batch):
        await look_for_missing(context, batch, repairs.missing)
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
