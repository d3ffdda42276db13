"""Deliver notifications of a batch's end: to each target at least once, until it answers 2xx or a day has passed.

Every attempt takes a lease in Redis first, so that of several replicas one makes it; if that replica dies, another may
make it once the lease is over.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pipeline.answers.reply import Reply, too_large
from pipeline.context import Context
from pipeline.ledger.notices import DeliveryResult, EndId, Notices, Verdict
from pipeline.notify.message import make_document, post_message
from pipeline.notify.reduced import store_reduced
from pipeline.spec.batch_spec import BatchSpec
from pipeline.spec.targets import Target
from pipeline.status.saved_state import save_final_status, with_notifications
from pipeline.store import keys
from pipeline.store.batch_records import are_pending
from pipeline.store.errors import MissingObjectError
from pipeline.units import retry_after

URL_TIMEOUT = 30.0
# Beyond the time of the call, for the writes after it.
LEASE_MARGIN = 30.0
LONGEST_BACKOFF = 60.0
LONGEST_RETRY_AFTER = 3600.0
PATIENCE = 86400.0
GONE = 410
_RESULTS = {"delivered": "delivered", "due": "refused", "undelivered": "given up"}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Job:
    """The notifications of one end of a batch."""

    context: Context
    batch: str
    end: EndId
    spec: BatchSpec

    def timeout(self, target: Target) -> float:
        """Return the seconds for one call."""
        limit = self.context.settings.task_timeout
        return min(limit, URL_TIMEOUT) if target.is_url else limit


async def announce_end(context: Context, batch: str) -> None:
    """Save the final status of a batch that has just ended, and notify its targets in the background."""
    await save_final_status(context, batch)
    deliver_in_background(context, batch)


async def recreate_notices(context: Context, batch: str, status: dict[str, Any]) -> None:
    """Recreate the notices that Redis has lost from the final status in S3, and resume the deliveries.

    `status` has the `epoch` of its ledger. Raises UnavailableError.
    """
    notices, index, end = context.ledger.notices, context.ledger.index, EndId.of(status)
    await notices.restore(batch, end, status["notifications"])
    await index.add_ended({batch: status["ended"]})
    await index.add_notifying(batch)
    current = await notices.read(batch)
    if current.end == end and not are_pending(with_notifications(status, current)):
        # All are delivered, but the replica that made the last delivery could not save that.
        await save_final_status(context, batch)
    else:
        deliver_in_background(context, batch)


def deliver_in_background(context: Context, batch: str) -> None:
    """Start the deliveries that are due; those that fail, or end with the process, stay due."""
    context.background.start(deliver_due(context, batch))


async def deliver_due(context: Context, batch: str) -> None:
    """Make the deliveries that are due, side by side, and those that follow. Raises UnavailableError."""
    notices = await context.ledger.notices.read(batch)
    if notices.end is None or not notices.due or not context.webhook_signer.is_ready():
        return
    try:
        spec = (await context.records.read(batch)).spec
    except MissingObjectError:
        await _give_up_unknown_targets(context, batch, notices)
        return
    await _deliver_all(_Job(context, batch, notices.end, spec), notices.due)


async def _give_up_unknown_targets(context: Context, batch: str, notices: Notices) -> None:
    """Give the due targets up if the batch has ended without its specification, which alone has their addresses.

    A batch that is being deleted has no specification either: its notices are deleted with it.
    """
    state, board = await context.ledger.state(batch), context.ledger.notices
    if state is None or notices.end is None or keys.spec(batch) not in state["lost"].split():
        return
    for number in notices.due:
        attempt = await board.start_delivery(batch, notices.end, number, LEASE_MARGIN)
        await board.record_delivery(batch, notices.end, number, DeliveryResult(attempt, "undelivered", 0, 0, PATIENCE))
    await save_final_status(context, batch)


async def _deliver_all(job: _Job, numbers: Sequence[int]) -> None:
    """Deliver to each target, whatever becomes of the others; raises the first of their errors."""
    for error in await asyncio.gather(*(_deliver(job, number) for number in numbers), return_exceptions=True):
        if error is not None:
            raise error


async def _deliver(job: _Job, number: int) -> None:
    """Make one attempt, and then those that follow."""
    slots = job.context.webhook_client.slots
    if slots.locked():
        # It stays due: another replica, or the next sweep, has a slot for it.
        return
    async with slots:
        next_numbers = await _attempt(job, number)
    await _deliver_all(job, next_numbers)


async def _attempt(job: _Job, number: int) -> Sequence[int]:
    """Make one attempt and save its result in S3; returns the numbers of the targets that are due then."""
    context, target, notices = job.context, job.spec.targets[number], job.context.ledger.notices
    if not context.webhook_signer.is_ready():
        return ()
    timeout = job.timeout(target)
    document = await make_document(context, job.batch, job.end, target)
    attempt = await notices.start_delivery(job.batch, job.end, number, timeout + LEASE_MARGIN) if document else 0
    if not attempt:
        return ()
    reply = await post_message(context, job.batch, job.end, number, target, orjson.dumps(document), timeout)
    verdict = _verdict(reply)
    if verdict == "delivered" and target.kind == "reduce":
        await store_reduced(context, job.batch, job.end, target.address, reply)
    result = DeliveryResult(attempt, verdict, reply.status, _backoff(attempt, reply), PATIENCE)
    state, next_numbers = await notices.record_delivery(job.batch, job.end, number, result)
    if state != "stale":
        context.metrics.notified(_RESULTS[state])
        log.log(
            logging.INFO if state == "delivered" else logging.WARNING,
            *("notification %s", _RESULTS[state]),
            extra={"batch": job.batch, "target": target.shown, "status": reply.status or None},
        )
        await save_final_status(context, job.batch)
    return next_numbers


def _verdict(reply: Reply) -> Verdict:
    """A 410 is final (Standard Webhooks specification); so is an answer to `reduce` that is too large to store."""
    if 200 <= reply.status < 300:  # noqa: PLR2004
        return "delivered"
    return "undelivered" if reply.status == GONE or reply == too_large() else "refused"


def _backoff(attempt: int, reply: Reply) -> float:
    """Return the seconds before the next attempt: 1 to 60, doubled each time, or longer if Retry-After asks for it."""
    backoff = random.uniform(0.5, 1) * min(LONGEST_BACKOFF, 2.0 ** min(attempt, 10))  # noqa: S311
    return max(backoff, min(retry_after(reply.retry_after) or 0.0, LONGEST_RETRY_AFTER))
