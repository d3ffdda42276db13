"""The list of batches: the open ones, and the last that ended."""

import asyncio
from dataclasses import asdict
from typing import Any

from pipeline.context import Context
from pipeline.errors import ConflictError
from pipeline.ledger.states import ENDED
from pipeline.status.document import status_url

SHOWN_BATCHES = 100
_FIELDS = ("state", "function", "items", "succeeded", "failed", "created", "ended")


async def list_batches(context: Context) -> dict[str, Any]:
    """Describe the open batches, the oldest first, and the ended ones, the newest first; at most 100 of each.

    Needs one round trip to Redis after the index, for the batches that are not cached; S3 is read only for those that
    Redis has forgotten.
    """
    index = context.ledger.index
    opened, ended = await asyncio.gather(index.open_batches(SHOWN_BATCHES), index.ended(SHOWN_BATCHES))
    briefs = await asyncio.gather(*(context.ledger.overview(batch) for batch, _ in opened))
    open_names = [batch for batch, _ in opened]
    closed = await asyncio.gather(*(_ended(context, batch, at) for batch, at in ended if batch not in open_names))
    return {
        "open": [
            _entry(context, batch, asdict(brief) if brief else {})
            for batch, brief in zip(open_names, briefs, strict=True)
        ],
        "ended": [entry for entry in closed if entry is not None],
    }


async def _ended(context: Context, batch: str, at: float) -> dict[str, Any] | None:
    """Describe a batch that ended at this time; None if it runs again, or is deleted, also if another took its id."""
    brief = await context.ledger_cache.ended(batch, at)
    if brief is not None:
        return _entry(context, batch, asdict(brief)) if brief.state in ENDED else None
    try:
        status = await context.records.ended(batch)
    except ConflictError:
        return None
    return None if status is None else _entry(context, batch, status)


def _entry(context: Context, batch: str, document: dict[str, Any]) -> dict[str, Any]:
    fields = {name: document.get(name) for name in _FIELDS}
    return {"batch_id": batch, **fields, "status_url": status_url(context.settings, batch)}
