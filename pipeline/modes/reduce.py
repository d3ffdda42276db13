"""`reduce`: run the retryable failures again as the next generation, else write the summary and end the batch."""

import uuid

from pipeline.batch.reduce_lease import Job
from pipeline.batch.run_again import ending_segments, failed_items, run_again
from pipeline.concurrency import repeated
from pipeline.context import Context
from pipeline.errors import PipelineError, UnavailableError
from pipeline.ledger.ledger import REDUCE_LEASE
from pipeline.ledger.replies import Lease
from pipeline.logs import bound
from pipeline.outputs.end_batch import SettledBatch, end_batch
from pipeline.outputs.pieces import TableError
from pipeline.request import Event, Response
from pipeline.tasks.follow_up import write_due_segment


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
            await context.ledger.note_trouble(job.batch, trouble, job.owner if away else "")
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
    segments = await ending_segments(context, batch, state)
    again = await failed_items(job, state, spec, segments)
    if again.indices:
        return await run_again(job, state, spec, again)
    return await end_batch(job, SettledBatch(state, submission, segments, lease.begun))
