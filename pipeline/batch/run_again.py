"""Run the failed items of a generation again, as the next generation."""

import logging
from dataclasses import dataclass, replace

from pipeline.batch.generation import is_final, plan
from pipeline.batch.reduce_lease import Job
from pipeline.context import Context
from pipeline.ledger.replies import State
from pipeline.spec.batch_spec import BatchSpec
from pipeline.spec.chunk_size import chosen_chunk
from pipeline.status.open_mark import mark_open
from pipeline.store.keys import Segment
from pipeline.store.segments import list_segments, retryable, unsuccessful
from pipeline.tasks.follow_up import enqueue_reduce
from pipeline.tasks.release import release_first

GENERATION_BACKOFF = 1.0

log = logging.getLogger(__name__)


async def ending_segments(context: Context, batch: str, state: State) -> list[Segment]:
    """Return the segments of all generations up to the current one, in order. Raises MissingSegmentError."""
    generation = state.number("generation")
    kept = [(state[f"epoch_{g}"], state.number(f"segments_{g}")) for g in range(generation)]
    segments: list[Segment] = []
    for g, (epoch, count) in enumerate([*kept, (state["epoch"], state.number("segments"))]):
        if count:
            segments += await list_segments(context.store, batch, g, epoch, count)
    return segments


@dataclass(frozen=True)
class FailedItems:
    """What is to run again: item indices, sorted; `failed` of them are counted as failures, the rest never ran."""

    indices: list[int]
    failed: int


async def failed_items(job: Job, state: State, spec: BatchSpec, segments: list[Segment]) -> FailedItems:
    """Return what is to run again; a batch that was stopped runs nothing again."""
    store = job.context.store
    if state["outcome"] != "done":
        return FailedItems([], 0)
    if state["redrive"]:
        failed, never = await unsuccessful(store, segments, state.number("batch_size"))
        return FailedItems(sorted(failed + never), len(failed))
    if is_final(state.number("generation"), state.number("base"), spec):
        return FailedItems([], 0)
    newest = [segment for segment in segments if segment.generation == job.generation]
    indices = await retryable(store, newest)
    return FailedItems(indices, len(indices))


async def run_again(job: Job, state: State, spec: BatchSpec, again: FailedItems) -> str:
    """Begin the next generation with these items, one a task; a redrive of rows that never ran keeps its chunks."""
    context, batch, generation = job.context, job.batch, job.generation + 1
    shape = (await context.snapshots.manifest(batch, 0)).shape
    frames = context.snapshots.select(batch, again.indices)
    count = len(again.indices)
    chunk = 1 if again.failed == count else chosen_chunk(count, spec, context.settings)
    base = generation if state["redrive"] else state.number("base")
    manifest = await context.snapshots.write(batch, generation, frames, shape, chunk)
    new = replace(
        plan(spec, generation, base, manifest, chunk, state.number("batch_size")),
        delay=0 if state["redrive"] else GENERATION_BACKOFF * 2 ** (generation - base - 1),
        again=again.failed,
    )
    verdict, tasks = await context.ledger.begin(batch, job.owner, new)
    if verdict == "lost":
        return verdict
    log.info("generation begun", extra={"generation": generation, "items": count, "tasks": manifest.tasks})
    await mark_open(context, batch)
    await release_first(context, batch, generation, spec.function, tasks)
    if verdict == "reducing":
        await enqueue_reduce(context, batch, generation)
    return verdict if verdict == "reducing" else f"generation {generation}"
