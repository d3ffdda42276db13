"""`open`: the queued opening of a batch whose input is too large to snapshot while its submitter waits."""

import uuid

from pipeline.context import Context
from pipeline.errors import BadRequestError
from pipeline.models import Event, Response
from pipeline.opening import NewBatch, abandon, open_batch
from pipeline.store import MissingObjectError


async def open_queued(event: Event, context: Context) -> Response:
    """Take the claim over and open the batch; a batch that is open already answers 200.

    An input that cannot be read ends the batch as failed, with the reason. Raises ForbiddenError.
    """
    owner = uuid.uuid4().hex
    name = context.signer.verify_query("open", event.query).batch
    try:
        submission = await context.specs.get(name)
    except MissingObjectError:
        await abandon(context, name, "", "its specification is not in S3")
        return Response.json(200, {"batch_id": name, "verdict": "unknown"})
    verdict = await context.ledger.claim(name, owner, submission, queued=True)
    if verdict != "claimed":
        return Response.json(200, {"batch_id": name, "verdict": verdict})
    try:
        opened = await open_batch(context, NewBatch(name, submission, owner))
    except (BadRequestError, MissingObjectError) as error:
        reason = str(error) if isinstance(error, BadRequestError) else f"the input {submission.spec.input!r} is gone"
        await abandon(context, name, owner, reason)
        return Response.json(200, {"batch_id": name, "verdict": "failed", "reason": reason})
    return Response.json(200, {"batch_id": name, "verdict": "opened" if opened else "lost"})
