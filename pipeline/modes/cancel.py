"""`cancel`: stop releasing; what is in flight settles, and the summary is written with what there is."""

from pipeline.batch.cancel import stop
from pipeline.batch.lookup import accepted, known_state
from pipeline.context import Context
from pipeline.errors import ConflictError
from pipeline.ledger.states import ENDED
from pipeline.request import Event, Response, batch_of
from pipeline.status.open_mark import mark_open


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
