"""The final status of a batch, as long as somebody is told of its end: also of one whose ledger Redis has lost."""

from typing import Any

from pipeline.context import Context
from pipeline.ledger.notices import Ending, Notices
from pipeline.ledger.replies import ENDED
from pipeline.status.document import status_document
from pipeline.tasks.follow_up import close_batch, mark_open


async def final_status(context: Context, batch: str, end: Ending) -> dict[str, Any] | None:
    """Return the status of a batch that has ended so, None where it has no such end any more."""
    state = await context.ledger.state(batch)
    if state is not None:
        return status_document(context.settings, batch, state) if state["state"] in ENDED else None
    kept, notices = await context.specs.read_end(batch), await context.ledger.notices.read(batch)
    if kept is None or notices.end != end or Ending.of(kept) != end:
        return None
    return {name: value for name, value in with_notices(kept, notices).items() if name != "epoch"}


def with_notices(kept: dict[str, Any], notices: Notices) -> dict[str, Any]:
    """Return a final status with what Redis holds of who is told."""
    shown = [(each["kind"], each["target"]) for each in kept["notifications"]]
    return kept | {"notifications": notices.describe(shown)}


async def close_told(context: Context, batch: str) -> None:
    """Keep in S3 who has been told of a batch's end; once all are, it is no longer marked. Raises UnavailableError."""
    if await context.ledger.phase(batch) is None:
        await _close_forgotten(context, batch)
    else:
        await close_batch(context, batch)


async def _close_forgotten(context: Context, batch: str) -> None:
    """Do so for a batch whose ledger Redis has lost: S3 has its status, Redis alone the notices."""
    kept = await context.specs.read_end(batch)
    written: tuple[str, ...] | None = None
    notices = await context.ledger.notices.read(batch)
    while kept is not None and notices.end == Ending.of(kept) and notices.kept != written:
        kept = with_notices(kept, notices)
        await context.specs.close(batch, kept)
        written, notices = notices.kept, await context.ledger.notices.read(batch)
    if kept is None or written is None:
        return
    phase = await context.ledger.phase(batch)
    if phase is None and not await context.specs.exists(batch):
        await context.specs.unclose(batch)
    elif phase is not None and phase.state not in ENDED | {"deleting"}:
        # Redriven meanwhile: its mark may just have been taken away.
        await mark_open(context, batch)
