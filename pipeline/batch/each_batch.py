"""Work on many batches: several at once, so that a slow batch holds up no other."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from structlog.contextvars import bound_contextvars

from pipeline.context import Context
from pipeline.errors import PipelineError

log = logging.getLogger(__name__)


async def for_each_batch(
    context: Context, kind: str, batches: Iterable[str], work: Callable[[str], Awaitable[object]]
) -> None:
    """Do this kind of work for each batch; a batch whose last work of the kind still runs is left out. Logs errors.

    Returns after `sweep_interval` seconds at most; the work on slow batches goes on.
    """

    async def work_on(batch: str) -> None:
        with bound_contextvars(batch=batch):
            try:
                await work(batch)
            except PipelineError as error:
                log.warning("the batch could not be swept", extra={"error": str(error)})

    works = {f"{kind} {batch}": partial(work_on, batch) for batch in batches}
    await context.sweeps.run(works, context.settings.sweep_interval)
