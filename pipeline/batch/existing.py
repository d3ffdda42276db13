"""The batch that already has an id: looked up in S3, in case Redis has forgotten it; and the errors for such an id."""

from dataclasses import dataclass
from typing import Any

from pipeline.context import Context
from pipeline.errors import ConflictError, UnavailableError
from pipeline.store.errors import MissingObjectError


@dataclass(frozen=True)
class ExistingBatch:
    """A batch that S3 knows: its final status, or None if it has not ended."""

    status: dict[str, Any] | None


async def find_existing(context: Context, batch: str, digest: str) -> ExistingBatch | None:
    """Look in S3 for a batch with this id; None if the id is free.

    Raises ConflictError if that batch has another digest or is another function's, and if the objects under the id are
    no batch's.
    """
    try:
        submission = await context.records.read(batch)
    except MissingObjectError:
        if await context.records.is_foreign(batch) and await context.records.read_status(batch) is None:
            raise ConflictError(
                f"the bucket holds objects under {batch!r} that are no batch's: choose another id"
            ) from None
        return None
    if submission.digest != digest:
        raise ConflictError(f"batch {batch!r} had another specification or another input: choose another id")
    return ExistingBatch(await context.records.read_status(batch))


def id_in_use(batch: str) -> ConflictError:
    """Return the error for an id under which another submission is open."""
    return ConflictError(f"batch {batch!r} exists with another specification or another input: choose another id")


def being_deleted(batch: str) -> UnavailableError:
    """Return the error for an id whose batch is just being deleted."""
    return UnavailableError(f"batch {batch!r} is being deleted: try again in a moment, or choose another id")
