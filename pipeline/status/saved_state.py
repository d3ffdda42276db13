"""Keep a batch's state in S3 and in the index: a mark while it is open, its final status once it has ended.

A redrive, a deletion or another request may change the ledger at any moment. So each function here writes until S3 says
the same as the ledger.
"""

from typing import Any, TypeGuard

from pipeline.context import Context
from pipeline.errors import UnavailableError
from pipeline.ledger.notices import EndId, Notices, notices_of
from pipeline.ledger.replies import State
from pipeline.ledger.states import ENDED, ENDED_OR_DELETING
from pipeline.status.document import status_document
from pipeline.store.batch_records import OpenMark, are_pending, without_end_id


async def mark_open(context: Context, batch: str) -> None:
    """Mark a batch as open, with the requests made to it; an ended batch is left alone.

    Raises UnavailableError if Redis has lost the batch: the request is then to be made again.
    """
    written: OpenMark | None = None
    while (marker := await _current_marker(context, batch)) is not None and marker != written:
        await context.ledger.index.add_open(batch)
        await context.records.mark_open(batch, marker)
        written = marker


async def _current_marker(context: Context, batch: str) -> OpenMark | None:
    """Return the mark that the ledger calls for, None if the batch has ended."""
    state = await context.ledger.state(batch)
    if state is None:
        raise UnavailableError(f"Redis has lost batch {batch!r} just now: try again")
    if state["state"] in ENDED_OR_DELETING:
        return None
    return OpenMark(
        generation=state.number("generation"),
        base=state.number("generation") + 1 if state["redrive"] else state.number("base"),
        cancelled=state["outcome"] == "cancelled" or bool(state["cancel"]),
        paused=bool(state["paused"]),
        window=state.number("window"),
        rate=float(state["rate"] or 0),
    )


async def save_final_status(context: Context, batch: str) -> None:
    """Save the final status of an ended batch, with its notifications; once none is pending, it is marked open no more.

    Does nothing for a batch that has not ended. Raises UnavailableError.
    """
    state = await context.ledger.state(batch)
    if state is None:
        await _save_notifications(context, batch)
        return
    saved: State | None = None
    while _is_unsaved_end(state, saved):
        status = status_document(context.settings, batch, state)
        status |= {"epoch": state["epoch"], "redrives": state.number("redrives")}
        await context.records.close(batch, status)
        saved, state = state, await context.ledger.state(batch)
    if saved is None:
        return
    if state is not None and state["state"] in ENDED:
        index = context.ledger.index
        await index.add_ended({batch: state.seconds("ended") or state.now})
        pending = are_pending({"notifications": notices_of(state)})
        await (index.add_notifying(batch) if pending else index.remove(batch))
    now = await context.ledger.state(batch)
    if now is None and await context.records.exists(batch):
        # Redis has lost the batch; its ledger will be rebuilt from S3.
        return
    if now is None or now["state"] == "deleting" or now["created"] != saved["created"]:
        await _unclose(context, batch)
    if now is not None and now["state"] not in ENDED:
        await mark_open(context, batch)


async def _unclose(context: Context, batch: str) -> None:
    """Delete the final status of a batch that is deleted, and save that of the id's next batch if it has ended."""
    await context.records.unclose(batch)
    await save_final_status(context, batch)


def _is_unsaved_end(state: State | None, saved: State | None) -> TypeGuard[State]:
    """Return whether this is the state of an ended batch, and differs from the saved one."""
    if state is None or state["state"] not in ENDED:
        return False
    if saved is None or state.notices != saved.notices:
        return True
    return any(state[name] != saved[name] for name in ("epoch", "generation", "ended"))


async def _save_notifications(context: Context, batch: str) -> None:
    """Save the notifications of a batch whose ledger Redis has lost: the rest of its final status is in S3 already."""
    status = await context.records.read_end(batch)
    notices = await context.ledger.notices.read(batch)
    saved: tuple[str, ...] | None = None
    while status is not None and notices.end == EndId.of(status) and notices.targets != saved:
        status = with_notifications(status, notices)
        await context.records.close(batch, status)
        saved, notices = notices.targets, await context.ledger.notices.read(batch)
    if status is None or saved is None:
        return
    phase = await context.ledger.phase(batch)
    if phase is None and not await context.records.exists(batch):
        await _unclose(context, batch)
    elif phase is not None and phase.state not in ENDED_OR_DELETING:
        # It is redriven meanwhile, and its mark may just have been removed.
        await mark_open(context, batch)


async def final_status(context: Context, batch: str, end: EndId) -> dict[str, Any] | None:
    """Return the final status for this end, or None if it was superseded."""
    state = await context.ledger.state(batch)
    if state is not None:
        return status_document(context.settings, batch, state) if state["state"] in ENDED else None
    status, notices = await context.records.read_end(batch), await context.ledger.notices.read(batch)
    if status is None or notices.end != end or EndId.of(status) != end:
        return None
    return without_end_id(with_notifications(status, notices))


def with_notifications(status: dict[str, Any], notices: Notices) -> dict[str, Any]:
    """Return a final status with its notifications as Redis has them now."""
    targets = [(notification["kind"], notification["target"]) for notification in status["notifications"]]
    return status | {"notifications": notices.describe(targets)}
