"""`open`: the queued opening of a batch: of one with a large input, and of one whose ledger Redis has lost."""

from pipeline.batch.open_queued import open_claimed
from pipeline.context import Context
from pipeline.identity import Identity
from pipeline.logs import bind_identity
from pipeline.request import Event, Response


async def open_queued(_event: Event, context: Context, identity: Identity) -> Response:
    """Open the batch, or rebuild its ledger: 200, also for a batch that is open already or cannot be opened.

    Raises UnavailableError when Redis or S3 cannot be reached: the opening stays due.
    """
    bind_identity(identity, task=False)
    verdict, reason = await open_claimed(context, identity.batch)
    return Response.json(200, {"batch_id": identity.batch, "verdict": verdict} | ({"reason": reason} if reason else {}))
