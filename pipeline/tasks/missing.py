"""An object of an open batch is not in S3, though nobody has deleted the batch: note it, look again, end the batch.

The reason of the end names the object, and the rows that it held.
"""

import logging
from collections.abc import Sequence

from pipeline.context import Context
from pipeline.ledger.replies import State
from pipeline.store import keys
from pipeline.store.errors import MissingObjectError
from pipeline.store.keys import Segment, is_needed
from pipeline.store.segments import every_segment, merge

MOST_RANGES = 5

log = logging.getLogger(__name__)


async def note_missing(context: Context, batch: str, objects: Sequence[str]) -> bool:
    """Note objects that S3 does not have; returns whether the batch cannot go on without one of them.

    A sweep looks for them once more, and then ends the batch without them.
    """
    needed = [key for key in objects if is_needed(key, batch)]
    if needed:
        log.warning("an object of the batch is missing", extra={"batch": batch, "error": needed[0]})
        await context.ledger.control.note_missing(batch, needed)
    return bool(needed)


async def look_for_missing(context: Context, batch: str, noted: str) -> None:
    """Look once more for objects that were missing: the batch fails without them. Raises UnavailableError."""
    gone = [key for key in noted.split() if not await context.store.list(key, limit=1)]
    state = await context.ledger.state(batch)
    if state is None:
        return
    reason = ""
    if gone:
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        reason = (
            f"the object {gone[0]!r}{more} is gone from the bucket, and with it {await _rows(context, state, gone[0])}"
        )
        log.error("the batch has lost an object", extra={"batch": batch, "error": gone[0]})
    await context.ledger.control.give_up(batch, noted, gone, reason)


async def _rows(context: Context, state: State, key: str) -> str:
    """Describe what an object held; rows are counted from 0."""
    part, segment = keys.part.parse(key), keys.parse_beginning(key)
    try:
        if part:
            return await _rows_of_part(context, **part)
        if segment:
            return f"the outcomes of the rows {_ranges(await _without_outcome(context, state, segment))}"
    except MissingObjectError:
        log.warning("a second object is missing")
    generation = keys.generation_of(key)
    return "all rows" if generation in {None, 0} else f"the rows of generation {generation}"


async def _without_outcome(context: Context, state: State, lost: Segment) -> list[int]:
    """Return the rows of a lost segment's generation of which no other segment has an outcome."""
    segments = [segment for segment, _ in await every_segment(context.store, lost.batch, lost.epoch)]
    others = [each for each in segments if (each.generation, each.epoch) == (lost.generation, lost.epoch)]
    has_outcome = bytearray(state.number("batch_size"))
    async for outcomes in merge(context.store, others):
        for index in outcomes:
            has_outcome[index] = 1
    cuts = context.snapshots.cuts(lost.batch, lost.generation)
    return [index async for cut in cuts for index in cut.indices if not has_outcome[index]]


async def _rows_of_part(context: Context, batch: str, generation: int, number: int) -> str:
    manifest = await context.snapshots.manifest(batch, generation)
    first, *following = manifest.first_indices[number:]
    last = following[0] - 1 if following else (await context.snapshots.manifest(batch, 0)).items - 1
    those = "the rows" if generation == 0 else f"rows of generation {generation} among"
    return f"{those} {first} to {last}"


def _ranges(indices: Sequence[int]) -> str:
    """Return sorted indices as ranges, the first few of them."""
    ranges: list[list[int]] = []
    for index in indices:
        if ranges and ranges[-1][1] == index - 1:
            ranges[-1][1] = index
        else:
            ranges.append([index, index])
    shown = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in ranges[:MOST_RANGES])
    return shown + (f" and {len(ranges) - MOST_RANGES} more ranges" if len(ranges) > MOST_RANGES else "")
