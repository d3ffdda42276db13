"""`reduce`: run the retryable failures again as the next generation, else write the summary and end the batch."""

import uuid

from pipeline.batch.generations import all_segments, begin_next_generation, items_to_rerun
from pipeline.batch.reduce_job import ReduceJob
from pipeline.concurrency import renew_every
from pipeline.context import Context
from pipeline.errors import PipelineError, UnavailableError
from pipeline.identity import Identity
from pipeline.ledger.ledger import REDUCE_LEASE
from pipeline.ledger.replies import Lease, State
from pipeline.logs import bind_identity
from pipeline.outputs.end_batch import SettledBatch, end_batch, end_without_outputs
from pipeline.outputs.pieces import TableError
from pipeline.request import Event, Response
from pipeline.store.errors import MissingObjectError
from pipeline.store.segments import MissingSegmentError
from pipeline.tasks.missing import note_missing
from pipeline.tasks.settle import write_due_segment


async def reduce(_event: Event, context: Context, identity: Identity) -> Response:
    """Reduce a batch under a renewed lease; a run that does not get the lease answers 200 and does nothing.

    Run twice it writes the same bytes. Raises UnavailableError when Redis or S3 cannot be reached: the reduce
    stays due.
    """
    bind_identity(identity, task=False)
    job = ReduceJob(context, identity.batch, identity.generation, uuid.uuid4().hex)
    lease = await job.lease()
    verdict: str = lease.verdict
    if verdict == "leased":
        try:
            async with renew_every(REDUCE_LEASE / 3, job.is_leased, lease=REDUCE_LEASE):
                verdict = await _reduce(job, lease)
        except Exception as error:
            is_expected = isinstance(error, PipelineError)
            trouble = (
                str(error) if is_expected else f"unexpected error ({type(error).__name__}): see the function's log"
            )
            is_excused = isinstance(error, UnavailableError) and not isinstance(error, TableError)
            await context.ledger.note_trouble(job.batch, job.owner, trouble, excused=is_excused)
            raise
    return Response.json(200, {"batch_id": job.batch, "verdict": verdict})


async def _reduce(job: ReduceJob, lease: Lease) -> str:
    context, batch = job.context, job.batch
    # They are a predecessor's: nobody else uploads for this batch while the lease is held.
    await context.store.abort_uploads(batch, job.check_lease)
    for number in lease.segments:
        await write_due_segment(context, batch, job.generation, number)
    state = await context.ledger.state(batch)
    if state is None:
        return "unknown"
    try:
        return await _end_or_go_on(job, state, lease.begun)
    except (MissingObjectError, MissingSegmentError) as error:
        if state["lost"] and state["outcome"] != "done":
            return await end_without_outputs(job, state, error)
        if not await note_missing(context, batch, error.objects) or isinstance(error, MissingSegmentError):
            raise
        raise UnavailableError(str(error)) from error


async def _end_or_go_on(job: ReduceJob, state: State, attempt: int) -> str:
    batch = job.batch
    submission = await job.context.records.read(batch)
    if submission.is_later(state["epoch"]):
        raise UnavailableError(f"Redis holds an earlier life of batch {batch!r}")
    segments = await all_segments(job, state)
    rerun = await items_to_rerun(job, state, submission.spec, segments)
    if rerun.indices:
        return await begin_next_generation(job, state, submission.spec, rerun)
    return await end_batch(job, SettledBatch(state, submission, segments, attempt))
