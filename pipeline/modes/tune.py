"""`tune`: change the window or the rate of a batch while it runs."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.batch.control import accepted, tune_batch
from pipeline.batch.sweep import sweep_batch
from pipeline.context import Context
from pipeline.errors import BadRequestError
from pipeline.request import Event, Response, batch_of
from pipeline.spec.batch_spec import MOST_CALLS_A_SECOND, Window


class Tuning(BaseModel):
    """The fields that can be changed; a rate of 0 lifts the limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: Window | None = None
    rate: Annotated[float, Field(ge=0, le=MOST_CALLS_A_SECOND)] | None = None


async def tune(event: Event, context: Context) -> Response:
    """Change `?window=` and `?rate=` of the batch named by `?batch=` or X-Batch-Id: 202.

    Raises BadRequestError, NotFoundError, ConflictError for a batch that has ended.
    """
    batch = batch_of(event)
    try:
        tuning = Tuning.model_validate({name: value for name, value in event.query.items() if name != "batch"})
    except ValidationError as error:
        problems = [f"{e['loc'][0]}: {e['msg']}" for e in error.errors()]
        expected = "expected ?window= from 1 to 10000, or ?rate= up to 10000, where 0 lifts the limit"
        raise BadRequestError(expected, problems) from None
    if tuning == Tuning():
        raise BadRequestError("nothing to change: expected ?window= or ?rate=")
    await tune_batch(context, batch, tuning.window, tuning.rate)
    await sweep_batch(context, batch)
    return accepted(context, batch)
