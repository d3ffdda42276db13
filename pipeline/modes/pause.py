"""`pause` and `resume`: a paused batch releases nothing; tasks in flight settle."""

from pipeline.batch.control import accepted, hold_batch
from pipeline.batch.sweep import sweep_batch
from pipeline.context import Context
from pipeline.request import Event, Response, batch_of


async def pause(event: Event, context: Context) -> Response:
    """Pause the batch named by `?batch=` or X-Batch-Id: 202, also when it is paused already. Its deadline stays.

    Raises BadRequestError, NotFoundError, ConflictError for a batch that ends or has ended.
    """
    batch = batch_of(event)
    await hold_batch(context, batch, paused=True)
    return accepted(context, batch)


async def resume(event: Event, context: Context) -> Response:
    """Let a paused batch go on: 202, also when it is not paused. Raises as `pause`."""
    batch = batch_of(event)
    await hold_batch(context, batch, paused=False)
    await sweep_batch(context, batch)
    return accepted(context, batch)
