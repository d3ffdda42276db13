"""`reduce`: run the retryable failures again as the next generation, else write the summary and end the batch."""

import logging
import uuid
from dataclasses import dataclass, replace

from pipeline.batch.generation import chosen_chunk, is_final, plan
from pipeline.context import Context
from pipeline.errors import PipelineError, UnavailableError
from pipeline.ledger.ledger import REDUCE_LEASE
from pipeline.ledger.replies import Lease, State
from pipeline.logs import bound
from pipeline.outputs.joined_table import TableError
from pipeline.outputs.publish import Findings, Job, end_batch
from pipeline.repeating import repeated
from pipeline.request import Event, Response
from pipeline.spec.batch_spec import BatchSpec
from pipeline.store.segments import Segment, list_segments, retryable, unsuccessful
from pipeline.tasks.follow_up import enqueue_reduce, mark_open, write_due_segment
from pipeline.tasks.release import release_first

GENERATION_BACKOFF = 1.0

log = logging.getLogger(__name__)


async def reduce(event: Event, context: Context) -> Response:
    """Reduce a batch under a renewed lease; a latecomer answers 200 and does nothing.

    Run twice it writes the same bytes. Raises ForbiddenError, and UnavailableError when Redis or S3 cannot be
    reached: the reduce stays due.
    """
    identity = bound(context.signer.verify_query("reduce", event.query), task=False)
    job = Job(context, identity.batch, identity.generation, uuid.uuid4().hex)
    lease = await job.lease()
    verdict: str = lease.verdict
    if verdict == "leased":
        try:
            async with repeated(job.lease, REDUCE_LEASE / 3):
                verdict = await _reduce(job, lease)
        except Exception as error:
            named = isinstance(error, PipelineError)
            trouble = (
                str(error) if named else f"an error without a name ({type(error).__name__}): see the function's log"
            )
            away = isinstance(error, UnavailableError) and not isinstance(error, TableError)
            await context.ledger.explain(job.batch, trouble, job.owner if away else "")
            raise
    return Response.json(200, {"batch_id": job.batch, "verdict": verdict})


async def _reduce(job: Job, lease: Lease) -> str:
    context, batch = job.context, job.batch
    # A predecessor's: who holds the lease is the only one to upload.
    await context.store.abort_uploads(batch)
    for number in lease.segments:
        await write_due_segment(context, batch, job.generation, number)
    state = await context.ledger.state(batch)
    if state is None:
        return "unknown"
    submission = await context.specs.read(batch)
    if submission.is_later(state["epoch"]):
        raise UnavailableError(f"Redis holds an earlier life of batch {batch!r}")
    spec = submission.spec
    segments = await _segments(context, batch, state)
    again = await _failed_items(job, state, spec, segments)
    if again.indices:
        return await _run_again(job, state, spec, again)
    return await end_batch(job, Findings(state, submission, segments, lease.begun))


async def _segments(context: Context, batch: str, state: State) -> list[Segment]:
    generation = state.number("generation")
    kept = [(state[f"epoch_{g}"], state.number(f"segments_{g}")) for g in range(generation)]
    found: list[Segment] = []
    for g, (epoch, count) in enumerate([*kept, (state["epoch"], state.number("segments"))]):
        if count:
            found += await list_segments(context.store, batch, g, epoch, count)
    return found


@dataclass(frozen=True)
class _Again:
    """What is to run again: item indices, sorted; `failed` of them are counted as failures, the rest never ran."""

    indices: list[int]
    failed: int


async def _failed_items(job: Job, state: State, spec: BatchSpec, segments: list[Segment]) -> _Again:
    """Return what is to run again; a batch that was stopped runs nothing again."""
    store = job.context.store
    if state["outcome"] != "done":
        return _Again([], 0)
    if state["redrive"]:
        failed, never = await unsuccessful(store, segments, state.number("batch_size"))
        return _Again(sorted(failed + never), len(failed))
    if is_final(state.number("generation"), state.number("base"), spec):
        return _Again([], 0)
    newest = [segment for segment in segments if segment.generation == job.generation]
    indices = await retryable(store, newest)
    return _Again(indices, len(indices))


async def _run_again(job: Job, state: State, spec: BatchSpec, again: _Again) -> str:
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
