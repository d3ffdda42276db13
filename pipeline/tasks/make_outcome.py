"""Turn replies into outcomes, and keep a task's answer within its limit by storing large results in S3."""

import asyncio
import hashlib
import logging

import msgspec

from pipeline.answers.outcome import ITEM_PREVIEW, Outcome
from pipeline.answers.reply import as_json
from pipeline.concurrency import off_loop
from pipeline.identity import Identity
from pipeline.store import keys
from pipeline.store.bucket import Store
from pipeline.store.snapshot import Item
from pipeline.store.writer import put_in_parts
from pipeline.tasks.model_call import ModelCall
from pipeline.units import KIB

SMALL_RESULT = KIB
UPLOADS = 8
# Most seconds after the calls of a task.
STORING = 30.0

log = logging.getLogger(__name__)


def make_outcome(call_id: str, item: Item, call: ModelCall, *, retryable: bool | None = None) -> Outcome:
    """Return the outcome of an item; `call_id` is its call's, `retryable` overrides that of the status."""
    result, encoding = as_json(call.reply.body)
    failed = not call.succeeded
    if failed:
        log.debug("item failed", extra={"index": item.index, "status": call.reply.status, "call_id": call_id})
    return Outcome(
        index=item.index,
        item=item.text[:ITEM_PREVIEW],
        status="failed" if failed else "succeeded",
        status_code=call.reply.status,
        attempts=call.attempts,
        duration=round(call.duration, 6),
        call_id=call_id,
        retryable=failed and (call.retryable if retryable is None else retryable),
        result=result,
        encoding=encoding,
    )


async def store_large_results(store: Store, identity: Identity, outcomes: list[Outcome], limit: int) -> list[Outcome]:
    """Store the largest results as objects until the rest is within `limit` bytes; the outcomes refer to them by key.

    Results of at most 1 KiB always stay inline, since an object for each would cost more than it saves; a limit of 0
    stores every result.
    """
    sizes = [0 if outcome.ref else memoryview(outcome.result).nbytes for outcome in outcomes]
    smallest = SMALL_RESULT if limit else 0
    inline, chosen = sum(sizes), []
    if inline <= limit:
        return outcomes
    for place in sorted(range(len(outcomes)), key=sizes.__getitem__, reverse=True):
        if (limit and inline <= limit) or sizes[place] <= smallest:
            break
        inline -= sizes[place]
        chosen.append(place)
    slots = asyncio.Semaphore(UPLOADS)

    async def store_result(outcome: Outcome, size: int) -> Outcome:
        result, digest = await off_loop(size, _digest, outcome.result)
        key = keys.result(identity.batch, identity.task, identity.attempt, outcome.index, digest)
        async with slots:
            await put_in_parts(store, key, result)
        return msgspec.structs.replace(outcome, result=msgspec.Raw(b"null"), ref=key)

    stored = await asyncio.gather(*(store_result(outcomes[place], sizes[place]) for place in chosen))
    replaced = dict(zip(chosen, stored, strict=True))
    return [replaced.get(place, outcome) for place, outcome in enumerate(outcomes)]


def _digest(result: msgspec.Raw) -> tuple[bytes, str]:
    body = bytes(result)
    return body, hashlib.sha256(body).hexdigest()[:16]
