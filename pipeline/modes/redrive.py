"""`redrive`: run the failed items of an ended batch again, as its next generation."""

from pipeline.batch.control import accepted, redrive_batch
from pipeline.context import Context
from pipeline.request import Event, Response, batch_of
from pipeline.status.document import status_url


async def redrive(event: Event, context: Context) -> Response:
    """Redrive the batch named by `?batch=` or X-Batch-Id, items that never ran included; 202, also when asked twice.

    A batch without failures answers 200 and stays as it is. Raises BadRequestError, NotFoundError, ConflictError for
    a batch that has not ended, or that was never opened.
    """
    batch = batch_of(event)
    final_state = await redrive_batch(context, batch)
    if final_state is None:
        return accepted(context, batch)
    document = {"batch_id": batch, "state": final_state, "redriven": 0}
    return Response.json(200, document | {"status_url": status_url(context.settings, batch)})
