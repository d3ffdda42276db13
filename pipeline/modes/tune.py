"""`tune`: change the window or the rate of a batch while it runs."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.batch.lookup import accepted, known_state
from pipeline.batch.sweep import sweep_batch
from pipeline.context import Context
from pipeline.errors import BadRequestError, ConflictError, UnavailableError
from pipeline.ledger.states import ENDED_OR_DELETING
from pipeline.request import Event, Response, batch_of
from pipeline.spec.batch_spec import MOST_CALLS_A_SECOND, BatchSpec, Window
from pipeline.spec.chunk_size import AUTO_CHUNK
from pipeline.spec.field_rules import too_slow
from pipeline.status.open_mark import mark_open
from pipeline.store.errors import MissingObjectError


class Tuning(BaseModel):
    """What can be changed; a rate of 0 lifts the limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: Window | None = None
    rate: Annotated[float, Field(ge=0, le=MOST_CALLS_A_SECOND)] | None = None


async def tune(event: Event, context: Context) -> Response:
    """Change `?window=` and `?rate=` of the batch named by `?batch=` or X-Batch-Id: 202.

    Raises BadRequestError, NotFoundError, ConflictError for a batch that has ended.
    """
    name = batch_of(event)
    given = {key: value for key, value in event.query.items() if key != "batch"}
    try:
        wanted = Tuning.model_validate(given)
    except ValidationError as error:
        problems = [f"{e['loc'][0]}: {e['msg']}" for e in error.errors()]
        expected = "expected ?window= from 1 to 10000, or ?rate= up to 10000, where 0 lifts the limit"
        raise BadRequestError(expected, problems) from None
    if wanted == Tuning():
        raise BadRequestError("nothing to change: expected ?window= or ?rate=")
    await _check_rate(context, name, wanted)
    state = await context.ledger.control.tune(name, wanted.window, wanted.rate)
    state = await known_state(context, name, state)
    if state in ENDED_OR_DELETING:
        raise ConflictError(f"batch {name!r} cannot be tuned: it is {state}")
    await mark_open(context, name)
    await sweep_batch(context, name)
    return accepted(context, name)


async def _check_rate(context: Context, name: str, wanted: Tuning) -> None:
    """Refuse a rate at which a task would not come to its end, as a specification's."""
    state = await context.ledger.state(name)
    if state is None or not wanted.rate:
        return
    spec = await _spec(context, name)
    if spec.direct:
        raise BadRequestError(
            f"batch {name!r} cannot be tuned so: its calls are direct, at the queue-workers' own pace"
        )
    most = spec.calls(AUTO_CHUNK if spec.chunk == "auto" else spec.chunk)
    problem = too_slow(state.number("calls") or most, wanted.rate, context.settings)
    if problem:
        raise BadRequestError(f"batch {name!r} cannot be tuned so: {problem}")


async def _spec(context: Context, name: str) -> BatchSpec:
    try:
        return (await context.specs.read(name)).spec
    except MissingObjectError:
        raise UnavailableError(f"batch {name!r} is being opened by another request: try again in a moment") from None
