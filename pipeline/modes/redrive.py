"""`redrive`: run the failed items of an ended batch again, as its next generation."""

from typing import Any

from pipeline.batch.delete import disown_outlived
from pipeline.batch.lookup import accepted
from pipeline.batch.open import reopen
from pipeline.context import Context
from pipeline.errors import ConflictError, NotFoundError
from pipeline.ledger.states import ENDED
from pipeline.request import Event, Response, batch_of
from pipeline.status.document import status_document, status_url
from pipeline.status.open_mark import mark_open
from pipeline.store.batch_records import Marker
from pipeline.tasks.follow_up import enqueue_reduce


async def redrive(event: Event, context: Context) -> Response:
    """Redrive the batch named by `?batch=` or X-Batch-Id: what failed or never ran; 202, also when asked twice.

    A batch without failures answers 200 and stays as it is. Raises BadRequestError, NotFoundError, ConflictError for
    a batch that has not ended, or that was never opened.
    """
    name = batch_of(event)
    await disown_outlived(context, name)
    state = await context.ledger.state(name)
    status = status_document(context.settings, name, state) if state else await context.specs.read_status(name)
    if status is None and not await reopen(context, name):
        raise NotFoundError(f"there is no batch {name!r}")
    if status is not None and status["state"] in ENDED:
        if status["started"] is None:
            raise ConflictError(f"batch {name!r} was never opened: {status['reason']}")
        if status["succeeded"] == status["items"]:
            done = {"batch_id": name, "state": status["state"], "redriven": 0}
            return Response.json(200, done | {"status_url": status_url(context.settings, name)})
    if state is None and status is not None:
        await _remember(context, name, status)
        return accepted(context, name)
    return await _redrive(context, name)


async def _redrive(context: Context, name: str) -> Response:
    # First, so that no moment is left in which nobody would go on with it.
    await context.ledger.index.note(name)
    found = await context.ledger.control.redrive(name)
    if found.verdict not in {"redriven", "under way"}:
        raise ConflictError(f"batch {name!r} cannot be redriven: it is {found.state or 'being rebuilt'}")
    await mark_open(context, name)
    if found.verdict == "redriven":
        await enqueue_reduce(context, name, found.generation)
    return accepted(context, name)


async def _remember(context: Context, name: str, status: dict[str, Any]) -> None:
    """Redrive a batch whose ledger has expired: it is rebuilt first. Raises ConflictError for another function's."""
    await context.specs.read(name)
    base = status["generation"] + 1
    marker = await context.specs.read_marker(name)
    if marker is None or marker.base < base:
        await context.specs.mark_open(name, Marker(generation=base - 1, base=base))
    await reopen(context, name)
