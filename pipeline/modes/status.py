"""`status`: how far a batch is, or which batches there are; once, or as a stream."""

from typing import Any

from pipeline.batch.recover import final_status_in_s3, recover_if_lost
from pipeline.context import Context
from pipeline.ledger.states import ENDED
from pipeline.request import Event, Response, batch_of
from pipeline.status.document import status_document
from pipeline.status.list import list_batches
from pipeline.status.stream import EVENT_STREAM, stream
from pipeline.store.batch_records import are_pending


async def status(event: Event, context: Context) -> Response:
    """Describe the batch named by `?batch=` or X-Batch-Id: a constant number of Redis commands.

    Without a name: the open batches and the last that ended. A request that accepts `text/event-stream` gets a stream
    of the changes. Raises BadRequestError, NotFoundError, ConflictError for a batch that is another function's,
    UnavailableError for one that is being rebuilt.
    """
    batch = batch_of(event, required=False)

    async def read() -> dict[str, Any]:
        return await _describe(context, batch) if batch else await list_batches(context)

    document = await read()
    if EVENT_STREAM not in event.headers.get("Accept", ""):
        return Response.json(200, document)
    return stream(document, read, _is_over, event.headers.get("Last-Event-ID", ""), context.closing)


def _is_over(document: dict[str, Any]) -> bool:
    """Return whether nothing of the document will change: the batch has ended, and no notification is pending."""
    return document.get("state") in ENDED and not are_pending(document)


async def _describe(context: Context, batch: str) -> dict[str, Any]:
    state = await context.ledger.state(batch)
    if state is not None:
        return status_document(context.settings, batch, state)
    await recover_if_lost(context, batch)
    return await final_status_in_s3(context, batch)
