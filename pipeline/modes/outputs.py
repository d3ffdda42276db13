"""`outputs`: what an ended batch has written, as URLs at which it can be read for an hour without credentials."""

import time
from typing import Any

from pipeline.batch.lookup import known_state
from pipeline.context import Context
from pipeline.errors import BadRequestError, ConflictError
from pipeline.ledger.states import ENDED
from pipeline.request import Event, Response, batch_of
from pipeline.spec.submission import Submission
from pipeline.store import keys
from pipeline.store.errors import MissingObjectError
from pipeline.store.segments import every_segment

EXPIRES = 3600


async def outputs(event: Event, context: Context) -> Response:
    """Link the outputs of the batch named by `?batch=` or X-Batch-Id; with `?parts=true` what they are made of, too.

    Raises BadRequestError, NotFoundError, ConflictError for a batch that has not ended, or is another function's.
    """
    name = batch_of(event)
    parts = event.query.get("parts", "false")
    if parts not in {"true", "false"}:
        raise BadRequestError(f"parts is {parts[:40]!r}: expected true or false")
    phase = await context.ledger.phase(name)
    state = await known_state(context, name, phase.state if phase else "")
    if state not in ENDED:
        raise ConflictError(f"batch {name!r} has no outputs yet: it is {state}")
    submission = await _submission(context, name)
    document = {
        "batch_id": name,
        "expires": int(time.time()) + EXPIRES,
        "summary": await _summary(context, name) if submission else None,
        "outputs": await _outputs(context, name) if submission else [],
    }
    return Response.json(200, document | (await _parts(context, name, submission) if parts == "true" else {}))


async def _submission(context: Context, name: str) -> Submission | None:
    """Return what the batch was asked to do; None where there is none, so that nothing under its name is its own."""
    try:
        return await context.specs.read(name)
    except MissingObjectError:
        return None


async def _summary(context: Context, name: str) -> dict[str, Any] | None:
    """Link the summary; None for a batch that was never opened."""
    try:
        found = await context.store.head(keys.summary(name))
    except MissingObjectError:
        return None
    return await _link(context, found.key, found.size)


async def _outputs(context: Context, name: str) -> list[dict[str, Any]]:
    """Link what is beside the summary, in the order of CONTENT_TYPES."""
    sizes = await context.store.children(keys.output.folder(name))
    there = [(other, key) for other in keys.CONTENT_TYPES if (key := keys.output(name, other)) in sizes]
    return [{"name": other} | await _link(context, key, sizes[key]) for other, key in there]


async def _parts(context: Context, name: str, submission: Submission | None) -> dict[str, Any]:
    """Link the snapshot's parts and the segments, later generations after earlier ones."""
    nothing: dict[str, Any] = {"column": None, "derived": False, "snapshot": [], "segments": []}
    if submission is None:
        return nothing
    try:
        manifest = await context.snapshots.manifest(name, 0)
    except MissingObjectError:
        return nothing
    snapshot = [pair for pair in await context.store.sizes(keys.part.folder(name, 0)) if keys.part.parse(pair[0])]
    segments = await every_segment(context.store, name, submission.epoch)
    return {
        "column": manifest.column,
        "derived": manifest.derived,
        "snapshot": [await _link(context, key, size) for key, size in snapshot],
        "segments": [
            await _link(context, segment.key, size) | {"generation": segment.generation} for segment, size in segments
        ],
    }


async def _link(context: Context, key: str, size: int) -> dict[str, Any]:
    url = await context.store.presign(key, EXPIRES, key.replace("/", "-"))
    return {"key": key, "size": size, "url": url}
