"""`open`: the queued opening of a batch: of one with a large input, and of one whose ledger Redis has lost."""

from pipeline.batch.open_queued import open_claimed
from pipeline.context import Context
from pipeline.logs import bind_identity
from pipeline.request import Event, Response


async def open_queued(event: Event, context: Context) -> Response:
    """Open the batch, or rebuild its ledger: 200, also for a batch that is open already or cannot be opened.

    Raises ForbiddenError, and UnavailableError when Redis or S3 cannot be reached: the opening stays due.
    """
    batch = bind_identity(context.signer.verify_query("open", event.query), task=False).batch
    verdict, reason = await open_claimed(context, batch)
    return Response.json(200, {"batch_id": batch, "verdict": verdict} | ({"reason": reason} if reason else {}))
