"""Delete a batch that has ended: its objects, then what Redis knows of it."""

import logging

from pipeline.context import Context
from pipeline.replies import ENDED

log = logging.getLogger(__name__)


async def delete_batch(context: Context, batch: str) -> str:
    """Delete an ended batch; returns its state before, and does nothing where it has not ended.

    A deletion that breaks off is gone on with by the sweep. Raises UnavailableError.
    """
    state = await context.ledger.control.delete(batch)
    if not state or state == "deleting" or state in ENDED:
        await context.ledger.index.note(batch)
        await erase_batch(context, batch)
    return state


async def erase_batch(context: Context, batch: str) -> None:
    """Delete the objects of a batch that is being deleted, and free its id."""
    await context.specs.erase(batch)
    await context.ledger.control.forget(batch)
    await context.ledger.index.forget(batch)
    log.info("batch %s: deleted", batch)
