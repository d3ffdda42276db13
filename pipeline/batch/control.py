"""Requests to a batch: cancel, pause, resume, tune, redrive. Each is also saved in S3, in case Redis loses it."""

from typing import Any

from pipeline.batch.delete import drop_stale_ledger
from pipeline.batch.open import being_opened
from pipeline.batch.recover import final_status_in_s3, recover_if_lost, reopen_lost
from pipeline.context import Context
from pipeline.errors import BadRequestError, ConflictError, NotFoundError
from pipeline.ledger.replies import Cancelled
from pipeline.ledger.states import ENDED, ENDED_OR_DELETING, PAUSABLE
from pipeline.request import Response
from pipeline.spec.batch_spec import BatchSpec
from pipeline.spec.chunk_size import AUTO_CHUNK
from pipeline.spec.field_rules import too_slow
from pipeline.status.document import status_document, status_url
from pipeline.status.saved_state import mark_open
from pipeline.store.batch_records import OpenMark
from pipeline.store.errors import MissingObjectError
from pipeline.tasks.release import enqueue_reduce
from pipeline.tasks.settle import write_due_segment


def accepted(context: Context, batch: str) -> Response:
    """Answer 202: the request is under way, and the status tells how far."""
    return Response.json(202, {"batch_id": batch, "status_url": status_url(context.settings, batch)})


async def cancel_batch(context: Context, batch: str) -> None:
    """Cancel a batch: no task is released any more, and the duties that follow are performed.

    Raises NotFoundError, ConflictError for a batch that has ended otherwise, UnavailableError for one being rebuilt.
    """
    cancelled = await cancel_in_ledger(context, batch)
    state = cancelled.state or await _recovered_state(context, batch)
    if state in ENDED - {"cancelled"} or state in {"reducing", "deleting"}:
        raise ConflictError(f"batch {batch!r} cannot be cancelled: it is {state}")
    if cancelled.state:
        await mark_open(context, batch)


async def cancel_in_ledger(context: Context, batch: str) -> Cancelled:
    """Cancel a batch in Redis alone, and perform the duties that follow."""
    cancelled = await context.ledger.control.cancel(batch)
    if cancelled.segment is not None:
        await write_due_segment(context, batch, cancelled.generation, cancelled.segment)
    if cancelled.reduce:
        await enqueue_reduce(context, batch, cancelled.generation)
    return cancelled


async def hold_batch(context: Context, batch: str, *, paused: bool) -> None:
    """Pause a batch, or let it go on.

    Raises NotFoundError, ConflictError for a batch that ends or has ended, UnavailableError for one being rebuilt.
    """
    state = await context.ledger.control.hold(batch, paused=paused) or await _recovered_state(context, batch)
    if state not in PAUSABLE:
        raise ConflictError(f"batch {batch!r} cannot be {'paused' if paused else 'resumed'}: it is {state}")
    await mark_open(context, batch)


async def tune_batch(context: Context, batch: str, window: int | None, rate: float | None) -> None:
    """Change the window, or the rate in calls a second (0 lifts it), of a batch; None leaves it as it is.

    Raises BadRequestError for a rate at which a task would not end in time, NotFoundError, ConflictError for a batch
    that has ended, UnavailableError for one being opened or rebuilt.
    """
    await _check_rate(context, batch, rate)
    state = await context.ledger.control.tune(batch, window, rate) or await _recovered_state(context, batch)
    if state in ENDED_OR_DELETING:
        raise ConflictError(f"batch {batch!r} cannot be tuned: it is {state}")
    await mark_open(context, batch)


async def _check_rate(context: Context, batch: str, rate: float | None) -> None:
    state = await context.ledger.state(batch)
    if state is None or not rate:
        return
    spec = await _read_spec(context, batch)
    if spec.direct:
        raise BadRequestError(
            f"batch {batch!r} cannot be tuned so: its calls are direct, at the queue-workers' own pace"
        )
    most = spec.calls(AUTO_CHUNK if spec.chunk == "auto" else spec.chunk)
    problem = too_slow(state.number("calls") or most, rate, context.settings)
    if problem:
        raise BadRequestError(f"batch {batch!r} cannot be tuned so: {problem}")


async def _read_spec(context: Context, batch: str) -> BatchSpec:
    try:
        return (await context.records.read(batch)).spec
    except MissingObjectError:
        raise being_opened(batch) from None


async def _recovered_state(context: Context, batch: str) -> str:
    """Recover a batch that has no ledger; returns the state of one that has ended."""
    await recover_if_lost(context, batch)
    return str((await final_status_in_s3(context, batch))["state"])


async def redrive_batch(context: Context, batch: str) -> str | None:
    """Redrive an ended batch; returns None, or the state of a batch without failures, which stays as it is.

    Raises NotFoundError, ConflictError for a batch that has not ended, or was never opened.
    """
    await drop_stale_ledger(context, batch)
    state = await context.ledger.state(batch)
    status = status_document(context.settings, batch, state) if state else await context.records.read_status(batch)
    if status is None and not await reopen_lost(context, batch):
        raise NotFoundError(f"there is no batch {batch!r}")
    if status is not None and status["state"] in ENDED:
        if status["started"] is None:
            raise ConflictError(f"batch {batch!r} was never opened: {status['reason']}")
        if status["succeeded"] == status["items"]:
            return str(status["state"])
    if state is None and status is not None:
        await _redrive_expired(context, batch, status)
    else:
        await _redrive_in_ledger(context, batch)
    return None


async def _redrive_in_ledger(context: Context, batch: str) -> None:
    # First, so that the sweep knows the batch at every moment.
    await context.ledger.index.add_open(batch)
    redriven = await context.ledger.control.redrive(batch)
    if redriven.verdict not in {"redriven", "under way"}:
        raise ConflictError(f"batch {batch!r} cannot be redriven: it is {redriven.state or 'being rebuilt'}")
    await mark_open(context, batch)
    if redriven.verdict == "redriven":
        await enqueue_reduce(context, batch, redriven.generation)


async def _redrive_expired(context: Context, batch: str, status: dict[str, Any]) -> None:
    """Redrive a batch whose ledger has expired: it is rebuilt first. Raises ConflictError for another function's."""
    await context.records.read(batch)
    base = status["generation"] + 1
    marker = await context.records.read_marker(batch)
    if marker is None or marker.base < base:
        await context.records.mark_open(batch, OpenMark(generation=base - 1, base=base))
    await reopen_lost(context, batch)
