"""`batch`: claim the id, snapshot the input, open the ledger, release the first window."""

import hashlib
import uuid

from structlog.contextvars import bind_contextvars

from pipeline.batch.dry_run import describe_dry_run
from pipeline.batch.open import NewBatch
from pipeline.batch.read_submission import read_request
from pipeline.batch.submit import check_targets, submit
from pipeline.capacity import Caller
from pipeline.concurrency import off_loop
from pipeline.context import Context
from pipeline.inputs.find_input import find_input
from pipeline.inputs.open_input import check_query
from pipeline.inputs.peek_columns import peek_columns
from pipeline.request import Event, Response, check_batch_id
from pipeline.spec.submission import Submission


async def batch(event: Event, context: Context) -> Response:
    """Open a batch: 201 with its size, or 202 if the snapshot is made by a queued opening. A dry run: 200.

    The body is the key of an input, a JSON specification, or the input itself (with its Content-Type, or a JSON array);
    options of the first and the last come from the query. Raises BadRequestError, ConflictError, UnavailableError.
    """
    name = check_batch_id(event.headers.get("X-Batch-Id") or str(uuid.uuid4()))
    bind_contextvars(batch=name)
    spec, body = await off_loop(len(event.body), read_request, event, context.settings, name)
    check_targets(spec, context.webhook_signer)
    await context.ledger_cache.check_server()
    source, queued = await find_input(context, spec, body)
    digest = source.etag if body is None else (await off_loop(len(body), hashlib.sha256, body)).hexdigest()
    submission = Submission(spec.model_dump(exclude_defaults=True), source.etag, source.size, digest)
    if spec.dry_run:
        return Response.json(200, await describe_dry_run(context, name, submission, body, queued=queued))
    if queued and spec.sql is not None:
        caller = Caller(name)
        await check_query(context, spec, await peek_columns(context, spec, source, caller), caller)
    return await submit(context, NewBatch(name, submission, uuid.uuid4().hex), body, queued=queued)
