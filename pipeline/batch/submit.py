"""Claim an id for a submission and open its batch, or answer with the batch that the same submission opened before."""

from dataclasses import replace
from typing import Any

import msgspec
from tenacity import AsyncRetrying, retry_if_result, stop_after_delay, wait_fixed

from pipeline.batch.delete import disown_outlived
from pipeline.batch.lookup import another, being_deleted, find_kept
from pipeline.batch.open import NewBatch, abandon, claim, discard, open_batch, reopen
from pipeline.context import Context
from pipeline.errors import UnavailableError
from pipeline.request import Response
from pipeline.spec.input_format import content_type_of
from pipeline.status.document import status_url
from pipeline.status.open_mark import mark_open
from pipeline.store.batch_records import Marker
from pipeline.tasks.follow_up import enqueue_open

JOIN_PATIENCE = 5.0


async def submit(context: Context, new: NewBatch, body: bytes | None, *, queued: bool) -> Response:
    """Claim the id and open the batch, or answer with the one that the same submission has opened before."""
    name = new.name
    await context.ledger.index.note(name)
    claimed = await claim(context, new, hand_on=queued)
    if claimed.verdict in {"exists", "conflict"} and await disown_outlived(context, name):
        await context.ledger.index.note(name)
        claimed = await claim(context, new, hand_on=queued)
    if claimed.verdict == "deleting":
        raise being_deleted(name)
    if claimed.verdict == "conflict":
        raise another(name)
    if claimed.verdict == "exists":
        return await _joined(context, name)
    try:
        known = await _known(context, new)
    except BaseException:
        await abandon(context, name, new.owner)
        raise
    if known is None:
        new = replace(new, submission=msgspec.structs.replace(new.submission, epoch=claimed.epoch))
        return await _open(context, new, body, queued=queued)
    await abandon(context, name, new.owner)
    # What was noted of one that still tells of its end went with the claim.
    await reopen(context, name)
    return known


async def _joined(context: Context, name: str) -> Response:
    """Answer with the batch of another submission, once that has come so far that it is gone on with."""

    async def is_certain() -> bool:
        phase = await context.ledger.phase(name)
        if phase is None or phase.state == "deleting":
            return False
        return phase.state != "opening" or await context.specs.exists(name)

    waiting = AsyncRetrying(
        retry=retry_if_result(lambda certain: not certain),
        stop=stop_after_delay(JOIN_PATIENCE),
        wait=wait_fixed(0.1),
        retry_error_callback=lambda _: False,
    )
    if not await waiting(is_certain):
        raise UnavailableError(f"batch {name!r} is being opened by another request: try again in a moment")
    return await _describe(context, name)


async def _known(context: Context, new: NewBatch) -> Response | None:
    """Look for what Redis may have forgotten of a claimed id: a batch that has ended answers as it is, None is free.

    Raises ConflictError.
    """
    kept = await find_kept(context, new.name, new.submission.digest)
    if kept is None:
        return None
    if kept.status is None:
        return await _forgotten(context, new)
    size = {"batch_size": kept.status["items"], "tasks": kept.status["tasks"], "state": kept.status["state"]}
    return Response.json(200, {"batch_id": new.name, **size, "status_url": status_url(context.settings, new.name)})


async def _forgotten(context: Context, new: NewBatch) -> Response | None:
    """Go on with a batch that Redis has forgotten; None where it had not come as far as a snapshot."""
    if not await context.snapshots.generations(new.name):
        return None
    if await context.specs.read_marker(new.name) is None:
        await context.specs.mark_open(new.name, Marker())
    await abandon(context, new.name, new.owner)
    await reopen(context, new.name)
    return await _describe(context, new.name)


async def _open(context: Context, new: NewBatch, body: bytes | None, *, queued: bool) -> Response:
    """Open the claimed batch; an opening that fails here leaves nothing behind."""
    name, submission = new.name, new.submission
    try:
        await mark_open(context, name)
        if body is not None:
            kind = content_type_of(submission.spec.input_format)
            stored = await context.store.put(submission.spec.input, body, kind)
            submission = msgspec.structs.replace(submission, etag=stored.etag)
        await context.specs.write(name, submission)
        if queued:
            await enqueue_open(context, name)
            return await _describe(context, name)
        opened = await open_batch(context, NewBatch(name, submission, new.owner))
    except BaseException:
        await discard(context, new)
        raise
    if opened is None:
        return await _describe(context, name)
    size = {"batch_size": opened.items, "tasks": opened.tasks}
    return Response.json(201, {"batch_id": name, **size, "status_url": status_url(context.settings, name)})


async def _describe(context: Context, name: str) -> Response:
    """Answer with a batch that exists: 202 while it is being opened, 200 once its size is known."""
    state = await context.ledger.state(name)
    if state is None:
        raise UnavailableError(f"Redis has lost batch {name!r} just now: try again")
    document: dict[str, Any] = {"batch_id": name, "state": state["state"]}
    if state["batch_size"]:
        document |= {"batch_size": state.number("batch_size"), "tasks": state.number("tasks")}
    status = 202 if document["state"] == "opening" else 200
    return Response.json(status, document | {"status_url": status_url(context.settings, name)})
