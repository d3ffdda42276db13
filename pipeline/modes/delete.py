"""`delete`: delete an ended batch, its summary and all its other objects. The user's own input stays."""

from pipeline.batch.control import accepted
from pipeline.batch.delete import delete_batch
from pipeline.batch.recover import has_ended
from pipeline.context import Context
from pipeline.errors import ConflictError, NotFoundError
from pipeline.request import Event, Response, batch_of
from pipeline.store.errors import MissingObjectError


async def delete(event: Event, context: Context) -> Response:
    """Delete the batch named by `?batch=` or X-Batch-Id: 200 once it is deleted, 202 while another replica does it.

    Raises BadRequestError, NotFoundError, ConflictError for a batch that has not ended, or is another function's.
    """
    batch = batch_of(event)
    if await context.ledger.phase(batch) is None:
        await _check_deletable(context, batch)
    deletion = await delete_batch(context, batch)
    if deletion.verdict == "open":
        raise ConflictError(f"batch {batch!r} cannot be deleted: it is {deletion.state}; cancel it first")
    if deletion.verdict == "held":
        return accepted(context, batch)
    return Response.json(200, {"batch_id": batch, "deleted": True})


async def _check_deletable(context: Context, batch: str) -> None:
    """Check a batch without a ledger by its objects in S3."""
    if not await has_ended(context, batch) and await context.records.read_marker(batch) is not None:
        raise ConflictError(f"batch {batch!r} cannot be deleted: it has not ended; cancel it first")
    try:
        await context.records.read(batch)
    except MissingObjectError:
        # Another deletion may have missed what came in late.
        if not await context.records.has_late_objects(batch):
            raise NotFoundError(f"there is no batch {batch!r}") from None
