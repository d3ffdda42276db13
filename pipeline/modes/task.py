"""`task`: read a slice of the snapshot, call the model function per item, answer with the outcomes, signed."""

import asyncio
import time

import msgspec
import orjson

from pipeline.answers import make_outcome, shed
from pipeline.calls import Called, call
from pipeline.context import Context
from pipeline.errors import ForbiddenError
from pipeline.gateway import Reply
from pipeline.models import SIGNATURE_HEADER, BatchSpec, Event, Outcome, Response, encode_answer
from pipeline.replies import Phase
from pipeline.signing import Identity
from pipeline.snapshot import Item

WRONG_SHAPE = 502


async def task(event: Event, context: Context) -> Response:
    """Run one task; answers 200 with an envelope and one line an outcome, signed.

    A batch that is not running any more is not worked for: the answer has no outcomes. Raises ForbiddenError, and
    UnavailableError when Redis or S3 cannot be reached.
    """
    end = time.monotonic() + context.settings.task_timeout
    identity = context.signer.verify_query("task", event.query)
    outcomes = await _run(context, identity, event.query.get("function", ""), end)
    body = encode_answer(outcomes)
    headers = {"Content-Type": "application/x-ndjson", SIGNATURE_HEADER: context.signer.answer(identity, body)}
    return Response(200, body, headers)


async def _run(context: Context, identity: Identity, function: str, end: float) -> list[Outcome]:
    if not await _is_wanted(context, identity):
        return []
    spec = (await context.specs.get(identity.batch, identity.epoch)).spec
    if spec.function != function:
        raise ForbiddenError("this invocation was signed for another model function")
    items = await context.snapshots.items(identity.batch, identity.epoch, identity.generation, identity.task)
    if spec.chunk_call:
        outcomes = await _call_chunk(context, identity, spec, items, end)
    else:
        outcomes = await _call_each(context, identity, spec, items, end)
    return await shed(context.store, identity, outcomes, spec.inline_limit)


async def _is_wanted(context: Context, identity: Identity) -> bool:
    """Say whether the batch still works on this generation; what is remembered may say yes, only a fresh read no."""
    wanted = [Phase(state, identity.generation, identity.epoch) for state in ("running", "paused")]
    return await context.phases.get(identity.batch) in wanted or await context.ledger.phase(identity.batch) in wanted


async def _call_each(
    context: Context, identity: Identity, spec: BatchSpec, items: list[Item], end: float
) -> list[Outcome]:
    """Call the items side by side, a bounded number at once."""
    slots = asyncio.Semaphore(spec.concurrency)

    async def one(item: Item) -> Outcome:
        async with slots:
            call_id = identity.call_id(item.index)
            headers = {**spec.headers, "Content-Type": spec.item_type, "X-Call-Id": call_id}
            called = await call(context.gateway, spec, item.text.encode(), headers, end)
            outcome = make_outcome(call_id, item, called)
            # At once, so that a chunk of large results is never in memory together.
            (kept,) = await shed(context.store, identity, [outcome], spec.inline_limit)
            return kept

    return list(await asyncio.gather(*map(one, items)))


async def _call_chunk(
    context: Context, identity: Identity, spec: BatchSpec, items: list[Item], end: float
) -> list[Outcome]:
    """Send the chunk as one JSON array and expect an array of as many results back.

    A failure of a whole chunk says nothing of its items: they are worth another attempt one by one.
    """
    body = orjson.dumps([item.text for item in items])
    call_id = identity.call_id()
    headers = {**spec.headers, "Content-Type": spec.item_type, "X-Call-Id": call_id}
    called = await call(context.gateway, spec, body, headers, end)
    together = True if len(items) > 1 else None
    if not called.succeeded:
        return [make_outcome(call_id, item, called, retryable=together) for item in items]
    try:
        results = msgspec.json.decode(called.reply.body, type=list[msgspec.Raw])
        problem = "" if len(results) == len(items) else f"an array of {len(results)}"
    except (msgspec.DecodeError, RecursionError):
        results, problem = [], "something else"
    if problem:
        text = f"the model function was called with an array of {len(items)} and answered with {problem}"
        wrong = Called(Reply(WRONG_SHAPE, text.encode()), called.attempts, called.duration)
        return [make_outcome(call_id, item, wrong, retryable=len(items) > 1) for item in items]
    status = called.reply.status
    replies = [Called(Reply(status, bytes(raw)), called.attempts, called.duration) for raw in results]
    return [make_outcome(call_id, item, reply) for item, reply in zip(items, replies, strict=True)]
