"""`cancel`: stop releasing; tasks in flight settle, and the summary is written with the outcomes there are."""

from pipeline.batch.control import accepted, cancel_batch
from pipeline.context import Context
from pipeline.request import Event, Response, batch_of


async def cancel(event: Event, context: Context) -> Response:
    """Cancel the batch named by `?batch=` or X-Batch-Id: 202, also when it is being cancelled already.

    Raises BadRequestError, NotFoundError, ConflictError for a batch that has ended otherwise.
    """
    batch = batch_of(event)
    await cancel_batch(context, batch)
    return accepted(context, batch)
