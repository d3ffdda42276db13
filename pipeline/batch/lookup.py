"""What the modes that people call have in common: a batch that Redis does not know, and the answer."""

from pipeline.batch.open import reopen
from pipeline.context import Context
from pipeline.errors import NotFoundError, UnavailableError
from pipeline.request import Response
from pipeline.status.document import status_url


async def known_state(context: Context, batch: str, state: str) -> str:
    """Return a batch's state as Redis has it, or as S3 keeps it of an ended one.

    A batch that Redis has lost is opened again, and UnavailableError raised: its state is not known before that.
    Raises NotFoundError.
    """
    if state:
        return state
    if await reopen(context, batch):
        raise UnavailableError(f"Redis has lost batch {batch!r}, and it is being rebuilt: try again in a moment")
    ended = await context.specs.read_status(batch)
    if ended is None:
        raise NotFoundError(f"there is no batch {batch!r}")
    return str(ended["state"])


async def has_ended(context: Context, batch: str) -> bool:
    """Say whether a batch has ended by what S3 knows of it, and is not to be redriven."""
    marker, ended = await context.specs.read_marker(batch), await context.specs.read_status(batch)
    return ended is not None and (marker is None or marker.base <= ended["generation"])


def accepted(context: Context, batch: str) -> Response:
    """Answer 202: what was asked for is under way, and the status says how far."""
    return Response.json(202, {"batch_id": batch, "status_url": status_url(context.settings, batch)})
