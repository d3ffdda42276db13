"""Claim an id for a submission and open its batch, or answer with the batch that the same submission opened before."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec
from tenacity import AsyncRetrying, retry_if_result, stop_after_delay, wait_fixed

from pipeline.batch.delete import drop_stale_ledger
from pipeline.batch.open import NewBatch, abandon, being_opened, check_claim, claim, discard, open_batch
from pipeline.batch.recover import reopen_lost
from pipeline.concurrency import valid_for
from pipeline.context import Context
from pipeline.errors import BadRequestError, ConflictError, UnavailableError
from pipeline.request import Response
from pipeline.spec.batch_spec import BatchSpec
from pipeline.spec.input_format import content_type_of
from pipeline.spec.submission import Submission
from pipeline.status.document import status_url
from pipeline.status.saved_state import mark_open
from pipeline.store.batch_records import OpenMark
from pipeline.store.errors import MissingObjectError
from pipeline.tasks.release import enqueue_open
from pipeline.webhooks.signer import WebhookSigner

JOIN_PATIENCE = 5.0
# Less than the lease of a claim.
WRITING_SUBMISSION = 50.0


def check_targets(spec: BatchSpec, signer: WebhookSigner) -> None:
    """Raise BadRequestError if the specification has targets to notify and there is no key to sign with."""
    if spec.targets and not signer.current_keys():
        raise BadRequestError(
            f"{spec.targets[0].kind} needs the secret webhook-key, which is not mounted: it signs what is sent "
            "(pipeline/docs/deploy.md, 'Secrets')"
        )


async def check_function(context: Context, function: str) -> None:
    """Raise BadRequestError if there is no such function, unless the platform cannot tell now."""
    words = await context.gateway.missing_function(function)
    if words:
        raise BadRequestError(
            f"there is no function {function!r}: expected one that is deployed, and the gateway says: {words}"
        )


async def submit(context: Context, new: NewBatch, body: bytes | None, *, queued: bool) -> Response:
    """Claim the id and open the batch, or answer with the batch that the same submission has opened before.

    `body` is the input if the request carries it. With `queued` the snapshot is made by a queued opening. Raises
    ConflictError for the id of another submission, BadRequestError, UnavailableError.
    """
    batch = new.name
    await context.ledger.index.add_open(batch)
    claimed = await claim(context, new)
    if claimed.verdict in {"exists", "conflict"} and await drop_stale_ledger(context, batch):
        await context.ledger.index.add_open(batch)
        claimed = await claim(context, new)
    if claimed.verdict == "deleting":
        raise being_deleted(batch)
    if claimed.verdict == "conflict":
        raise id_in_use(batch)
    if claimed.verdict == "exists":
        return await _join(context, batch)
    try:
        response = await _answer_existing(context, new)
        if response is None:
            await check_function(context, new.submission.spec.function)
    except BaseException:
        await abandon(context, batch, new.owner)
        raise
    if response is None:
        new = replace(new, submission=msgspec.structs.replace(new.submission, epoch=claimed.epoch))
        return await _open(context, new, body, queued=queued)
    await abandon(context, batch, new.owner)
    # The claim has replaced the notices of an ended batch in Redis, which may be pending.
    await reopen_lost(context, batch)
    return response


async def _join(context: Context, batch: str) -> Response:
    """Answer with the batch of an earlier submission, once its opening is so far that the sweep would finish it."""

    async def will_open() -> bool:
        phase = await context.ledger.phase(batch)
        if phase is None or phase.state == "deleting":
            return False
        return phase.state != "opening" or await context.records.exists(batch)

    waiting = AsyncRetrying(
        retry=retry_if_result(lambda is_certain: not is_certain),
        stop=stop_after_delay(JOIN_PATIENCE),
        wait=wait_fixed(0.1),
        retry_error_callback=lambda _: False,
    )
    if not await waiting(will_open):
        raise being_opened(batch)
    return await _describe(context, batch)


async def _answer_existing(context: Context, new: NewBatch) -> Response | None:
    """Answer with the batch that S3 has under the claimed id, ended or not; None if the id is free.

    Raises ConflictError.
    """
    existing = await find_existing(context, new.name, new.submission.digest)
    if existing is None:
        return None
    if existing.status is None:
        return await _resume_forgotten(context, new)
    status = existing.status
    size = {"batch_size": status["items"], "tasks": status["tasks"], "state": status["state"]}
    return Response.json(200, {"batch_id": new.name, **size, "status_url": status_url(context.settings, new.name)})


async def _resume_forgotten(context: Context, new: NewBatch) -> Response | None:
    """Reopen a batch that Redis has forgotten; None if it has no snapshot yet, so that it is opened anew."""
    if not await context.snapshots.generations(new.name):
        return None
    if await context.records.read_marker(new.name) is None:
        await context.records.mark_open(new.name, OpenMark())
    await abandon(context, new.name, new.owner)
    await reopen_lost(context, new.name)
    return await _describe(context, new.name)


async def _open(context: Context, new: NewBatch, body: bytes | None, *, queued: bool) -> Response:
    """Open the claimed batch; an opening that fails here leaves nothing behind.

    Raises ConflictError if another function has taken the id since it was found free.
    """
    batch = new.name
    try:
        submission = await _write_submission(context, new, body)
        if queued:
            # Not before: an opening that finds no specification gives a claim up that was handed on.
            await claim(context, new, kind="renewed", hand_on=True)
            await enqueue_open(context, batch)
            return await _describe(context, batch)
        manifest = await open_batch(context, NewBatch(batch, submission, new.owner))
    except BaseException as error:
        await discard(context, new)
        if body is not None and isinstance(error, MissingObjectError):
            # What the request brought was there: its claim has expired, and another replica has given the opening up.
            raise being_opened(batch) from error
        raise
    if manifest is None:
        return await _describe(context, batch)
    size = {"batch_size": manifest.items, "tasks": manifest.tasks}
    return Response.json(201, {"batch_id": batch, **size, "status_url": status_url(context.settings, batch)})


async def _write_submission(context: Context, new: NewBatch, body: bytes | None) -> Submission:
    """Write all that an opening needs, the specification last; returns it with the ETag of an input in the body."""
    batch, submission, still_ours = new.name, new.submission, partial(check_claim, context, new)
    async with valid_for(WRITING_SUBMISSION, still_ours):
        await mark_open(context, batch)
        await context.records.owners.take(batch)
        await context.records.erase_late(batch, still_ours)
        if body is not None:
            content_type = content_type_of(submission.spec.input_format)
            stored = await context.store.put(submission.spec.input, body, content_type)
            submission = msgspec.structs.replace(submission, etag=stored.etag)
        await context.records.write(batch, submission)
    return submission


async def _describe(context: Context, batch: str) -> Response:
    """Answer with a batch that exists: 202 while it is being opened, 200 once its size is known."""
    state = await context.ledger.state(batch)
    if state is None:
        raise UnavailableError(f"Redis has lost batch {batch!r} just now: try again")
    document: dict[str, Any] = {"batch_id": batch, "state": state["state"]}
    if state["batch_size"]:
        document |= {"batch_size": state.number("batch_size"), "tasks": state.number("tasks")}
    status = 202 if document["state"] == "opening" else 200
    return Response.json(status, document | {"status_url": status_url(context.settings, batch)})


@dataclass(frozen=True)
class ExistingBatch:
    """A batch that S3 knows: its final status, or None if it has not ended."""

    status: dict[str, Any] | None


async def find_existing(context: Context, batch: str, digest: str) -> ExistingBatch | None:
    """Look in S3 for a batch with this id; None if the id is free.

    Raises ConflictError if that batch has another digest or is another function's, and if the objects under the id are
    no batch's.
    """
    try:
        submission = await context.records.read(batch)
    except MissingObjectError:
        if await context.records.is_foreign(batch):
            raise ConflictError(
                f"the bucket holds objects under {batch!r} that are no batch's: choose another id"
            ) from None
        return None
    if submission.digest != digest:
        raise ConflictError(f"batch {batch!r} had another specification or another input: choose another id")
    return ExistingBatch(await context.records.read_status(batch))


def id_in_use(batch: str) -> ConflictError:
    """Return the error for an id under which another submission is open."""
    return ConflictError(f"batch {batch!r} exists with another specification or another input: choose another id")


def being_deleted(batch: str) -> UnavailableError:
    """Return the error for an id whose batch is just being deleted."""
    return UnavailableError(f"batch {batch!r} is being deleted: try again in a moment, or choose another id")
