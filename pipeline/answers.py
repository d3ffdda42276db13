"""Turn replies into outcomes, and keep a task's answer within its limit: what is too large goes to S3."""

import hashlib

import msgspec

from pipeline.calls import Called, as_json
from pipeline.models import ITEM_PREVIEW, KIB, Outcome
from pipeline.signing import Identity
from pipeline.snapshot import Item
from pipeline.store import Store

SMALL_RESULT = KIB


def make_outcome(identity: Identity, item: Item, called: Called, *, retryable: bool | None = None) -> Outcome:
    """Describe what became of an item; `retryable` overrides what the status says of a failure."""
    result, encoding = as_json(called.reply.body)
    failed = not called.succeeded
    return Outcome(
        index=item.index,
        item=item.text[:ITEM_PREVIEW],
        status="failed" if failed else "succeeded",
        status_code=called.reply.status,
        attempts=called.attempts,
        duration=round(called.duration, 6),
        call_id=identity.call_id(item.index),
        retryable=failed and (called.retryable if retryable is None else retryable),
        result=result,
        encoding=encoding,
    )


async def shed(store: Store, identity: Identity, outcomes: list[Outcome], limit: int) -> list[Outcome]:
    """Store the largest results as objects until the rest is within `limit` bytes; the outcomes refer to them.

    Results of at most 1 KiB always travel inline, since an object each would cost more than it saves; a limit of 0
    stores every result.
    """
    kept = sum(len(bytes(outcome.result)) for outcome in outcomes)
    smallest = SMALL_RESULT if limit else 0
    shed_outcomes = list(outcomes)
    for place in sorted(range(len(outcomes)), key=lambda i: len(bytes(outcomes[i].result)), reverse=True):
        outcome = outcomes[place]
        result = bytes(outcome.result)
        if (limit and kept <= limit) or len(result) <= smallest:
            break
        digest = hashlib.sha256(result).hexdigest()[:16]
        key = f"{identity.batch}/refs/{identity.task}.{identity.attempt}.{outcome.index}.{digest}"
        await store.put(key, result)
        kept -= len(result)
        shed_outcomes[place] = msgspec.structs.replace(outcome, result=msgspec.Raw(b"null"), ref=key)
    return shed_outcomes
