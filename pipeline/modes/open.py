"""`open`: the queued opening of a batch: of one with a large input, and of one that Redis has forgotten."""

import uuid

from pipeline.batch.delete import delete_batch
from pipeline.batch.lookup import has_ended
from pipeline.batch.open import NewBatch, abandon, claim, open_batch
from pipeline.batch.rebuild import rebuild
from pipeline.batch.sweep import sweep_batch
from pipeline.context import Context
from pipeline.errors import BadRequestError, PipelineError, UnavailableError
from pipeline.logs import bound
from pipeline.request import Event, Response
from pipeline.store.errors import MissingObjectError

OPENINGS_ALLOWED = 5


async def open_queued(event: Event, context: Context) -> Response:
    """Take the claim over and open the batch, or rebuild its ledger; a batch that is open already answers 200.

    An input that cannot be read ends the batch as failed, with the reason. Raises ForbiddenError.
    """
    owner = uuid.uuid4().hex
    name = bound(context.signer.verify_query("open", event.query), task=False).batch
    try:
        submission = await context.specs.read(name)
    except MissingObjectError:
        # Its submitter died before it had written all that an opening needs: the id is free unless it is claimed.
        await abandon(context, name, "")
        if await context.specs.read_marker(name) is not None:
            await delete_batch(context, name)
        return Response.json(200, {"batch_id": name, "verdict": "unknown"})
    new = NewBatch(name, submission, owner)
    verdict: str = (await claim(context, new, kind="queued")).verdict
    if verdict == "claimed" and await has_ended(context, name):
        verdict = "ended"
    if verdict in {"conflict", "ended"}:
        # Left by a submission that died before it saw that the id is not free.
        await abandon(context, name, owner if verdict == "ended" else "")
    if verdict != "claimed":
        return Response.json(200, {"batch_id": name, "verdict": verdict})
    reason = await _hopeless(context, name) or await _try(context, new)
    if reason:
        await abandon(context, name, owner, reason)
        return Response.json(200, {"batch_id": name, "verdict": "given up", "reason": reason})
    return Response.json(200, {"batch_id": name, "verdict": "opened"})


async def _hopeless(context: Context, name: str) -> str:
    """Return why an opening is not begun once more, '' where it is: it may have killed those that tried.

    A batch that has a snapshot may have results: it is rebuilt, however often that takes.
    """
    state = await context.ledger.state(name)
    if state is None or await context.snapshots.generations(name):
        return ""
    if state["cancel"]:
        return "cancelled before it was opened"
    if state.number("openings") <= OPENINGS_ALLOWED:
        return ""
    return f"its opening failed {OPENINGS_ALLOWED} times: {state['trouble'] or 'each time its replica died'}"


async def _rebuilt(context: Context, new: NewBatch) -> bool:
    """Rebuild the ledger where there is a snapshot; an object that goes meanwhile is no missing input."""
    try:
        return await rebuild(context, new) is not None
    except MissingObjectError as error:
        raise UnavailableError(f"batch {new.name}: {error}") from error


async def _try(context: Context, new: NewBatch) -> str:
    """Open the batch; returns why it can never be opened, '' when it is open, here or by another."""
    try:
        if await _rebuilt(context, new):
            await sweep_batch(context, new.name)
        else:
            await open_batch(context, new)
    except BadRequestError as error:
        return str(error)
    except MissingObjectError:
        return f"the input {new.submission.spec.input!r} is gone"
    except Exception as error:
        await context.ledger.note_trouble(
            new.name, str(error) if isinstance(error, PipelineError) else type(error).__name__
        )
        raise
    return ""
