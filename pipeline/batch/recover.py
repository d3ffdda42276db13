"""Recover a batch whose ledger Redis has lost: if S3 says that it is open, its opening is queued again."""

import logging
import time
import uuid
from typing import Any

from pipeline.batch.delete import delete_batch
from pipeline.batch.open import NewBatch, claim
from pipeline.context import Context
from pipeline.errors import ConflictError, NotFoundError, UnavailableError
from pipeline.ledger.replies import State
from pipeline.notify.deliver import recreate_notices
from pipeline.status.document import status_document
from pipeline.store import keys
from pipeline.store.batch_records import are_pending
from pipeline.store.errors import MissingObjectError
from pipeline.tasks.release import enqueue_open
from pipeline.units import microseconds

log = logging.getLogger(__name__)


async def recover_if_lost(context: Context, batch: str) -> None:
    """Reopen a batch without a ledger if S3 says that it is open; nothing happens to one that has ended.

    Raises UnavailableError once it is reopened: its state is not known until its ledger is rebuilt.
    """
    if await reopen_lost(context, batch):
        raise UnavailableError(f"Redis has lost batch {batch!r}, and it is being rebuilt: try again in a moment")


async def reopen_lost(context: Context, batch: str) -> bool:
    """Queue an opening for a batch that Redis has forgotten and S3 says is open; returns whether S3 says so.

    An opening that finds a snapshot rebuilds the ledger. An ended batch stays forgotten; its pending notifications are
    resumed. Raises ConflictError for a batch that is being deleted.
    """
    marker = await context.records.read_marker(batch)
    if marker is None:
        return False
    try:
        submission = await context.records.read(batch)
    except MissingObjectError:
        if await context.snapshots.generations(batch):
            await _end_without_specification(context, batch)
            return False
        # Its submitter died before it had written all that an opening needs; a claim of another one is left alone.
        await delete_batch(context, batch)
        return False
    status = await context.records.read_end(batch)
    if status is not None and status["generation"] >= marker.base:
        if are_pending(status):
            await recreate_notices(context, batch, status)
        else:
            await context.records.close(batch, status)
        return False
    await context.ledger.index.add_open(batch)
    claimed = await claim(context, NewBatch(batch, submission, uuid.uuid4().hex), hand_on=True, marker=marker)
    if claimed.verdict == "deleting":
        raise ConflictError(f"batch {batch!r} is being deleted")
    if claimed.verdict == "claimed":
        log.warning("Redis has forgotten the batch, and it is opened again", extra={"batch": batch})
        await enqueue_open(context, batch)
    return True


async def _end_without_specification(context: Context, batch: str) -> None:
    """Save the end of a batch that has lost its ledger and its specification."""
    reason = f"the object {keys.spec(batch)!r} is gone from the bucket, and Redis has lost the batch"
    log.error("the batch has lost an object", extra={"batch": batch, "error": keys.spec(batch)})
    manifest, now = await context.snapshots.manifest(batch, 0), str(microseconds(time.time()))
    fields = {"state": "failed", "reason": reason, "batch_size": str(manifest.items), "created": now, "ended": now}
    await context.records.close(batch, status_document(context.settings, batch, State(fields, 0, 0, time.time())))


async def final_status_in_s3(context: Context, batch: str) -> dict[str, Any]:
    """Return the final status of a batch without a ledger.

    Raises NotFoundError if S3 has none, ConflictError if it is another function's.
    """
    status = await context.records.read_status(batch)
    if status is None:
        raise NotFoundError(f"there is no batch {batch!r}")
    return status


async def has_ended(context: Context, batch: str) -> bool:
    """Return whether S3 says that a batch has ended, and is not about to be redriven."""
    marker, status = await context.records.read_marker(batch), await context.records.read_status(batch)
    return status is not None and (marker is None or marker.base <= status["generation"])
