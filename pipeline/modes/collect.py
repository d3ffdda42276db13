"""`collect`: a callback brings a task's answer home; settle it once, and do what follows."""

import logging
import random
import re

from pipeline.answers.reply import BROKEN, RESULT_LIMIT, Reply, too_large
from pipeline.context import Context
from pipeline.errors import BadRequestError, ForbiddenError
from pipeline.identity import Identity
from pipeline.logs import bound
from pipeline.request import DIRECT_PATH, SIGNATURE_HEADER, Event, Response, unpack_body
from pipeline.store.errors import MissingObjectError
from pipeline.tasks.model_call import Called
from pipeline.tasks.settle import settle, settle_called, settle_failed, settle_skipped

BACKOFF_CAP = 60.0
LOST_STATUS = 502
STATUS = re.compile(r"[1-5][0-9][0-9]")
FAILED_STATUS = re.compile(r"[45][0-9][0-9]")
SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
COUNT = re.compile(r"[0-9]{1,9}")
BUSY = frozenset({429, 503})

log = logging.getLogger(__name__)


async def collect(event: Event, context: Context) -> Response:
    """Settle a task, or count its failure; the answer only says which, since the queue-worker never reads it.

    Only the signed URL says what this belongs to: a callback's headers are the called function's own choice.
    Raises ForbiddenError, and UnavailableError when Redis cannot be reached (the sweep then finds the task lost).
    """
    if event.path.rstrip("/") == DIRECT_PATH:
        return await _collect_direct(event, context)
    identity = bound(context.signer.verify_query("callback", event.query))
    try:
        context.signer.verify_answer(identity, event.body, event.headers.get(SIGNATURE_HEADER, ""))
    except ForbiddenError:
        if context.settings.openfaas_pro and not _is_final(event):
            await context.ledger.extend(identity)
            return Response.json(200, {"verdict": "extended"})
        return Response.json(200, {"verdict": await _fail(context, identity, event)})
    settled = await settle(context, identity, event.body, _seconds(event))
    return Response.json(200, {"verdict": settled.verdict})


async def _collect_direct(event: Event, context: Context) -> Response:
    """Settle a direct task with what the model function answered: nothing of it is signed, and none of it steers."""
    identity = bound(context.signer.verify_query("direct callback", event.query))
    called = _called(event)
    context.metrics.called(called.reply.status, called.duration)
    if not called.succeeded and context.settings.openfaas_pro and not _is_final(event):
        await context.ledger.extend(identity)
        return Response.json(200, {"verdict": "extended"})
    if called.reply.status in BUSY:
        return Response.json(200, {"verdict": await _fail(context, identity, event)})
    try:
        settled = await settle_called(context, identity, called)
    except MissingObjectError:
        return Response.json(200, {"verdict": "unknown"})
    return Response.json(200, {"verdict": settled.verdict})


def _called(event: Event) -> Called:
    """Read a callback as the reply of a call; the queue-worker's own headers say how it went."""
    given = event.headers.get("X-Function-Status", "")
    status = int(given) if STATUS.fullmatch(given) else LOST_STATUS
    seconds = _seconds(event) or 0.0
    try:
        body = unpack_body(event.body, event.headers.get("Content-Encoding", ""), RESULT_LIMIT + 1)
    except BadRequestError:
        return Called(Reply(BROKEN, b"the answer is not packed as its Content-Encoding says"), 1, seconds)
    if len(body) > RESULT_LIMIT:
        return Called(too_large(), 1, 0.0)
    return Called(Reply(status, body), 1, seconds)


def _seconds(event: Event) -> float | None:
    """Return how long the queue-worker says that it took."""
    given = event.headers.get("X-Duration-Seconds", "")
    return float(given) if SECONDS.fullmatch(given) else None


async def _fail(context: Context, identity: Identity, event: Event) -> str:
    """The callback brings no usable answer: the task runs again later, or its items have failed."""
    context.metrics.unanswered.inc()
    given = event.headers.get("X-Function-Status", "")
    status = int(given) if FAILED_STATUS.fullmatch(given) else LOST_STATUS
    log.warning("the task brought no answer", extra={"status": given if STATUS.fullmatch(given) else None})
    # Overload says nothing of the task: it waits for its turn, and only the deadline ends that.
    attempts = 0 if status in BUSY else await _attempts(context, identity)
    backoff = random.uniform(0.5, 1) * min(BACKOFF_CAP, 2**identity.attempt)  # noqa: S311
    verdict = await context.ledger.fail(identity, attempts, backoff)
    if verdict == "exhausted":
        reason = f"the task brought no answer in {attempts} attempts (the last: status {status})"
        await settle_failed(context, identity, status, reason)
    elif verdict == "skip":
        await settle_skipped(context, identity)
    return verdict


async def _attempts(context: Context, identity: Identity) -> int:
    """Return how often a task is tried; 0 for a batch that is deleted, of which the ledger then knows nothing."""
    try:
        return (await context.specs.get(identity.batch, identity.epoch)).attempts
    except MissingObjectError:
        return 0


def _is_final(event: Event) -> bool:
    """X-Retry equal to X-Retry-Max is OpenFaaS Pro's last try (docs, async retries)."""
    tried, most = event.headers.get("X-Retry", ""), event.headers.get("X-Retry-Max", "")
    return not (COUNT.fullmatch(tried) and COUNT.fullmatch(most) and int(tried) < int(most))
