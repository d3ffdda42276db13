"""Tell who asked for it that a batch has ended: each target at least once, until it answers 2xx or a day has passed.

Every try is taken in Redis first, so that of several replicas one makes it; what a replica that dies has taken is
another's once the lease is over.
"""

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pipeline.answers.reply import Reply, too_large
from pipeline.context import Context
from pipeline.errors import BadRequestError
from pipeline.identity import Identity
from pipeline.ledger.notices import DeliveryResult, EndId, Verdict
from pipeline.ledger.replies import MICROSECONDS
from pipeline.notify.reduced import keep_reduced
from pipeline.spec.batch_spec import BatchSpec
from pipeline.spec.input_address import Address
from pipeline.spec.targets import Target
from pipeline.status.final_status import close_told, final_status, with_notices
from pipeline.store import keys
from pipeline.store.batch_records import are_pending
from pipeline.store.bucket import Store
from pipeline.store.errors import MissingObjectError
from pipeline.units import iso, retry_after
from pipeline.webhooks import Webhooks

URL_TIMEOUT = 30.0
# Beyond the time of a call, for what is written after it.
LEASE_MARGIN = 30.0
LONGEST_BACKOFF = 60.0
LONGEST_RETRY_AFTER = 3600.0
PATIENCE = 86400.0
GONE = 410
_TYPES = {"reduce": "batch.reduce", "notify": "batch.ended"}
_RESULTS = {"delivered": "delivered", "due": "refused", "undelivered": "given up"}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Job:
    """The telling of one end of a batch."""

    context: Context
    batch: str
    end: EndId
    spec: BatchSpec

    def timeout(self, target: Target) -> float:
        """Seconds for one call."""
        limit = self.context.settings.task_timeout
        return min(limit, URL_TIMEOUT) if target.is_url else limit


def check_targets(spec: BatchSpec, webhooks: Webhooks) -> None:
    """Raise BadRequestError for somebody to be told where nothing can be signed."""
    if spec.targets and not webhooks.current():
        raise BadRequestError(
            f"{spec.targets[0].kind} needs the secret webhook-key, which is not mounted: it signs what is sent "
            "(pipeline/docs/deploy.md, 'Secrets')"
        )


def tell_soon(context: Context, batch: str) -> None:
    """Make the tries whose turn it is in the background; what fails or ends with the process stays due."""
    context.background.start(tell(context, batch))


async def tell(context: Context, batch: str) -> None:
    """Make the tries whose turn it is, side by side, and those that follow. Raises UnavailableError."""
    notices = await context.ledger.notices.read(batch)
    if notices.end is None or not notices.due:
        return
    try:
        spec = (await context.specs.read(batch)).spec
    except MissingObjectError:
        # It is deleted, and what goes on with that drops its notices.
        return
    await _tell_all(_Job(context, batch, notices.end, spec), notices.due)


async def recall(context: Context, batch: str, kept: dict[str, Any]) -> None:
    """Go on telling of an end that Redis has lost; `kept` is the final status with its ledger's `epoch`.

    Raises UnavailableError.
    """
    notices, index, end = context.ledger.notices, context.ledger.index, EndId.of(kept)
    await notices.restore(batch, end, kept["notifications"])
    await index.note_ended({batch: kept["ended"]})
    await index.note_telling(batch)
    found = await notices.read(batch)
    if found.end == end and not are_pending(with_notices(kept, found)):
        # All are told, and whoever told the last one could not keep that in S3.
        await close_told(context, batch)
    else:
        tell_soon(context, batch)


async def _tell_all(job: _Job, numbers: Sequence[int]) -> None:
    """Tell each, whatever becomes of the others; raises what the first of them raised."""
    for ended in await asyncio.gather(*(_tell(job, number) for number in numbers), return_exceptions=True):
        if ended is not None:
            raise ended


async def _tell(job: _Job, number: int) -> None:
    """Make one try, and then those that follow."""
    slots = job.context.hooks.slots
    if slots.locked():
        # It stays due: another replica, or the next sweep, has room for it.
        return
    async with slots:
        follow = await _try(job, number)
    await _tell_all(job, follow)


