"""`status`: how far a batch is, or which batches there are; once, or as a stream."""

from typing import Any

from pipeline.batch.lookup import known_state
from pipeline.context import Context
from pipeline.ledger.states import ENDED
from pipeline.request import Event, Response, batch_of
from pipeline.status.document import status_document
from pipeline.status.list import list_batches
from pipeline.status.stream import EVENT_STREAM, stream
from pipeline.store.batch_records import are_pending


async def status(event: Event, context: Context) -> Response:
    """Describe the batch named by `?batch=` or X-Batch-Id: a constant number of Redis commands.

    Without a name: the open batches and the last that ended. Where the request accepts `text/event-stream` it is told
    again when it changes. Raises BadRequestError, NotFoundError, UnavailableError for one that is being rebuilt.
    """
    name = batch_of(event, required=False)

    async def read() -> dict[str, Any]:
        return await _describe(context, name) if name else await list_batches(context)

    document = await read()
    if EVENT_STREAM not in event.headers.get("Accept", ""):
        return Response.json(200, document)
    seen = event.headers.get("Last-Event-ID", "")
    return stream(document, read, _is_over, seen, context.closing)


def _is_over(document: dict[str, Any]) -> bool:
    """Say whether the batch has ended, and all are told of it: nothing of the document will change any more."""
    return document.get("state") in ENDED and not are_pending(document)


async def _describe(context: Context, name: str) -> dict[str, Any]:
    state = await context.ledger.state(name)
    if state is not None:
        return status_document(context.settings, name, state)
    await known_state(context, name, "")
    kept = await context.specs.read_status(name)
    return kept or {}
