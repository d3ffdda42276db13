"""`delete`: delete an ended batch, its summary and all its other objects. The user's own input stays."""

from pipeline.batch.delete import delete_batch
from pipeline.batch.lookup import accepted, has_ended
from pipeline.context import Context
from pipeline.errors import ConflictError, NotFoundError
from pipeline.request import Event, Response, batch_of
from pipeline.store.errors import MissingObjectError


async def delete(event: Event, context: Context) -> Response:
    """Delete the batch named by `?batch=` or X-Batch-Id: 200 once nothing of it is left, 202 while another does it.

    Raises BadRequestError, NotFoundError, ConflictError for a batch that has not ended, or is another function's.
    """
    name = batch_of(event)
    phase = await context.ledger.phase(name)
    if phase is None:
        if not await has_ended(context, name) and await context.specs.read_marker(name) is not None:
            raise ConflictError(f"batch {name!r} cannot be deleted: it has not ended; cancel it first")
        try:
            await context.specs.read(name)
        except MissingObjectError:
            raise NotFoundError(f"there is no batch {name!r}") from None
    found = await delete_batch(context, name)
    if found.verdict == "open":
        raise ConflictError(f"batch {name!r} cannot be deleted: it is {found.state}; cancel it first")
    if found.verdict == "held":
        return accepted(context, name)
    return Response.json(200, {"batch_id": name, "deleted": True})
