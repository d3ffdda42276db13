"""The mark in S3 that a batch is open."""

from pipeline.context import Context
from pipeline.errors import UnavailableError
from pipeline.ledger.states import ENDED_OR_DELETING
from pipeline.store.batch_records import Marker


async def mark_open(context: Context, batch: str) -> None:
    """Keep in S3 and in the index that a batch is open, with what people asked of it.

    Of two at once either may write last, so each writes again until the mark says what the ledger says. Raises
    UnavailableError where Redis has lost the batch: what was asked for is to be asked again.
    """
    written: Marker | None = None
    while (marker := await _marker(context, batch)) is not None and marker != written:
        await context.ledger.index.note(batch)
        await context.specs.mark_open(batch, marker)
        written = marker


async def _marker(context: Context, batch: str) -> Marker | None:
    """Return what the mark of a batch is to say, None where it has ended."""
    state = await context.ledger.state(batch)
    if state is None:
        raise UnavailableError(f"Redis has lost batch {batch!r} just now: try again")
    if state["state"] in ENDED_OR_DELETING:
        return None
    return Marker(
        generation=state.number("generation"),
        base=state.number("generation") + 1 if state["redrive"] else state.number("base"),
        cancelled=state["outcome"] == "cancelled" or bool(state["cancel"]),
        paused=bool(state["paused"]),
        window=state.number("window"),
        rate=float(state["rate"] or 0),
    )
