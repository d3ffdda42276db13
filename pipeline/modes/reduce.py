"""`reduce`: run the retryable failures again as the next generation, else write the summary and end the batch."""

import uuid
from dataclasses import dataclass

from pipeline.context import Context
from pipeline.duties import close_batch, enqueue_reduce, release_first, write_due_segment
from pipeline.errors import PipelineError, UnavailableError
from pipeline.ledger import REDUCE_LEASE
from pipeline.models import Event, Response
from pipeline.repeating import repeated
from pipeline.replies import Lease, State
from pipeline.segments import Segment, list_segments, retryable
from pipeline.store import Upload
from pipeline.summary import Totals, Writer, write_summary

GENERATION_BACKOFF = 1.0


@dataclass(frozen=True)
class _Job:
    """One run of a reduce; `owner` names it in the lease, since two of one process may run at once."""

    context: Context
    batch: str
    generation: int
    owner: str

    async def lease(self, upload: str = "", upload_key: str = "") -> Lease:
        return await self.context.ledger.lease(self.batch, self.owner, self.generation, upload, upload_key)


async def reduce(event: Event, context: Context) -> Response:
    """Reduce a batch under a renewed lease; a latecomer answers 200 and does nothing.

    Run twice it writes the same bytes. Raises ForbiddenError, and UnavailableError when Redis or S3 cannot be
    reached: the reduce stays due.
    """
    identity = context.signer.verify_query("reduce", event.query)
    job = _Job(context, identity.batch, identity.generation, uuid.uuid4().hex)
    lease = await job.lease()
    verdict: str = lease.verdict
    if verdict == "leased":
        try:
            async with repeated(job.lease, REDUCE_LEASE / 3):
                verdict = await _reduce(job, lease)
        except PipelineError as error:
            await context.ledger.explain(job.batch, str(error))
            raise
    return Response.json(200, {"batch_id": job.batch, "verdict": verdict})


async def _reduce(job: _Job, lease: Lease) -> str:
    context, batch = job.context, job.batch
    if lease.upload:
        await context.store.abort_upload(lease.upload_key, lease.upload)
    for number in lease.segments:
        await write_due_segment(context, batch, job.generation, number)
    state = await context.ledger.state(batch)
    if state is None:
        return "unknown"
    segments = await _segments(context, batch, state)
    newest = [segment for segment in segments if segment.generation == job.generation]
    again = await _failed_items(context, batch, state, newest)
    return await _run_again(job, again) if again else await _end(job, state, segments)


async def _segments(context: Context, batch: str, state: State) -> list[Segment]:
    generation = state.number("generation")
    counts = [state.number(f"segments_{g}") for g in range(generation)] + [state.number("segments")]
    found: list[Segment] = []
    for g, count in enumerate(counts):
        if count:
            found += await list_segments(context.store, batch, g, state["epoch"], count)
    return found


async def _failed_items(context: Context, batch: str, state: State, newest: list[Segment]) -> list[int]:
    """Return what is to run again; a batch that was stopped runs nothing again."""
    spec = (await context.specs.read(batch)).spec
    if state["outcome"] != "done" or state.number("generation") + 1 >= spec.attempts:
        return []
    return await retryable(context.store, newest)


async def _run_again(job: _Job, indices: list[int]) -> str:
    """Begin the next generation with these items, one a task."""
    context, batch, generation = job.context, job.batch, job.generation + 1
    column = (await context.snapshots.manifest(batch, 0)).column
    frames = context.snapshots.select(batch, indices)
    manifest = await context.snapshots.write(batch, generation, frames, column, 1)
    spec = (await context.specs.read(batch)).spec
    verdict, tasks = await context.ledger.begin(
        batch,
        job.owner,
        generation,
        tasks=manifest.tasks,
        items=manifest.items,
        deadline=spec.deadline,
        delay=GENERATION_BACKOFF * 2 ** (generation - 1),
        again=len(indices),
    )
    await release_first(context, batch, generation, spec.function, tasks)
    if verdict == "reducing":
        await enqueue_reduce(context, batch, generation)
    return f"generation {generation}" if verdict == "running" else verdict


async def _end(job: _Job, state: State, segments: list[Segment]) -> str:
    """Publish the summary under its generation, then as the batch's; then the batch ends."""
    context, batch = job.context, job.batch
    manifest = await context.snapshots.manifest(batch, 0)
    totals = Totals(
        batch=batch,
        column=manifest.column,
        started=state.seconds("started") or 0,
        completed=state.seconds("completed") or 0,
        items=manifest.items,
        succeeded=state.number("succeeded"),
        not_run=f"not run: {state['reason'] or state['outcome']}",
    )

    async def record(upload: Upload) -> None:
        lease = await job.lease(upload.upload_id, upload.key)
        if lease.verdict != "leased":
            await context.store.abort_upload(upload.key, upload.upload_id)
            raise UnavailableError(f"batch {batch}: the lease of its reduce was lost")

    writer = Writer(context.store, f"{batch}/{job.generation}/summary.json", record)
    published, failed = await write_summary(writer, context.store, context.snapshots, totals, segments)
    await context.store.copy(published, f"{batch}.json")
    ended = await context.ledger.finish(batch, job.owner, job.generation, failed)
    if not ended:
        return "lost"
    await close_batch(context, batch)
    return ended
