"""Cancel a batch."""

from pipeline.context import Context
from pipeline.ledger.replies import Cancelled
from pipeline.tasks.follow_up import enqueue_reduce, write_due_segment


async def stop(context: Context, batch: str) -> Cancelled:
    """Cancel a batch, and do what follows."""
    found = await context.ledger.control.cancel(batch)
    if found.segment is not None:
        await write_due_segment(context, batch, found.generation, found.segment)
    if found.reduce:
        await enqueue_reduce(context, batch, found.generation)
    return found
