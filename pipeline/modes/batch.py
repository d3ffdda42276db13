"""`batch`: claim the id, snapshot the input, open the ledger, release the first window."""

import hashlib
import uuid
from dataclasses import replace
from typing import Any

import msgspec
from structlog.contextvars import bind_contextvars
from tenacity import AsyncRetrying, retry_if_result, stop_after_delay, wait_fixed

from pipeline.batch.delete import disown_outlived
from pipeline.batch.dry_run import try_out
from pipeline.batch.open import NewBatch, abandon, claim, discard, open_batch, reopen
from pipeline.context import Context
from pipeline.errors import BadRequestError, UnavailableError
from pipeline.ids import another, being_deleted, find_kept
from pipeline.inputs.check_query import read_columns
from pipeline.inputs.s3_prefix import look_at, nothing_there
from pipeline.notify.tell import check_targets
from pipeline.outputs.query import check_query
from pipeline.request import MIB, RESERVED_IDS, Event, Response, check_batch_id
from pipeline.spec.batch_spec import BatchSpec, Submission
from pipeline.spec.input_format import FORMATS, content_type_of
from pipeline.spec.request_body import read_request
from pipeline.status.document import status_url
from pipeline.store.batch_records import Marker
from pipeline.store.bucket import MissingObjectError, ObjectInfo
from pipeline.store.keys import is_output
from pipeline.tasks.follow_up import enqueue_open, mark_open

INLINE_SNAPSHOT = 64 * MIB
JOIN_PATIENCE = 5.0


async def batch(event: Event, context: Context) -> Response:
    """Open a batch: 201 with its size, or 202 where the snapshot is made by a queued invocation. A dry run: 200.

    The body is the key of an input, a JSON specification, or the input itself (with its Content-Type, or a JSON array);
    options of the first and the last come from the query. Raises BadRequestError, ConflictError, UnavailableError.
    """
    name = check_batch_id(event.headers.get("X-Batch-Id") or str(uuid.uuid4()))
    bind_contextvars(batch=name)
    spec, body = read_request(event, context, name)
    check_targets(spec, context.webhooks)
    await context.phases.check_server()
    if body is None:
        found, queued = await _find_input(context, spec)
        source = found.etag
    else:
        found, queued = ObjectInfo(spec.input, "", len(body)), len(body) > INLINE_SNAPSHOT
        source = hashlib.sha256(body).hexdigest()
    submission = Submission(spec.model_dump(exclude_defaults=True), found.etag, found.size, source)
    if spec.dry_run:
        return Response.json(200, await try_out(context, name, submission, body, queued=queued))
    if queued and spec.sql is not None and (columns := await read_columns(context, spec, found)) is not None:
        await check_query(context, spec, columns)
    return await _submit(context, NewBatch(name, submission, uuid.uuid4().hex), body, queued=queued)


async def _submit(context: Context, new: NewBatch, body: bytes | None, *, queued: bool) -> Response:
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


async def _find_input(context: Context, spec: BatchSpec) -> tuple[ObjectInfo, bool]:
    """Return the object that is the input, and whether its snapshot takes too long for this request.

    A prefix has neither ETag nor size. Raises BadRequestError for what is not there, or is the pipeline's own.
    """
    address = spec.address.seen_from(context.store.bucket)
    store = context.store.elsewhere(address.bucket)
    if address.bucket is None and await _is_own(context, address.key):
        raise BadRequestError(f"{address.key!r} is the pipeline's own: expected the key of an input of yours")
    if address.is_prefix:
        return ObjectInfo(spec.input, "", 0), await look_at(store, address)
    try:
        found = await store.head(address.key)
    except MissingObjectError:
        raise await nothing_there(store, address) from None
    return found, found.size > INLINE_SNAPSHOT


async def _is_own(context: Context, key: str) -> bool:
    """Say whether a key or a prefix is a mark or a batch's object, other than one of its outputs or its input."""
    folder, slash, rest = key.partition("/")
    if folder in RESERVED_IDS:
        return True
    is_readable = rest in {f"input.{form}" for form in FORMATS} or is_output(rest)
    return bool(slash) and not is_readable and await context.specs.exists(folder)
