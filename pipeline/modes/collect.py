"""`collect`: a callback brings a task's answer home; settle the task once, and perform the duties that follow."""

import logging
import re

from pipeline.answers.reply import BROKEN, RESULT_LIMIT, Reply, too_large
from pipeline.bodies import unpack_body
from pipeline.concurrency import off_loop
from pipeline.context import Context
from pipeline.errors import BadRequestError, ForbiddenError
from pipeline.identity import Identity
from pipeline.logs import bind_identity
from pipeline.openfaas.origin import STAMP, names_missing_function
from pipeline.request import DIRECT_PATH, SIGNATURE_HEADER, Event, Response
from pipeline.store.errors import MissingObjectError
from pipeline.tasks.missing import note_missing
from pipeline.tasks.model_call import ModelCall
from pipeline.tasks.settle import BUSY, fail, settle, settle_direct

LOST_STATUS = 502
REDIRECTED = 302
REDIRECT_REASON = b"the model function redirected the call, and the queue-worker followed: no answer of its own"
STATUS = re.compile(r"[1-5][0-9][0-9]")
FAILED_STATUS = re.compile(r"[45][0-9][0-9]")
SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
COUNT = re.compile(r"[0-9]{1,9}")

log = logging.getLogger(__name__)


async def collect(event: Event, context: Context, identity: Identity) -> Response:
    """Settle a task, or count its failure: 200 with the verdict, which the queue-worker never reads.

    Only the signed URL says which task this is: the called function chooses a callback's headers. Raises
    UnavailableError when Redis cannot be reached (the sweep then finds the task lost).
    """
    bind_identity(identity)
    collect_one = _collect_direct if event.path.rstrip("/") == DIRECT_PATH else _collect_task
    return Response.json(200, {"verdict": await collect_one(event, context, identity)})


async def _collect_task(event: Event, context: Context, identity: Identity) -> str:
    try:
        signature = event.headers.get(SIGNATURE_HEADER, "")
        await off_loop(len(event.body), context.signer.verify_answer, identity, event.body, signature)
    except ForbiddenError:
        if _runs_again(context, event):
            await context.ledger.extend(identity)
            return "extended"
        return await _fail(context, identity, event)
    return (await settle(context, identity, event.body, _seconds(event))).verdict


async def _collect_direct(event: Event, context: Context, identity: Identity) -> str:
    """Settle a direct task with the model function's reply, which is not signed and decides nothing else."""
    retries = _count(event, "X-Retry") or 0 if context.settings.openfaas_pro else 0
    call = await _direct_call(event, retries)
    context.metrics.called(call.reply.status, call.duration)
    if _runs_again(context, event):
        await context.ledger.extend(identity)
        return "extended"
    if (call.reply.status in BUSY and not retries) or await _is_trouble(context, identity, call, event):
        return await _fail(context, identity, event)
    if await _is_redirected(context, call, event):
        call = ModelCall(Reply(REDIRECTED, REDIRECT_REASON), call.attempts, call.duration)
    try:
        return (await settle_direct(context, identity, call)).verdict
    except MissingObjectError as error:
        await note_missing(context, identity.batch, error.objects)
        return "unknown"


async def _is_trouble(context: Context, identity: Identity, call: ModelCall, event: Event) -> bool:
    """Return whether the platform did not reach the model function, which exists for all that is known."""
    if not await context.gateway.is_own_answer(call.reply.status, event.headers):
        return False
    if not names_missing_function(call.reply.status, call.reply.body):
        return True
    state = await context.ledger.state(identity.batch)
    return state is not None and (state.number("not_found") < 0 or state["generation"] != state["base"])


async def _is_redirected(context: Context, call: ModelCall, event: Event) -> bool:
    """Return whether another server answered, to which the queue-worker followed a redirect of the model function."""
    return call.succeeded and STAMP not in event.headers and await context.gateway.stamps_answers() is True


async def _fail(context: Context, identity: Identity, event: Event) -> str:
    context.metrics.unanswered.inc()
    status = event.headers.get("X-Function-Status", "")
    log.warning("the task brought no answer", extra={"status": status if STATUS.fullmatch(status) else None})
    unreached = await context.gateway.is_own_answer(_status(event), event.headers)
    number = int(status) if FAILED_STATUS.fullmatch(status) else LOST_STATUS
    return await fail(context, identity, number, unreached=unreached)


async def _direct_call(event: Event, retries: int) -> ModelCall:
    """Return the call that a direct callback reports; the queue-worker's own headers have its status and duration."""
    status, calls = _status(event) or LOST_STATUS, 1 + retries
    seconds = _seconds(event) or 0.0
    try:
        encoding = event.headers.get("Content-Encoding", "")
        body = await off_loop(RESULT_LIMIT if encoding else 0, unpack_body, event.body, encoding, RESULT_LIMIT + 1)
    except BadRequestError:
        return ModelCall(Reply(BROKEN, b"the answer is not packed as its Content-Encoding says"), calls, seconds)
    if len(body) > RESULT_LIMIT:
        return ModelCall(too_large(), calls, 0.0)
    return ModelCall(Reply(status, body), calls, seconds)


def _seconds(event: Event) -> float | None:
    """Return how long the call took by the queue-worker's clock, None if it does not say."""
    header = event.headers.get("X-Duration-Seconds", "")
    return float(header) if SECONDS.fullmatch(header) else None


def _status(event: Event) -> int:
    """Return the status of the call by the queue-worker, 0 if it does not say."""
    header = event.headers.get("X-Function-Status", "")
    return int(header) if STATUS.fullmatch(header) else 0


def _runs_again(context: Context, event: Event) -> bool:
    """Return whether the queue-worker repeats the call by itself.

    With OpenFaaS Pro, a status that is not retried is final, and so is X-Retry equal to X-Retry-Max (docs, retries).
    """
    retry, retry_max = _count(event, "X-Retry"), _count(event, "X-Retry-Max")
    has_retries_left = retry is not None and retry_max is not None and retry < retry_max
    return has_retries_left and context.settings.is_retried(_status(event))


def _count(event: Event, name: str) -> int | None:
    header = event.headers.get(name, "")
    return int(header) if COUNT.fullmatch(header) else None
