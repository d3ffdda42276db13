"""Enqueue messages: one for each released task, and those for the opening and the reduce of a batch.

In direct mode a task's message is the call of the model function itself. A message that the gateway refuses stays due.
"""

import asyncio
import logging
import random
from collections.abc import Sequence

from pipeline.context import Context
from pipeline.errors import UnavailableError
from pipeline.identity import Identity, Purpose
from pipeline.ledger.replies import GenerationRef
from pipeline.openfaas.gateway import Gateway, Request
from pipeline.spec.batch_spec import BatchSpec
from pipeline.store.errors import MissingObjectError
from pipeline.store.snapshot import Item
from pipeline.tasks.missing import note_missing
from pipeline.tasks.model_call import call_headers
from pipeline.units import KIB

RELEASES_AT_ONCE = 16
REFUSED_BACKOFF = (0.5, 2.0)
# A message of OpenFaaS CE holds 256,000 bytes with its headers, of which a batch's own may be 16 KiB.
LARGEST_DIRECT_ITEM = 128 * KIB

log = logging.getLogger(__name__)


async def release_first(context: Context, batch: str, generation: int, function: str, tasks: list[int]) -> None:
    """Release a generation's first window, and confirm it."""
    phase = await context.ledger.phase(batch) if tasks else None
    if phase is not None:
        await release(context, GenerationRef(batch, phase.epoch, generation, function), [(task, 0) for task in tasks])
        await context.ledger.confirm_window(batch, generation, phase.epoch)


async def release(context: Context, of: GenerationRef, tasks: Sequence[tuple[int, int]]) -> None:
    """Enqueue these (task, attempt) pairs, at most 16 at once; those that the gateway refuses are due again soon."""
    waiting = iter(tasks)
    refused: list[int] = []

    async def enqueue_in_turn() -> None:
        for task, attempt in waiting:
            try:
                await _enqueue_task(context, of, Identity(of.batch, of.generation, task, attempt, of.epoch))
                context.metrics.released("accepted")
            except (UnavailableError, MissingObjectError) as error:
                if isinstance(error, MissingObjectError):
                    await note_missing(context, of.batch, error.objects)
                context.metrics.released("refused")
                log.warning("a release is put off", extra={"batch": of.batch, "task": task, "error": str(error)})
                refused.append(task)

    if len(tasks) == 1:
        await enqueue_in_turn()
    else:
        await asyncio.gather(*(enqueue_in_turn() for _ in range(min(len(tasks), RELEASES_AT_ONCE))))
    if refused:
        backoff = random.uniform(*REFUSED_BACKOFF)  # noqa: S311
        await context.ledger.defer(of, refused, backoff)


async def _enqueue_task(context: Context, of: GenerationRef, identity: Identity) -> None:
    spec = await context.records.get(of.batch, of.epoch)
    if not (spec.direct and await _enqueue_direct_call(context, spec, identity)):
        await context.gateway.enqueue("task", identity, of.function)


async def _enqueue_direct_call(context: Context, spec: BatchSpec, identity: Identity) -> bool:
    """Enqueue the call of a task's only item; returns False for an item that is too large for a message."""
    (item,) = await context.snapshots.items(identity.batch, identity.epoch, identity.generation, identity.task)
    message = direct_call(context.gateway, spec, identity, item)
    if message is None:
        return False
    await context.gateway.enqueue_request(message)
    return True


def direct_call(gateway: Gateway, spec: BatchSpec, identity: Identity, item: Item) -> Request | None:
    """Return the message for a direct call of this item, None for an item that is too large for one.

    X-Timeout tells a watchdog the call's own limit (OpenFaaS docs, of-watchdog).
    """
    body = item.text.encode()
    if len(body) > LARGEST_DIRECT_ITEM:
        return None
    headers = call_headers(spec, identity.call_id(item.index), json=item.json)
    if "x-timeout" not in map(str.lower, headers):
        headers["X-Timeout"] = f"{max(1, round(1000 * spec.timeout))}ms"
    return gateway.direct_request(identity, spec.function, body, headers)


async def enqueue_open(context: Context, batch: str) -> None:
    """Enqueue the opening of a claimed batch."""
    await _enqueue(context, "open", batch, 0)


async def enqueue_reduce(context: Context, batch: str, generation: int) -> None:
    """Enqueue the reduce of a generation."""
    await _enqueue(context, "reduce", batch, generation)


async def _enqueue(context: Context, mode: Purpose, batch: str, generation: int) -> None:
    try:
        await context.gateway.enqueue(mode, Identity(batch, generation))
    except UnavailableError as error:
        log.warning("%s is put off", mode, extra={"batch": batch, "error": str(error)})