async def _try(job: _Job, number: int) -> Sequence[int]:
    """Make one try and keep in S3 what it came to; returns whose turn it is then."""
    context, target, notices = job.context, job.spec.targets[number], job.context.ledger.notices
    if not context.webhooks.current():
        log.warning("a notification waits for the secret webhook-key", extra={"batch": job.batch})
        return ()
    timeout = job.timeout(target)
    document = await _document(job, target)
    tried = await notices.start_delivery(job.batch, job.end, number, timeout + LEASE_MARGIN) if document else 0
    if not tried:
        return ()
    reply = await _post(job, target, number, orjson.dumps(document), timeout)
    verdict = _verdict(reply)
    if verdict == "delivered" and target.kind == "reduce":
        await keep_reduced(context, job.batch, job.end, target.address, reply)
    result = DeliveryResult(tried, verdict, reply.status, _backoff(tried, reply), PATIENCE)
    now, follow = await notices.record_delivery(job.batch, job.end, number, result)
    if now != "stale":
        context.metrics.notified(_RESULTS[now])
        log.log(
            logging.INFO if now == "delivered" else logging.WARNING,
            *("notification %s", _RESULTS[now]),
            extra={"batch": job.batch, "target": target.shown, "status": reply.status or None},
        )
        await close_told(context, job.batch)
    return follow


def _verdict(reply: Reply) -> Verdict:
    """A 410 is for good (Standard Webhooks specification); so is an answer to `reduce` that is too large to keep."""
    if 200 <= reply.status < 300:  # noqa: PLR2004
        return "delivered"
    return "undelivered" if reply.status == GONE or reply == too_large() else "refused"


def _backoff(tried: int, reply: Reply) -> float:
    """Return the seconds before the next try: from 1 to 60, doubled by each, or what a Retry-After asks for."""
    backoff = random.uniform(0.5, 1) * min(LONGEST_BACKOFF, 2.0 ** min(tried, 10))  # noqa: S311
    return max(backoff, min(retry_after(reply.retry_after) or 0.0, LONGEST_RETRY_AFTER))


async def _document(job: _Job, target: Target) -> dict[str, Any] | None:
    """Return what a target is sent, None where the batch has no such end any more."""
    status = await final_status(job.context, job.batch, job.end)
    if status is None:
        return None
    outputs = await output_addresses(job.context.store, job.batch, job.end.generation)
    return {
        "type": _TYPES[target.kind],
        "timestamp": iso(job.end.ended / MICROSECONDS),
        "data": {"status": status, "outputs": outputs},
    }


async def _post(job: _Job, target: Target, number: int, body: bytes, timeout: float) -> Reply:  # noqa: ASYNC109
    context = job.context
    message = Identity(job.batch, job.end.generation, number, epoch=job.end.epoch).call_id(purpose="notice")
    headers = {
        "Content-Type": "application/json",
        "X-Call-Id": message,
        **context.webhooks.headers(message, int(time.time()), body),
    }
    call = context.hooks.post if target.is_url else context.gateway.post
    return await call(target.address, body, headers, timeout)


async def output_addresses(store: Store, batch: str, generation: int) -> dict[str, str]:
    """Return the `s3://` addresses of what a generation has published, by name; the summary is called `summary`.

    What is published is under `<batch>/<generation>/` and under `<batch>/`, and the summary as `<batch>.json`; a reduce
    that was cut off, or an earlier end of this generation, may have left more under the generation.
    """
    written = await store.children(keys.generation_output.folder(batch, generation))
    published = await store.children(keys.output.folder(batch))
    names = {"summary": keys.summary(batch)} if keys.generation_summary(batch, generation) in written else {}
    for key in published:
        parts = keys.output.parse(key)
        if parts and keys.generation_output(batch, generation, parts["name"]) in written:
            names[parts["name"]] = key
    return {name: str(Address(store.bucket, key)) for name, key in names.items()}
