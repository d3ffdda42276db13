"""Perform what the ledger's scripts hand out. Whatever fails here stays due in the ledger, and is taken over."""

import logging
from typing import TypeGuard

from pipeline.context import Context
from pipeline.errors import UnavailableError
from pipeline.ledger.notices import are_pending, notices_of
from pipeline.ledger.replies import ENDED, Cancelled, State
from pipeline.openfaas.signing import Identity, Purpose
from pipeline.status.document import status_document
from pipeline.store.batch_records import Marker
from pipeline.store.segments import write_segment

log = logging.getLogger(__name__)


async def write_due_segment(context: Context, batch: str, generation: int, number: int) -> None:
    """Write a segment whose outcomes wait in Redis; nothing to do when another replica has written it."""
    epoch, answers = await context.ledger.segment_answers(batch, generation, number)
    if answers:
        await write_segment(context.store, batch, generation, epoch, number, answers)
        await context.ledger.segment_written(batch, generation, number, epoch)
        context.metrics.segments.inc()
        log.debug("segment written", extra={"batch": batch, "generation": generation, "segment": number})


async def enqueue_reduce(context: Context, batch: str, generation: int) -> None:
    """Queue the reduce; one that the gateway refuses stays due."""
    await _enqueue(context, "reduce", batch, generation)


async def enqueue_open(context: Context, batch: str) -> None:
    """Queue the opening of a claimed batch; one that the gateway refuses stays due."""
    await _enqueue(context, "open", batch, 0)


async def _enqueue(context: Context, mode: Purpose, batch: str, generation: int) -> None:
    try:
        await context.gateway.enqueue(mode, Identity(batch, generation))
    except UnavailableError as error:
        log.warning("%s is put off", mode, extra={"batch": batch, "error": str(error)})


async def stop(context: Context, batch: str) -> Cancelled:
    """Cancel a batch, and do what follows."""
    found = await context.ledger.control.cancel(batch)
    if found.segment is not None:
        await write_due_segment(context, batch, found.generation, found.segment)
    if found.reduce:
        await enqueue_reduce(context, batch, found.generation)
    return found


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
    if state["state"] in ENDED | {"deleting"}:
        return None
    return Marker(
        generation=state.number("generation"),
        base=state.number("generation") + 1 if state["redrive"] else state.number("base"),
        cancelled=state["outcome"] == "cancelled" or bool(state["cancel"]),
        paused=bool(state["paused"]),
        window=state.number("window"),
        rate=float(state["rate"] or 0),
    )


async def close_batch(context: Context, batch: str) -> None:
    """Keep the final status of an ended batch in S3, and take it off the lists of open ones.

    While somebody is still to be told of the end it stays marked in S3, for when Redis loses that.

    A redrive, or a deletion, may begin meanwhile or even be over, and find its marks taken away or written anew: so it
    is closed again until S3 says what the ledger says, and the index lets go of it after that.
    """
    closed: State | None = None
    state = await context.ledger.state(batch)
    while _is_news(state, closed):
        ended = status_document(context.settings, batch, state) | {"epoch": state["epoch"]}
        await context.specs.close(batch, ended)
        closed, state = state, await context.ledger.state(batch)
    if closed is None:
        return
    if state is not None and state["state"] in ENDED:
        index = context.ledger.index
        await index.note_ended({batch: state.seconds("ended") or state.now})
        pending = are_pending({"notifications": notices_of(state)})
        await (index.note_telling(batch) if pending else index.forget(batch))
    now = await context.ledger.state(batch)
    if now is None and await context.specs.exists(batch):
        # Redis has lost it; what it is to know again is in S3.
        return
    if now is None or now["state"] == "deleting" or now["created"] != closed["created"]:
        await context.specs.unclose(batch)
    if now is not None and now["state"] not in ENDED:
        await mark_open(context, batch)


def _is_news(state: State | None, closed: State | None) -> TypeGuard[State]:
    """Say whether this is an end, and another one than S3 knows of, or one that others have been told of since."""
    if state is None or state["state"] not in ENDED:
        return False
    if closed is None or state.notices != closed.notices:
        return True
    return any(state[name] != closed[name] for name in ("epoch", "generation", "ended"))
