"""The final status of a batch, as long as somebody is told of its end: also of one whose ledger Redis has lost."""

from typing import Any, TypeGuard

from pipeline.context import Context
from pipeline.ledger.notices import EndId, Notices, notices_of
from pipeline.ledger.replies import State
from pipeline.ledger.states import ENDED, ENDED_OR_DELETING
from pipeline.status.document import status_document
from pipeline.status.open_mark import mark_open
from pipeline.store.batch_records import are_pending


async def final_status(context: Context, batch: str, end: EndId) -> dict[str, Any] | None:
    """Return the status of a batch that has ended so, None where it has no such end any more."""
    state = await context.ledger.state(batch)
    if state is not None:
        return status_document(context.settings, batch, state) if state["state"] in ENDED else None
    kept, notices = await context.specs.read_end(batch), await context.ledger.notices.read(batch)
    if kept is None or notices.end != end or EndId.of(kept) != end:
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
    while kept is not None and notices.end == EndId.of(kept) and notices.targets != written:
        kept = with_notices(kept, notices)
        await context.specs.close(batch, kept)
        written, notices = notices.targets, await context.ledger.notices.read(batch)
    if kept is None or written is None:
        return
    phase = await context.ledger.phase(batch)
    if phase is None and not await context.specs.exists(batch):
        await context.specs.unclose(batch)
    elif phase is not None and phase.state not in ENDED_OR_DELETING:
        # Redriven meanwhile: its mark may just have been taken away.
        await mark_open(context, batch)


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
