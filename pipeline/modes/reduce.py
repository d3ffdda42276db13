"""`reduce`: run the retryable failures again as the next generation, else write the summary and end the batch."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pipeline.context import Context
from pipeline.duties import enqueue_reduce, release_first, write_due_segment
from pipeline.ledger import REDUCE_LEASE
from pipeline.models import Event, Response
from pipeline.replies import State
from pipeline.segments import Segment, list_segments, retryable
from pipeline.status import status_document
from pipeline.store import Upload
from pipeline.summary import Totals, Writer, write_summary

GENERATION_BACKOFF = 1.0


async def reduce(event: Event, context: Context) -> Response:
    """Reduce a batch under a renewed lease; a latecomer answers 200 and does nothing.

    Run twice it writes the same bytes. Raises ForbiddenError, and UnavailableError when Redis or S3 cannot be
    reached: the reduce stays due.
    """
    identity = context.signer.verify_query("reduce", event.query)
    batch, generation = identity.batch, identity.generation
    lease = await context.ledger.lease(batch, context.owner, generation)
    if lease.verdict != "leased":
        return Response.json(200, {"batch_id": batch, "verdict": lease.verdict})
    async with _renewed_lease(context, batch, generation):
        if lease.upload:
            await context.store.abort_upload(lease.upload_key, lease.upload)
        for number in lease.segments:
            await write_due_segment(context, batch, generation, number)
        state = await context.ledger.state(batch)
        if state is None:
            return Response.json(200, {"batch_id": batch, "verdict": "unknown"})
        segments = await _segments(context, batch, state)
        newest = [segment for segment in segments if segment.generation == generation]
        again = await _failed_items(context, batch, state, newest)
        if again:
            verdict = await _run_again(context, batch, generation + 1, again)
        else:
            verdict = await _end(context, batch, state, segments)
    return Response.json(200, {"batch_id": batch, "verdict": verdict})


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
    spec = (await context.specs.get(batch)).spec
    if state["outcome"] != "done" or state.number("generation") + 1 >= spec.attempts:
        return []
    return await retryable(context.store, newest)


async def _run_again(context: Context, batch: str, generation: int, indices: list[int]) -> str:
    """Begin the next generation with these items, one a task."""
    column = (await context.snapshots.manifest(batch, 0)).column
    frames = context.snapshots.select(batch, indices)
    manifest = await context.snapshots.write(batch, generation, frames, column, 1)
    spec = (await context.specs.get(batch)).spec
    verdict, tasks = await context.ledger.begin(
        batch,
        context.owner,
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


async def _end(context: Context, batch: str, state: State, segments: list[Segment]) -> str:
    """Publish the summary under its generation, then as the batch's; then the batch ends."""
    generation = state.number("generation")
    manifest = await context.snapshots.manifest(batch, 0)
    totals = Totals(
        batch=batch,
        column=manifest.column,
        started=state.seconds("started") or 0,
        completed=state.seconds("completed") or 0,
        items=manifest.items,
        succeeded=state.number("succeeded"),
        failed=state.number("failed"),
        not_run=f"not run: {state['reason'] or state['outcome']}",
    )

    async def record(upload: Upload) -> None:
        await context.ledger.lease(batch, context.owner, generation, upload.upload_id, upload.key)

    writer = Writer(context.store, f"{batch}/{generation}/summary.json", record)
    published = await write_summary(writer, context.store, context.snapshots, totals, segments)
    await context.store.copy(published, f"{batch}.json")
    ended = await context.ledger.finish(batch, context.owner, generation)
    if not ended:
        return "lost"
    final = await context.ledger.state(batch)
    if final is not None:
        await context.specs.write_status(batch, status_document(context.settings, batch, final))
    await context.specs.close(batch)
    await context.ledger.forget_open(batch)
    return ended


@asynccontextmanager
async def _renewed_lease(context: Context, batch: str, generation: int) -> AsyncIterator[None]:
    """Renew the lease while the reduce works."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(REDUCE_LEASE / 3)
            await context.ledger.lease(batch, context.owner, generation)

    renewal = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewal.cancel()
        await asyncio.gather(renewal, return_exceptions=True)
