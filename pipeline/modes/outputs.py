"""`outputs`: what an ended batch has written, as URLs at which it can be read for an hour without credentials."""

import time
from typing import Any

from pipeline.context import Context
from pipeline.errors import BadRequestError, ConflictError
from pipeline.models import Event, Response, batch_of
from pipeline.replies import ENDED
from pipeline.requests import known_state
from pipeline.segments import every_segment
from pipeline.store import MissingObjectError

EXPIRES = 3600


async def outputs(event: Event, context: Context) -> Response:
    """Link the outputs of the batch named by `?batch=` or X-Batch-Id; with `?parts=true` what they are made of, too.

    Raises BadRequestError, NotFoundError, ConflictError for a batch that has not ended.
    """
    name = batch_of(event)
    parts = event.query.get("parts", "false")
    if parts not in {"true", "false"}:
        raise BadRequestError(f"parts is {parts[:40]!r}: expected true or false")
    phase = await context.ledger.phase(name)
    state = await known_state(context, name, phase.state if phase else "")
    if state not in ENDED:
        raise ConflictError(f"batch {name!r} has no outputs yet: it is {state}")
    document = {"batch_id": name, "expires": int(time.time()) + EXPIRES, "summary": await _summary(context, name)}
    return Response.json(200, document | (await _parts(context, name) if parts == "true" else {}))


async def _summary(context: Context, name: str) -> dict[str, Any] | None:
    """Link the summary; None for a batch that was never opened."""
    try:
        found = await context.store.head(f"{name}.json")
    except MissingObjectError:
        return None
    return await _link(context, found.key, found.size)


async def _parts(context: Context, name: str) -> dict[str, Any]:
    """Link the snapshot's parts and the segments, later generations after earlier ones."""
    try:
        submission = await context.specs.read(name)
        column = (await context.snapshots.manifest(name, 0)).column
    except MissingObjectError:
        return {"column": None, "snapshot": [], "segments": []}
    snapshot = [pair for pair in await context.store.sizes(f"{name}/input/0/") if pair[0].endswith(".parquet")]
    segments = await every_segment(context.store, name, submission.epoch)
    return {
        "column": column,
        "snapshot": [await _link(context, key, size) for key, size in snapshot],
        "segments": [
            await _link(context, segment.key, size) | {"generation": segment.generation} for segment, size in segments
        ],
    }


async def _link(context: Context, key: str, size: int) -> dict[str, Any]:
    url = await context.store.presign(key, EXPIRES, key.replace("/", "-"))
    return {"key": key, "size": size, "url": url}
