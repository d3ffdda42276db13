"""Open a batch: claim its id, snapshot the input, begin generation 0, release the first window; or give it up."""

import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial

import polars as pl

from pipeline.batch.generations import plan_generation
from pipeline.capacity import Caller
from pipeline.concurrency import renew_every
from pipeline.context import Context
from pipeline.errors import UnavailableError
from pipeline.inputs.open_input import open_input
from pipeline.ledger.ledger import OPENING_LEASE, ClaimKind
from pipeline.ledger.replies import Claim
from pipeline.notify.deliver import announce_end
from pipeline.spec.field_rules import RATE_SHARE
from pipeline.spec.submission import Submission
from pipeline.store.batch_records import OpenMark
from pipeline.store.snapshot import Manifest
from pipeline.tasks.release import enqueue_reduce, release_first

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NewBatch:
    """A batch to open; `owner` names the opening in the claim."""

    name: str
    submission: Submission
    owner: str


async def claim(
    context: Context, new: NewBatch, *, kind: ClaimKind = "new", hand_on: bool = False, marker: OpenMark | None = None
) -> Claim:
    """Claim the batch's id for its opening, or renew the claim; `hand_on` lets a queued opening take it over at once.

    `marker` is the mark in S3 of a batch that Redis has forgotten.
    """
    requested = marker.fields() if marker else {}
    ahead = RATE_SHARE * context.settings.task_timeout
    return await context.ledger.claim(
        new.name, new.owner, new.submission, ahead=ahead, kind=kind, hand_on=hand_on, requested=requested
    )


async def renew_claim(context: Context, new: NewBatch) -> bool:
    """Renew the claim; returns whether it is still held."""
    return (await claim(context, new, kind="renewed")).verdict == "claimed"


def renewed_claim(context: Context, new: NewBatch) -> AbstractAsyncContextManager[None]:
    """Renew the claim while a block runs, which has the right to write for as long."""
    return renew_every(OPENING_LEASE / 3, partial(renew_claim, context, new), lease=OPENING_LEASE)


async def open_batch(context: Context, new: NewBatch, *, queued: bool = False) -> Manifest | None:
    """Open the batch; returns None if the claim was lost to another opening. A `queued` opening waits for its turn.

    Raises BadRequestError if the input cannot be read or `sql` does not fit it, MissingObjectError if it is gone.
    """
    spec, caller = new.submission.spec, Caller(new.name, is_patient=queued)
    async with renewed_claim(context, new), open_input(context, new.submission, caller) as source:
        # Two replicas read the same rows of an object, but not of a prefix, which may hold another object by now.
        frames = _while_claimed(context, new, source.frames) if spec.address.is_prefix else source.frames
        manifest = await context.snapshots.write(new.name, 0, frames, source.shape, source.chunk)
    generation = plan_generation(spec, 0, 0, manifest, source.chunk, manifest.items)
    verdict, tasks = await context.ledger.begin(new.name, new.owner, generation)
    if verdict == "lost":
        return None
    context.metrics.opened.inc()
    log.info("batch opened", extra={"items": manifest.items, "tasks": manifest.tasks})
    try:
        await release_first(context, new.name, 0, spec.function, tasks)
    except UnavailableError as error:
        # The batch is open and the releases are due: this is no failure for its submitter.
        log.warning("the first releases are put off", extra={"error": str(error)})
    if verdict == "reducing":
        await enqueue_reduce(context, new.name, 0)
    return manifest


async def _while_claimed(
    context: Context, new: NewBatch, frames: AsyncIterator[pl.DataFrame]
) -> AsyncIterator[pl.DataFrame]:
    """Yield frames while the claim is held; raises UnavailableError once another opening has it."""
    async for frame in frames:
        await check_claim(context, new)
        yield frame


async def abandon(context: Context, batch: str, owner: str) -> None:
    """Give up a claim: the id is free again. Without an owner, a claim that has expired or was handed on."""
    if await context.ledger.abandon(batch, owner):
        await context.ledger.index.remove(batch)


async def fail(context: Context, new: NewBatch, reason: str) -> None:
    """End a batch that cannot be opened. Raises UnavailableError if the claim is lost."""
    state = await context.ledger.state(new.name)
    # A batch that has lost an object had begun before.
    if state is not None and not state["lost"]:
        await context.snapshots.drop(new.name, 0, partial(check_claim, context, new))
    if await context.ledger.abandon(new.name, new.owner, reason):
        context.metrics.ended("failed")
        # Not the reason, which may quote the input: the status has it.
        log.info("batch ended", extra={"state": "failed"})
        await announce_end(context, new.name)


async def discard(context: Context, new: NewBatch) -> None:
    """Give up an opening whose error goes to its submitter: delete all of its objects, then free its id."""
    renewed = await claim(context, new, kind="renewed")
    # Redis may have lost the claim, and with it what another opening could have taken over.
    if (await claim(context, new) if renewed.verdict == "unknown" else renewed).verdict == "claimed":
        still_ours = partial(check_claim, context, new)
        # The specification first: its absence tells another submission that this batch will not run.
        await context.records.withdraw(new.name, still_ours)
        await context.records.erase(new.name, still_ours)
        await abandon(context, new.name, new.owner)


async def check_claim(context: Context, new: NewBatch) -> None:
    """Renew the claim; raises UnavailableError once another opening has it."""
    if not await renew_claim(context, new):
        raise being_opened(new.name)


def being_opened(batch: str) -> UnavailableError:
    """Return the error for a request that comes during an opening, or that has lost its claim to another one."""
    return UnavailableError(f"batch {batch!r} is being opened by another request: try again in a moment")
