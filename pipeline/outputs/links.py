"""Links to the objects of an ended batch: presigned URLs, which need no credentials."""

import asyncio
import time
from typing import Any

from pipeline.context import Context
from pipeline.spec.submission import Submission
from pipeline.store import keys
from pipeline.store.errors import MissingObjectError
from pipeline.store.segments import every_segment

EXPIRES = 3600


async def link_outputs(context: Context, batch: str, *, parts: bool) -> dict[str, Any]:
    """Return the document of the mode `outputs`; with `parts` the snapshot and the segments, too.

    Raises ConflictError for a batch that is another function's.
    """
    try:
        submission = await context.records.read(batch)
    except MissingObjectError:
        # Without a specification no object under this name is the batch's.
        submission = None
    document = {
        "batch_id": batch,
        "expires": int(time.time()) + EXPIRES,
        "summary": await _summary(context, batch) if submission else None,
        "outputs": await _outputs(context, batch) if submission else [],
    }
    return document | (await _parts(context, batch, submission) if parts else {})


async def _summary(context: Context, batch: str) -> dict[str, Any] | None:
    """Link the summary; None for a batch that was never opened."""
    try:
        summary = await context.store.head(keys.summary(batch))
    except MissingObjectError:
        return None
    return await _link(context, summary.key, summary.size)


async def _outputs(context: Context, batch: str) -> list[dict[str, Any]]:
    """Link the outputs beside the summary, in the order of CONTENT_TYPES."""
    sizes = await context.store.children(keys.output.folder(batch))
    present = [(name, key) for name in keys.CONTENT_TYPES if (key := keys.output(batch, name)) in sizes]
    return [{"name": name} | await _link(context, key, sizes[key]) for name, key in present]


async def _parts(context: Context, batch: str, submission: Submission | None) -> dict[str, Any]:
    """Link the snapshot's parts and the segments, later generations after earlier ones."""
    nothing: dict[str, Any] = {"column": None, "derived": False, "snapshot": [], "segments": []}
    if submission is None:
        return nothing
    try:
        manifest = await context.snapshots.manifest(batch, 0)
    except MissingObjectError:
        return nothing
    snapshot = [pair for pair in await context.store.sizes(keys.part.folder(batch, 0)) if keys.part.parse(pair[0])]
    segments = await every_segment(context.store, batch, submission.epoch)
    return {
        "column": manifest.column,
        "derived": manifest.derived,
        "snapshot": [await _link(context, key, size) for key, size in snapshot],
        "segments": [
            await _link(context, segment.key, size) | {"generation": segment.generation} for segment, size in segments
        ],
    }


async def _link(context: Context, key: str, size: int) -> dict[str, Any]:
    # Signing waits for nothing, and thousands of links would hold the event loop up.
    await asyncio.sleep(0)
    url = await context.store.presign(key, EXPIRES, key.replace("/", "-"))
    return {"key": key, "size": size, "url": url}
