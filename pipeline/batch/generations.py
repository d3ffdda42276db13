"""Generations of a batch: plan one, choose the items that run again, begin the next one with them."""

import logging
from dataclasses import dataclass, replace

from pipeline.batch.reduce_job import ReduceJob
from pipeline.ledger.arguments import NewGeneration
from pipeline.ledger.replies import State
from pipeline.spec.batch_spec import BatchSpec
from pipeline.spec.chunk_size import chosen_chunk
from pipeline.status.saved_state import mark_open
from pipeline.store.keys import Segment
from pipeline.store.segments import failed_and_never_run, list_segments, retryable
from pipeline.store.snapshot import Manifest
from pipeline.tasks.release import enqueue_reduce, release_first

GENERATION_BACKOFF = 1.0

log = logging.getLogger(__name__)


def plan_generation(
    spec: BatchSpec, number: int, base: int, manifest: Manifest, chunk: int, batch_size: int
) -> NewGeneration:
    """Return a generation as the ledger begins it; `base` is the first one of the submission, or of the redrive."""
    return NewGeneration(
        number,
        tasks=manifest.tasks,
        items=manifest.items,
        deadline=spec.deadline,
        calls=spec.calls(chunk),
        direct=spec.direct,
        final=is_last_generation(number, base, spec),
        tolerated=spec.tolerated(batch_size),
    )


def is_last_generation(number: int, base: int, spec: BatchSpec) -> bool:
    """Return whether no further generation begins without a redrive."""
    return number - base + 1 >= spec.attempts


@dataclass(frozen=True)
class Rerun:
    """The items of the next generation: sorted indices, of which `failed` are failures and the rest never ran."""

    indices: list[int]
    failed: int


async def all_segments(job: ReduceJob, state: State) -> list[Segment]:
    """Return the segments of all generations up to the current one, in order, without those that are lost.

    Raises MissingSegmentError.
    """
    generation = state.number("generation")
    earlier = [(state[f"epoch_{number}"], state.number(f"segments_{number}")) for number in range(generation)]
    segments: list[Segment] = []
    lost = state["lost"].split()
    for number, (epoch, count) in enumerate([*earlier, (state["epoch"], state.number("segments"))]):
        if count:
            segments += await list_segments(job.context.store, job.batch, number, epoch, count, lost)
    return segments


async def items_to_rerun(job: ReduceJob, state: State, spec: BatchSpec, segments: list[Segment]) -> Rerun:
    """Return the items that run again: none of a batch that was stopped, or is in its last generation."""
    store = job.context.store
    if state["outcome"] != "done":
        return Rerun([], 0)
    if state["redrive"]:
        failed, never_run = await failed_and_never_run(store, segments, state.number("batch_size"))
        return Rerun(sorted(failed + never_run), len(failed))
    if is_last_generation(state.number("generation"), state.number("base"), spec):
        return Rerun([], 0)
    newest = [segment for segment in segments if segment.generation == job.generation]
    indices = await retryable(store, newest)
    return Rerun(indices, len(indices))


async def begin_next_generation(job: ReduceJob, state: State, spec: BatchSpec, rerun: Rerun) -> str:
    """Begin the next generation with one item a task; a redrive of items that never ran keeps their chunk size.

    Returns the reduce's verdict: `lost`, `reducing`, or `generation N`.
    """
    context, batch, generation = job.context, job.batch, job.generation + 1
    shape = await context.snapshots.manifest(batch, 0)
    frames = context.snapshots.select(batch, rerun.indices)
    count = len(rerun.indices)
    chunk = 1 if rerun.failed == count else chosen_chunk(count, spec, context.settings)
    base = generation if state["redrive"] else state.number("base")
    manifest = await context.snapshots.write(batch, generation, frames, shape, chunk)
    plan = replace(
        plan_generation(spec, generation, base, manifest, chunk, state.number("batch_size")),
        delay=0 if state["redrive"] else GENERATION_BACKOFF * 2 ** (generation - base - 1),
        again=rerun.failed,
    )
    verdict, tasks = await context.ledger.begin(batch, job.owner, plan)
    if verdict == "lost":
        return verdict
    log.info("generation begun", extra={"generation": generation, "items": count, "tasks": manifest.tasks})
    await mark_open(context, batch)
    await release_first(context, batch, generation, spec.function, tasks)
    if verdict == "reducing":
        await enqueue_reduce(context, batch, generation)
    return verdict if verdict == "reducing" else f"generation {generation}"
