"""`cancel`: stop releasing; what is in flight settles, and the summary is written with what there is."""

from pipeline.context import Context
from pipeline.duties import mark_open, stop
from pipeline.errors import ConflictError
from pipeline.models import Event, Response, batch_of
from pipeline.replies import ENDED
from pipeline.requests import accepted, known_state


async def cancel(event: Event, context: Context) -> Response:
    """Cancel the batch named by `?batch=` or X-Batch-Id: 202, also when it is being cancelled already.

    Raises BadRequestError, NotFoundError, ConflictError for a batch that has ended otherwise.
    """
    name = batch_of(event)
    found = await stop(context, name)
    state = await known_state(context, name, found.state)
    if state in ENDED - {"cancelled"} or state in {"reducing", "deleting"}:
        raise ConflictError(f"batch {name!r} cannot be cancelled: it is {state}")
    if found.state:
        await mark_open(context, name)
    return accepted(context, name)
