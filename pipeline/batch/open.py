"""Open a batch: claim its id, snapshot the input, begin generation 0, release the first window."""

import logging
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import polars as pl

from pipeline.batch.delete import delete_batch
from pipeline.batch.generation import plan
from pipeline.concurrency import repeated
from pipeline.context import Context
from pipeline.errors import ConflictError, UnavailableError
from pipeline.inputs.check_query import check_query
from pipeline.inputs.open_input import open_input
from pipeline.ledger.ledger import OPENING_LEASE, ClaimKind
from pipeline.ledger.replies import Claim
from pipeline.notify.tell import recall, tell_soon
from pipeline.spec.field_rules import TURNS
from pipeline.spec.submission import Submission
from pipeline.status.final_status import close_batch
from pipeline.store.batch_records import Marker, are_pending
from pipeline.store.errors import MissingObjectError
from pipeline.store.keys import spec
from pipeline.store.snapshot import Manifest
from pipeline.tasks.follow_up import enqueue_open, enqueue_reduce
from pipeline.tasks.release import release_first

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NewBatch:
    """A batch claimed by `owner`."""

    name: str
    submission: Submission
    owner: str


async def claim(
    context: Context, new: NewBatch, *, kind: ClaimKind = "new", hand_on: bool = False, marker: Marker | None = None
) -> Claim:
    """Claim the batch's id for its opening, or renew the claim; `hand_on` lets a queued one take it over at once.

    `marker` is what is known of a batch that Redis has forgotten.
    """
    requested = marker.fields() if marker else {}
    ahead = TURNS * context.settings.task_timeout
    return await context.ledger.claim(
        new.name, new.owner, new.submission, ahead=ahead, kind=kind, hand_on=hand_on, requested=requested
    )


async def open_batch(context: Context, new: NewBatch) -> Manifest | None:
    """Open the batch; returns None when the claim was lost to another, who opens it.

    Raises BadRequestError when the input cannot be read or `sql` does not fit it, MissingObjectError when it is gone.
    """
    spec = new.submission.spec

    renewal = repeated(lambda: claim(context, new, kind="renewed"), OPENING_LEASE / 3)
    async with renewal, open_input(context, new.submission) as given:
        await check_query(context, spec, given.schema)
        # Two replicas read the same of an object, and not of a list.
        frames = _while_claimed(context, new, given.frames) if spec.address.is_prefix else given.frames
        manifest = await context.snapshots.write(new.name, 0, frames, given.shape, given.chunk)
    generation = plan(spec, 0, 0, manifest, given.chunk, manifest.items)
    verdict, tasks = await context.ledger.begin(new.name, new.owner, generation)
    if verdict == "lost":
        return None
    context.metrics.opened.inc()
    log.info("batch opened", extra={"items": manifest.items, "tasks": manifest.tasks})
    try:
        await release_first(context, new.name, 0, spec.function, tasks)
    except UnavailableError as error:
        # The batch is open, and what is missing is due: its submitter is told so, not that it failed.
        log.warning("the first releases are put off", extra={"error": str(error)})
    if verdict == "reducing":
        await enqueue_reduce(context, new.name, 0)
    return manifest


async def _while_claimed(
    context: Context, new: NewBatch, frames: AsyncIterator[pl.DataFrame]
) -> AsyncIterator[pl.DataFrame]:
    """Yield frames while the claim is held; raises UnavailableError once another opens the batch."""
    async for frame in frames:
        if (await claim(context, new, kind="renewed")).verdict != "claimed":
            raise UnavailableError(f"batch {new.name!r} is being opened by another request: try again in a moment")
        yield frame


async def abandon(context: Context, name: str, owner: str, reason: str = "") -> None:
    """Give up a claim: with a reason the batch ends as failed, without one its id is free again."""
    if not await context.ledger.abandon(name, owner, reason):
        return
    if reason:
        context.metrics.ended("failed")
        # Not the reason, which may quote the input: the status has it.
        log.info("batch ended", extra={"state": "failed"})
        await context.snapshots.drop(name, 0)
        await close_batch(context, name)
        tell_soon(context, name)
    else:
        await context.ledger.index.forget(name)


async def reopen(context: Context, name: str) -> bool:
    """Queue an opening for a batch that Redis has forgotten, and that S3 says is open; returns whether there is one.

    An opening that finds a snapshot rebuilds the ledger. One that has ended stays forgotten; where somebody is still to
    be told of it, that is gone on with. Raises ConflictError for a batch that is being deleted.
    """
    marker = await context.specs.read_marker(name)
    if marker is None:
        return False
    try:
        submission = await context.specs.read(name)
    except MissingObjectError:
        # Its submitter died before it had written all that an opening needs; another one who has the claim goes on.
        await delete_batch(context, name)
        return False
    ended = await context.specs.read_end(name)
    if ended is not None and ended["generation"] >= marker.base:
        if are_pending(ended):
            await recall(context, name, ended)
        else:
            await context.specs.close(name, ended)
        return False
    await context.ledger.index.note(name)
    claimed = await claim(context, NewBatch(name, submission, uuid.uuid4().hex), hand_on=True, marker=marker)
    if claimed.verdict == "deleting":
        raise ConflictError(f"batch {name!r} is being deleted")
    if claimed.verdict == "claimed":
        log.warning("Redis has forgotten the batch, and it is opened again", extra={"batch": name})
        await enqueue_open(context, name)
    return True


async def discard(context: Context, new: NewBatch) -> None:
    """Give up an opening that its submitter is told about: nothing of it is left, and then its id is free again."""
    if (await claim(context, new)).verdict == "claimed":
        # The specification first: who meets the claim now is not told that the batch will run.
        await context.store.delete(spec(new.name))
        await context.specs.erase(new.name)
        await abandon(context, new.name, new.owner)
