"""Note that an object of an open batch is not in S3, though nobody has deleted the batch."""

import logging
from collections.abc import Sequence

from pipeline.context import Context
from pipeline.store.keys import is_needed

log = logging.getLogger(__name__)


async def note_missing(context: Context, batch: str, objects: Sequence[str]) -> bool:
    """Note objects that S3 does not have; returns whether the batch cannot go on without one of them.

    A sweep looks for them once more, and then ends the batch without them.
    """
    needed = [key for key in objects if is_needed(key, batch)]
    if needed:
        log.warning("an object of the batch is missing", extra={"batch": batch, "error": needed[0]})
        await context.ledger.note_missing(batch, needed)
    return bool(needed)
