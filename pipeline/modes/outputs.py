"""`outputs`: the objects of an ended batch, as URLs at which they can be read for an hour without credentials."""

from pipeline.batch.recover import final_status_in_s3, recover_if_lost
from pipeline.context import Context
from pipeline.errors import BadRequestError, ConflictError
from pipeline.ledger.states import ENDED
from pipeline.outputs.links import link_outputs
from pipeline.request import Event, Response, batch_of


async def outputs(event: Event, context: Context) -> Response:
    """Link the outputs of the batch named by `?batch=` or X-Batch-Id; with `?parts=true` snapshot and segments, too.

    Raises BadRequestError, NotFoundError, ConflictError for a batch that has not ended, or is another function's.
    """
    batch = batch_of(event)
    parts = event.query.get("parts", "false")
    if parts not in {"true", "false"}:
        raise BadRequestError(f"parts is {parts[:40]!r}: expected true or false")
    phase = await context.ledger.phase(batch)
    if phase is None:
        await recover_if_lost(context, batch)
        await final_status_in_s3(context, batch)
    elif phase.state not in ENDED:
        raise ConflictError(f"batch {batch!r} has no outputs yet: it is {phase.state}")
    return Response.json(200, await link_outputs(context, batch, parts=parts == "true"))
