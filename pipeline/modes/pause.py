"""`pause` and `resume`: release nothing for a while; what is in flight settles."""

from pipeline.batch.lookup import accepted, known_state
from pipeline.batch.sweep import sweep_batch
from pipeline.context import Context
from pipeline.errors import ConflictError
from pipeline.ledger.states import PAUSABLE
from pipeline.request import Event, Response, batch_of
from pipeline.status.open_mark import mark_open


async def pause(event: Event, context: Context) -> Response:
    """Pause the batch named by `?batch=` or X-Batch-Id: 202, also when it is paused already. Its deadline stays.

    Raises BadRequestError, NotFoundError, ConflictError for a batch that ends or has ended.
    """
    name = batch_of(event)
    await _hold(context, name, paused=True)
    return accepted(context, name)


async def resume(event: Event, context: Context) -> Response:
    """Let a paused batch go on: 202, also when it is not paused. Raises as `pause`."""
    name = batch_of(event)
    await _hold(context, name, paused=False)
    await sweep_batch(context, name)
    return accepted(context, name)


async def _hold(context: Context, name: str, *, paused: bool) -> None:
    state = await known_state(context, name, await context.ledger.control.hold(name, paused=paused))
    if state not in PAUSABLE:
        raise ConflictError(f"batch {name!r} cannot be {'paused' if paused else 'resumed'}: it is {state}")
    await mark_open(context, name)
