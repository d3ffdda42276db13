"""`batch`: claim the id, snapshot the input, open the ledger, release the first window."""

import hashlib
import json
import uuid
from collections import Counter
from dataclasses import replace
from typing import Any

import msgspec
import orjson
from structlog.contextvars import bind_contextvars
from tenacity import AsyncRetrying, retry_if_result, stop_after_delay, wait_fixed

from pipeline.batchspec import BatchSpec, Submission, parse_spec
from pipeline.context import Context
from pipeline.deleting import disown_outlived
from pipeline.duties import enqueue_open, mark_open
from pipeline.errors import BadRequestError, TooLargeError, UnavailableError
from pipeline.ids import another, being_deleted, find_kept
from pipeline.models import KIB, MIB, RESERVED_IDS, Event, Response, check_batch_id
from pipeline.notifying import check_targets
from pipeline.opening import NewBatch, abandon, claim, discard, open_batch, reopen
from pipeline.specs import Marker
from pipeline.status import status_url
from pipeline.store import MissingObjectError, ObjectInfo
from pipeline.trying import try_out

INLINE_SNAPSHOT = 64 * MIB
JOIN_PATIENCE = 5.0
SPEC_LIMIT = 256 * KIB
CSV_TYPES = frozenset({"text/csv", "application/csv"})


async def batch(event: Event, context: Context) -> Response:
    """Open a batch: 201 with its size, or 202 where the snapshot is made by a queued invocation. A dry run: 200.

    The body is the key of a CSV, a JSON specification, or the CSV itself (Content-Type text/csv); options of the
    first and the last come from the query. Raises BadRequestError, ConflictError, UnavailableError.
    """
    name = check_batch_id(event.headers.get("X-Batch-Id") or str(uuid.uuid4()))
    bind_contextvars(batch=name)
    spec, body = _read_request(event, context, name)
    check_targets(spec, context.webhooks)
    await context.phases.check_server()
    if body is None:
        found = await _find_input(context, spec.input)
        source = found.etag
    else:
        found = ObjectInfo(spec.input, "", len(body))
        source = hashlib.sha256(body).hexdigest()
    submission = Submission(spec.model_dump(exclude_defaults=True), found.etag, found.size, source)
    queued = found.size > INLINE_SNAPSHOT
    if spec.dry_run:
        return Response.json(200, await try_out(context, name, submission, body, queued=queued))
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
            stored = await context.store.put(submission.spec.input, body, "text/csv")
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


def _read_request(event: Event, context: Context, name: str) -> tuple[BatchSpec, bytes | None]:
    """Return the specification, and the CSV where the body is one."""
    content_type = event.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if content_type in CSV_TYPES:
        fields = {**_options(event, context), "input": f"{name}/input.csv"}
        return parse_spec(fields, context.settings), event.body
    if len(event.body) > SPEC_LIMIT:
        raise TooLargeError(
            f"a specification has at most {SPEC_LIMIT} bytes; a CSV is sent with Content-Type: text/csv"
        )
    try:
        text = event.body.decode().strip()
    except UnicodeDecodeError:
        raise BadRequestError("the body is not UTF-8: expected a key, a JSON object, or text/csv") from None
    if not text:
        raise BadRequestError("the body is empty: expected the key of a CSV, a JSON specification, or text/csv")
    if text.startswith(("{", "[")):
        return parse_spec(_json_fields(text, context), context.settings), None
    if "\n" in text:
        raise BadRequestError("the body has several lines: a CSV is sent with Content-Type: text/csv")
    return parse_spec({**_options(event, context), "input": text}, context.settings), None


def _json_fields(text: str, context: Context) -> dict[str, Any]:
    try:
        fields = orjson.loads(text)
        json.loads(text, object_pairs_hook=_each_once)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise BadRequestError(f"the body starts like JSON but is none: {error}") from None
    if not isinstance(fields, dict):
        raise BadRequestError("the specification is not valid: expected a JSON object")
    return _default_function(context) | fields


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    """Refuse a name that an object has twice: parsers do not agree on which one counts."""
    twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if twice:
        raise BadRequestError(f"the specification is not valid: {twice[0][:40]!r} is given more than once")


def _options(event: Event, context: Context) -> dict[str, Any]:
    """Specification fields from the query string; numbers are read by the schema."""
    return _default_function(context) | dict(event.query)


def _default_function(context: Context) -> dict[str, Any]:
    default = context.settings.model_function
    return {"function": default} if default else {}


async def _find_input(context: Context, key: str) -> ObjectInfo:
    folder = key.split("/", maxsplit=1)[0]
    if folder in RESERVED_IDS or ("/" in key and key != f"{folder}/input.csv" and await context.specs.exists(folder)):
        raise BadRequestError(f"{key!r} is the pipeline's own: expected the key of a CSV of yours")
    try:
        return await context.store.head(key)
    except MissingObjectError:
        folder = key.rpartition("/")[0]
        near = await context.store.list(f"{folder}/" if folder else "", limit=10)
        there = f"there are: {', '.join(near)}" if near else "there is nothing under that prefix"
        raise BadRequestError(f"no object {key!r} in bucket {context.store.bucket!r}; {there}") from None
