"""What a batch id stands for already: nothing, a batch, or objects that are no batch's."""

from dataclasses import dataclass
from typing import Any

from pipeline.context import Context
from pipeline.errors import ConflictError, UnavailableError
from pipeline.store.bucket import MissingObjectError


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
