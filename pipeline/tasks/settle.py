"""Settle a task, or count its failure, and perform the duties that the ledger then hands out."""

import logging
import random
from functools import partial

from pipeline.answers.envelope import decode_envelope, encode_answer
from pipeline.answers.reply import Reply
from pipeline.concurrency import off_loop, valid_for
from pipeline.context import Context
from pipeline.identity import Identity
from pipeline.ledger.ledger import LONGEST_BACKOFF
from pipeline.ledger.replies import GenerationRef, Settled
from pipeline.store.errors import MissingObjectError
from pipeline.store.segments import write_segment
from pipeline.tasks.make_outcome import STORING, make_outcome, store_large_results
from pipeline.tasks.missing import note_missing
from pipeline.tasks.model_call import ModelCall
from pipeline.tasks.release import enqueue_reduce, release

BUSY = frozenset({429, 503})
LONGEST_TROUBLE_BACKOFF = 4.0
WRITING_SEGMENT = 120.0

log = logging.getLogger(__name__)


async def settle(context: Context, identity: Identity, answer: bytes, seconds: float | None = None) -> Settled:
    """Settle a task with its answer; a segment or a reduce that is then due is done before this returns.

    `seconds` is how long the task took, None if that is not known. Tasks are released in the background, so that the
    queue-worker's slot is not held for them. A segment is not, so that a slow S3 slows the batch down rather than
    fills Redis. The answer to a duplicate message settles nothing.
    """
    envelope, lines = decode_envelope(answer)
    if envelope.duplicate:
        context.metrics.settled("duplicate", 0, 0)
        return Settled("duplicate", "", None, reduce=False, release=())
    settled = await context.ledger.settle(identity, envelope, answer if lines else b"", seconds)
    context.metrics.settled(settled.verdict, envelope.succeeded, envelope.failed)
    batch, generation = identity.batch, identity.generation
    if settled.release:
        of = GenerationRef(batch, identity.epoch, generation, settled.function)
        context.background.start(release(context, of, [(task, 0) for task in settled.release]))
    if settled.segment is not None:
        await write_due_segment(context, batch, generation, settled.segment)
    if settled.reduce:
        await enqueue_reduce(context, batch, generation)
    return settled


async def write_due_segment(context: Context, batch: str, generation: int, number: int) -> None:
    """Write a segment whose outcomes are in Redis; nothing happens if another replica has written it."""
    # A replica that stalls for longer may write for a deleted batch.
    async with valid_for(WRITING_SEGMENT):
        epoch, answers = await context.ledger.read_segment(batch, generation, number)
        if answers:
            await write_segment(context.store, batch, generation, epoch, number, answers)
            await context.ledger.segment_written(batch, generation, number, epoch)
            context.metrics.segments.inc()
            log.debug("segment written", extra={"batch": batch, "generation": generation, "segment": number})


async def settle_direct(context: Context, identity: Identity, call: ModelCall) -> Settled:
    """Settle a direct task with the model function's own reply; raises MissingObjectError for a deleted batch.

    An item that the queue-worker has called more than once by itself runs in no further generation.
    """
    async with valid_for(STORING):
        (item,) = await context.snapshots.items(identity.batch, identity.epoch, identity.generation, identity.task)
        spec = await context.records.get(identity.batch, identity.epoch)
        make = partial(make_outcome, identity.call_id(item.index), item, call)
        outcome = await off_loop(len(call.reply.body), partial(make, retryable=None if call.attempts == 1 else False))
        outcomes = await store_large_results(context.store, identity, [outcome], spec.inline_limit)
    settled = await settle(context, identity, encode_answer(outcomes), call.duration or None)
    if settled.verdict == "unknown" and outcomes[0].ref and not await context.records.exists(identity.batch):
        # The callback came after a deletion, however long after: the survey deletes the result.
        await context.records.mark_deleted(identity.batch)
    return settled


async def fail(context: Context, identity: Identity, status: int, *, unreached: bool = False) -> str:
    """Count a callback without a usable answer: the task runs again later, or its items fail with `status`.

    `unreached`: the platform did not reach the function, so that the task runs again within seconds.
    Returns the ledger's verdict.
    """
    # An overloaded function says nothing about the task: only the deadline ends its attempts.
    attempts = 0 if unreached or status in BUSY else await _attempts_allowed(context, identity)
    longest = LONGEST_TROUBLE_BACKOFF if unreached else LONGEST_BACKOFF
    backoff = random.uniform(0.5, 1) * min(longest, 2**identity.attempt)  # noqa: S311
    verdict = await context.ledger.fail(identity, attempts, backoff)
    if verdict == "exhausted":
        reason = f"the task brought no answer in {attempts} attempts (the last: status {status})"
        await settle_failed(context, identity, status, reason)
    elif verdict == "skip":
        # The batch is closing, and the task's items never ran: it settles without outcomes.
        await settle(context, identity, encode_answer([]))
    return verdict


async def _attempts_allowed(context: Context, identity: Identity) -> int:
    """Return how often a task is tried; 0 for a deleted batch, of which the ledger then knows nothing."""
    try:
        return (await context.records.get(identity.batch, identity.epoch)).attempts
    except MissingObjectError as error:
        await note_missing(context, identity.batch, error.objects)
        return 0


async def settle_failed(context: Context, identity: Identity, status: int, reason: str) -> Settled:
    """Settle a task that brought no answer in all its attempts: its items fail, and may run again one by one.

    Nothing is settled if the task's items are missing: then the batch ends soon.
    """
    try:
        items = await context.snapshots.items(identity.batch, identity.epoch, identity.generation, identity.task)
    except MissingObjectError as error:
        await note_missing(context, identity.batch, error.objects)
        return Settled("closed", "", None, reduce=False, release=())
    call = ModelCall(Reply(status, reason.encode()), identity.attempt + 1, 0.0)
    outcomes = [make_outcome(identity.call_id(), item, call, retryable=True) for item in items]
    return await settle(context, identity, encode_answer(outcomes))
