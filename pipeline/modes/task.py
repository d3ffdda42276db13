"""`task`: read a slice of the snapshot, call the model function for each item, answer with the signed outcomes."""

import time

from pipeline.context import Context
from pipeline.identity import Identity
from pipeline.logs import bind_identity
from pipeline.request import SIGNATURE_HEADER, Event, Response
from pipeline.store.errors import MissingObjectError
from pipeline.tasks.missing import note_missing
from pipeline.tasks.run import run_task


async def task(event: Event, context: Context, identity: Identity) -> Response:
    """Run one task; answers 200 with an envelope and a line for each outcome, signed.

    The answer has no outcomes if the batch is not running any more, or the task is settled or runs already. Raises
    UnavailableError when Redis or S3 cannot be reached.
    """
    end = time.monotonic() + context.settings.task_timeout
    bind_identity(identity)
    try:
        body = await run_task(context, identity, event.query.get("function", ""), end)
    except MissingObjectError as error:
        await note_missing(context, identity.batch, error.objects)
        raise
    headers = {"Content-Type": "application/x-ndjson", SIGNATURE_HEADER: context.signer.answer(identity, body)}
    return Response(200, body, headers)
