"""`status`: how far a batch is."""

from pipeline.context import Context
from pipeline.models import Event, Response, batch_of
from pipeline.requests import known_state
from pipeline.status import status_document, status_url

SHOWN_BATCHES = 100


async def status(event: Event, context: Context) -> Response:
    """Describe the batch named by `?batch=` or X-Batch-Id: a constant number of Redis commands.

    Without a name: the open batches. Raises BadRequestError, NotFoundError, UnavailableError for one that is being
    rebuilt.
    """
    name = batch_of(event, required=False)
    if not name:
        noted = await context.ledger.index.batches(SHOWN_BATCHES)
        batches = [{"batch_id": batch, "status_url": status_url(context.settings, batch)} for batch, _ in noted]
        return Response.json(200, {"open": batches})
    state = await context.ledger.state(name)
    if state is not None:
        return Response.json(200, status_document(context.settings, name, state))
    await known_state(context, name, "")
    return Response.json(200, await context.specs.read_status(name))
