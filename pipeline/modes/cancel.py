"""`cancel`: stop releasing; what is in flight settles, and the summary is written with what there is."""

from pipeline.context import Context
from pipeline.duties import enqueue_reduce, write_due_segment
from pipeline.errors import ConflictError, NotFoundError
from pipeline.models import Event, Response, batch_of
from pipeline.status import ENDED, status_url


async def cancel(event: Event, context: Context) -> Response:
    """Cancel the batch named by `?batch=` or X-Batch-Id: 202, also when it is being cancelled already.

    Raises BadRequestError, NotFoundError, ConflictError for a batch that has ended otherwise.
    """
    name = batch_of(event)
    state, generation, segment, reduce = await context.ledger.cancel(name)
    if not state:
        ended = await context.specs.read_status(name)
        if ended is None:
            raise NotFoundError(f"there is no batch {name!r}")
        state = ended["state"]
    if state in ENDED - {"cancelled"} or state == "reducing":
        raise ConflictError(f"batch {name!r} cannot be cancelled: it is {state}")
    if segment is not None:
        await write_due_segment(context, name, generation, segment)
    if reduce:
        await enqueue_reduce(context, name, generation)
    return Response.json(202, {"batch_id": name, "status_url": status_url(context.settings, name)})
