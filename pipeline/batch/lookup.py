"""What the modes that people call have in common: a batch that Redis does not know, and the answer."""

from dataclasses import dataclass
from typing import Any

from pipeline.batch.open import reopen
from pipeline.context import Context
from pipeline.errors import ConflictError, NotFoundError, UnavailableError
from pipeline.request import Response
from pipeline.status.document import status_url
from pipeline.store.errors import MissingObjectError


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


@dataclass(frozen=True)
class Kept:
    """A batch that S3 knows of: its final status, or None where it has not ended."""

    status: dict[str, Any] | None


async def find_kept(context: Context, name: str, digest: str) -> Kept | None:
    """Look in S3 for what Redis may have forgotten of an id; None is free.

    Raises ConflictError for the id of a batch with another digest, or of another function, and for one under which
    there are objects that are no batch's.
    """
    try:
        earlier = await context.specs.read(name)
    except MissingObjectError:
        if await context.specs.is_foreign(name) and await context.specs.read_status(name) is None:
            raise ConflictError(
                f"the bucket holds objects under {name!r} that are no batch's: choose another id"
            ) from None
        return None
    if earlier.digest != digest:
        raise ConflictError(f"batch {name!r} had another specification or another input: choose another id")
    return Kept(await context.specs.read_status(name))


def another(name: str) -> ConflictError:
    """Return the error for an id under which another submission is open."""
    return ConflictError(f"batch {name!r} exists with another specification or another input: choose another id")


def being_deleted(name: str) -> UnavailableError:
    """Return the error for an id whose batch is just being deleted."""
    return UnavailableError(f"batch {name!r} is being deleted: try again in a moment, or choose another id")
