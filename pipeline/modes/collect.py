"""`collect`: a callback brings a task's answer home; settle the task once, and perform the duties that follow."""

import logging
import re

from pipeline.answers.reply import BROKEN, RESULT_LIMIT, Reply, too_large
from pipeline.context import Context
from pipeline.errors import BadRequestError, ForbiddenError
from pipeline.identity import Identity
from pipeline.logs import bind_identity
from pipeline.request import DIRECT_PATH, SIGNATURE_HEADER, Event, Response, unpack_body
from pipeline.store.errors import MissingObjectError
from pipeline.tasks.model_call import ModelCall
from pipeline.tasks.settle import BUSY, fail, settle, settle_direct

LOST_STATUS = 502
STATUS = re.compile(r"[1-5][0-9][0-9]")
FAILED_STATUS = re.compile(r"[45][0-9][0-9]")
SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
COUNT = re.compile(r"[0-9]{1,9}")

log = logging.getLogger(__name__)


async def collect(event: Event, context: Context) -> Response:
    """Settle a task, or count its failure: 200 with the verdict, which the queue-worker never reads.

    Only the signed URL says which task this is: the called function chooses a callback's headers. Raises
    ForbiddenError, and UnavailableError when Redis cannot be reached (the sweep then finds the task lost).
    """
    collect_one = _collect_direct if event.path.rstrip("/") == DIRECT_PATH else _collect_task
    return Response.json(200, {"verdict": await collect_one(event, context)})


async def _collect_task(event: Event, context: Context) -> str:
    identity = bind_identity(context.signer.verify_query("callback", event.query))
    try:
        context.signer.verify_answer(identity, event.body, event.headers.get(SIGNATURE_HEADER, ""))
    except ForbiddenError:
        if context.settings.openfaas_pro and not _is_final(event):
            await context.ledger.extend(identity)
            return "extended"
        return await _fail(context, identity, event)
    return (await settle(context, identity, event.body, _seconds(event))).verdict


async def _collect_direct(event: Event, context: Context) -> str:
    """Settle a direct task with the model function's reply, which is not signed and decides nothing else."""
    identity = bind_identity(context.signer.verify_query("direct callback", event.query))
    call = _direct_call(event)
    context.metrics.called(call.reply.status, call.duration)
    if not call.succeeded and context.settings.openfaas_pro and not _is_final(event):
        await context.ledger.extend(identity)
        return "extended"
    if call.reply.status in BUSY:
        return await _fail(context, identity, event)
    try:
        return (await settle_direct(context, identity, call)).verdict
    except MissingObjectError:
        return "unknown"


async def _fail(context: Context, identity: Identity, event: Event) -> str:
    context.metrics.unanswered.inc()
    status = event.headers.get("X-Function-Status", "")
    log.warning("the task brought no answer", extra={"status": status if STATUS.fullmatch(status) else None})
    return await fail(context, identity, int(status) if FAILED_STATUS.fullmatch(status) else LOST_STATUS)


def _direct_call(event: Event) -> ModelCall:
    """Return the call that a direct callback reports; the queue-worker's own headers have its status and duration."""
    header = event.headers.get("X-Function-Status", "")
    status = int(header) if STATUS.fullmatch(header) else LOST_STATUS
    seconds = _seconds(event) or 0.0
    try:
        body = unpack_body(event.body, event.headers.get("Content-Encoding", ""), RESULT_LIMIT + 1)
    except BadRequestError:
        return ModelCall(Reply(BROKEN, b"the answer is not packed as its Content-Encoding says"), 1, seconds)
    if len(body) > RESULT_LIMIT:
        return ModelCall(too_large(), 1, 0.0)
    return ModelCall(Reply(status, body), 1, seconds)


def _seconds(event: Event) -> float | None:
    """Return how long the call took by the queue-worker's clock, None if it does not say."""
    header = event.headers.get("X-Duration-Seconds", "")
    return float(header) if SECONDS.fullmatch(header) else None


def _is_final(event: Event) -> bool:
    """Return whether no retry follows: with OpenFaaS Pro, X-Retry equals X-Retry-Max (docs, async retries)."""
    retry, retry_max = event.headers.get("X-Retry", ""), event.headers.get("X-Retry-Max", "")
    return not (COUNT.fullmatch(retry) and COUNT.fullmatch(retry_max) and int(retry) < int(retry_max))
