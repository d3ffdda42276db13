"""`open`: the queued opening of a batch whose input is too large to snapshot while its submitter waits."""

import uuid

from pipeline.context import Context
from pipeline.errors import BadRequestError, PipelineError
from pipeline.models import Event, Response
from pipeline.opening import NewBatch, abandon, open_batch
from pipeline.replies import State
from pipeline.store import MissingObjectError

OPENINGS_ALLOWED = 5


async def open_queued(event: Event, context: Context) -> Response:
    """Take the claim over and open the batch; a batch that is open already answers 200.

    An input that cannot be read ends the batch as failed, with the reason. Raises ForbiddenError.
    """
    owner = uuid.uuid4().hex
    name = context.signer.verify_query("open", event.query).batch
    try:
        submission = await context.specs.read(name)
    except MissingObjectError:
        # Its submitter died before it wrote anything: the id is free again.
        await abandon(context, name, "")
        return Response.json(200, {"batch_id": name, "verdict": "unknown"})
    verdict = await context.ledger.claim(name, owner, submission, queued=True)
    if verdict != "claimed":
        return Response.json(200, {"batch_id": name, "verdict": verdict})
    reason = _hopeless(await context.ledger.state(name)) or await _try(context, NewBatch(name, submission, owner))
    if reason:
        await abandon(context, name, owner, reason)
        return Response.json(200, {"batch_id": name, "verdict": "given up", "reason": reason})
    return Response.json(200, {"batch_id": name, "verdict": "opened"})


def _hopeless(state: State | None) -> str:
    """Return why an opening is not begun once more, '' where it is: it may have killed those that tried."""
    if state is None:
        return ""
    if state["cancel"]:
        return "cancelled before it was opened"
    if state.number("openings") <= OPENINGS_ALLOWED:
        return ""
    return f"its opening failed {OPENINGS_ALLOWED} times: {state['trouble'] or 'each time its replica died'}"


async def _try(context: Context, new: NewBatch) -> str:
    """Open the batch; returns why it can never be opened, '' when it is open, here or by another."""
    try:
        await open_batch(context, new)
    except BadRequestError as error:
        return str(error)
    except MissingObjectError:
        return f"the input {new.submission.spec.input!r} is gone"
    except Exception as error:
        await context.ledger.explain(new.name, str(error) if isinstance(error, PipelineError) else type(error).__name__)
        raise
    return ""
