"""Settle a task and do at once what the ledger then says is due."""

from pipeline.answers.envelope import decode_envelope, encode_answer
from pipeline.answers.reply import Reply
from pipeline.context import Context
from pipeline.identity import Identity
from pipeline.ledger.replies import GenerationRef, Settled
from pipeline.tasks.follow_up import enqueue_reduce, write_due_segment
from pipeline.tasks.make_outcome import make_outcome, shed
from pipeline.tasks.model_call import Called
from pipeline.tasks.release import release


async def settle(context: Context, identity: Identity, answer: bytes, seconds: float | None = None) -> Settled:
    """Settle a task with its answer; segment and reduce that follow are done before it returns.

    `seconds` is how long the task took, where that is known. What is released then is enqueued in the background: the
    queue-worker's slot is not held for it. A segment is not, so that a slow S3 slows the batch down rather than fill
    Redis.
    """
    envelope, lines = decode_envelope(answer)
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


async def settle_called(context: Context, identity: Identity, called: Called) -> Settled:
    """Settle a direct task with the model function's own reply; raises MissingObjectError for a batch that is gone."""
    (item,) = await context.snapshots.items(identity.batch, identity.epoch, identity.generation, identity.task)
    spec = await context.specs.get(identity.batch, identity.epoch)
    outcome = make_outcome(identity.call_id(item.index), item, called)
    outcomes = await shed(context.store, identity, [outcome], spec.inline_limit)
    return await settle(context, identity, encode_answer(outcomes), called.duration or None)


async def settle_failed(context: Context, identity: Identity, status: int, reason: str) -> Settled:
    """Settle a task that brought no answer in all its attempts: its items failed, worth running one by one."""
    items = await context.snapshots.items(identity.batch, identity.epoch, identity.generation, identity.task)
    called = Called(Reply(status, reason.encode()), identity.attempt + 1, 0.0)
    outcomes = [make_outcome(identity.call_id(), item, called, retryable=True) for item in items]
    return await settle(context, identity, encode_answer(outcomes))


async def settle_skipped(context: Context, identity: Identity) -> Settled:
    """Settle a task without outcomes: the batch closes and its items have not run."""
    return await settle(context, identity, encode_answer([]))
