"""Go through the open batches and take over what is overdue: lost releases, segments, reduces, openings."""

import logging
import time

from pipeline.context import Context
from pipeline.duties import close_batch, enqueue_open, enqueue_reduce, release, write_due_segment
from pipeline.errors import PipelineError
from pipeline.ledger import ORPHAN_AGE
from pipeline.replies import Pass, Repairs
from pipeline.settling import settle_failed
from pipeline.signing import Identity
from pipeline.status import ENDED

LOST_STATUS = 504

log = logging.getLogger(__name__)


async def sweep_all(context: Context) -> int:
    """Sweep every open batch once; returns how many there are. One read of Redis when there is none.

    A batch that cannot be swept is logged and left for the next sweep. Raises UnavailableError.
    """
    noted = await context.ledger.open_batches()
    for batch, since in noted:
        try:
            await _sweep(context, batch, since)
        except PipelineError as error:
            log.warning("batch %s: %s", batch, error)
        except Exception:
            log.exception("batch %s: an error without a name", batch)
    return len(noted)


async def _sweep(context: Context, batch: str, since: float) -> None:
    settings = context.settings
    repairs = await context.ledger.repair(batch, settings.silence, settings.sweep_interval / 2)
    if repairs.state == "gone":
        if time.time() - since > ORPHAN_AGE:
            await context.ledger.forget_open(batch)
        return
    if repairs.state in ENDED:
        await close_batch(context, batch)
        return
    await _take_over(context, batch, repairs)


async def _take_over(context: Context, batch: str, repairs: Repairs) -> None:
    generation = repairs.generation
    if repairs.open:
        await enqueue_open(context, batch)
    if repairs.release:
        log.info("batch %s: releasing %d tasks", batch, len(repairs.release))
        await release(context, Pass(batch, repairs.epoch, generation, repairs.function), repairs.release)
    for number in repairs.segments:
        await write_due_segment(context, batch, generation, number)
    if repairs.reduce:
        await enqueue_reduce(context, batch, generation)
    for task in repairs.exhausted:
        identity = Identity(batch, generation, task, epoch=repairs.epoch)
        await settle_failed(context, identity, LOST_STATUS, "the task was lost too often")
