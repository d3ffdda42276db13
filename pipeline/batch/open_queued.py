"""The queued opening of a batch: of one with a large input, and of one whose ledger Redis has lost."""

import uuid

from pipeline.batch.delete import delete_batch
from pipeline.batch.open import NewBatch, abandon, claim, fail, open_batch
from pipeline.batch.rebuild import rebuild
from pipeline.batch.recover import has_ended
from pipeline.batch.sweep import sweep_batch
from pipeline.context import Context
from pipeline.errors import BadRequestError, PipelineError, UnavailableError
from pipeline.store.errors import MissingObjectError
from pipeline.tasks.missing import note_missing

OPENINGS_ALLOWED = 5


async def open_claimed(context: Context, batch: str) -> tuple[str, str]:
    """Take the claim over and open the batch, or rebuild its ledger; returns the verdict, and why it is given up.

    An input that cannot be read ends the batch as failed, with the reason. The verdict is `opened`, `given up`,
    `ended`, `unknown`, or the one of a claim that was not granted.
    """
    owner = uuid.uuid4().hex
    try:
        submission = await context.records.read(batch)
    except MissingObjectError:
        # Its submitter died before it had written all that an opening needs: the id is free unless it is claimed.
        await abandon(context, batch, "")
        if await context.records.read_marker(batch) is not None:
            await delete_batch(context, batch)
        return "unknown", ""
    new = NewBatch(batch, submission, owner)
    verdict: str = (await claim(context, new, kind="queued")).verdict
    if verdict == "claimed" and await has_ended(context, batch):
        verdict = "ended"
    if verdict in {"conflict", "ended"}:
        # The message is from a submission that died before it saw that the id is not free.
        await abandon(context, batch, owner if verdict == "ended" else "")
    if verdict != "claimed":
        return verdict, ""
    reason = await _reason_to_give_up(context, batch) or await _try_to_open(context, new)
    if reason:
        await fail(context, new, reason)
        return "given up", reason
    return "opened", ""


async def _reason_to_give_up(context: Context, batch: str) -> str:
    """Return why the opening is not tried again, '' if it is: it may have killed the replicas that tried.

    A batch that has a snapshot may have results: it is rebuilt, however often that takes, unless a part of it is lost.
    """
    state = await context.ledger.state(batch)
    if state is not None and state["lost"]:
        return state["reason"]
    if state is None or await context.snapshots.generations(batch):
        return ""
    if state["cancel"]:
        return "cancelled before it was opened"
    if state.number("openings") <= OPENINGS_ALLOWED:
        return ""
    return f"its opening failed {OPENINGS_ALLOWED} times: {state['trouble'] or 'each time its replica died'}"


async def _try_to_open(context: Context, new: NewBatch) -> str:
    """Open the batch; returns why it can never be opened, '' when it is open, here or by another replica."""
    try:
        if await _rebuild(context, new):
            await sweep_batch(context, new.name)
        else:
            await open_batch(context, new, queued=True)
    except BadRequestError as error:
        return str(error)
    except MissingObjectError:
        return f"the input {new.submission.spec.input!r} is gone"
    except Exception as error:
        trouble = str(error) if isinstance(error, PipelineError) else type(error).__name__
        await context.ledger.note_trouble(new.name, new.owner, trouble)
        raise
    return ""


async def _rebuild(context: Context, new: NewBatch) -> bool:
    """Rebuild the ledger if there is a snapshot; one of its objects that is missing is not a missing input."""
    try:
        return await rebuild(context, new) is not None
    except MissingObjectError as error:
        await note_missing(context, new.name, error.objects)
        raise UnavailableError(f"batch {new.name}: {error}") from error
