"""Perform what the ledger's scripts hand out. Whatever fails here stays due in the ledger, and is taken over."""

import logging

from pipeline.context import Context
from pipeline.errors import UnavailableError
from pipeline.identity import Identity, Purpose
from pipeline.store.segments import write_segment

log = logging.getLogger(__name__)


async def write_due_segment(context: Context, batch: str, generation: int, number: int) -> None:
    """Write a segment whose outcomes wait in Redis; nothing to do when another replica has written it."""
    epoch, answers = await context.ledger.read_segment(batch, generation, number)
    if answers:
        await write_segment(context.store, batch, generation, epoch, number, answers)
        await context.ledger.segment_written(batch, generation, number, epoch)
        context.metrics.segments.inc()
        log.debug("segment written", extra={"batch": batch, "generation": generation, "segment": number})


async def enqueue_reduce(context: Context, batch: str, generation: int) -> None:
    """Queue the reduce; one that the gateway refuses stays due."""
    await _enqueue(context, "reduce", batch, generation)


async def enqueue_open(context: Context, batch: str) -> None:
    """Queue the opening of a claimed batch; one that the gateway refuses stays due."""
    await _enqueue(context, "open", batch, 0)


async def _enqueue(context: Context, mode: Purpose, batch: str, generation: int) -> None:
    try:
        await context.gateway.enqueue(mode, Identity(batch, generation))
    except UnavailableError as error:
        log.warning("%s is put off", mode, extra={"batch": batch, "error": str(error)})
