"""The records of a batch in S3: its specification, the marks that it is open or has ended, and its final status."""

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
import orjson
from async_lru import alru_cache

from pipeline.errors import ConflictError
from pipeline.spec.batch_spec import BatchSpec
from pipeline.spec.submission import Submission
from pipeline.store import keys
from pipeline.store.bucket import Check, Store
from pipeline.store.errors import MissingObjectError
from pipeline.store.owners import Owners, owned_by

CACHED_SPECS = 256
CACHED_STATUSES = 1024
STATUS_TTL = 60.0

log = logging.getLogger(__name__)


class OpenMark(msgspec.Struct, frozen=True, omit_defaults=True):
    """The part of an open batch's state that is also in S3, in case Redis loses its memory.

    `generation` is the current one. `base` is the first generation of the submission or of the last redrive, also of a
    redrive that has not begun. The other fields are requests of people; a rate of 0 is no limit.
    """

    generation: int = 0
    base: int = 0
    cancelled: bool = False
    paused: bool = False
    window: int | None = None
    rate: float | None = None

    def fields(self) -> dict[str, str]:
        """Return the mark as fields of the ledger."""
        flags = {"paused": self.paused, "cancel": self.cancelled}
        numbers = {"generation": self.generation, "base": self.base, "window": self.window, "rate": self.rate}
        return {
            **{name: "1" for name, is_set in flags.items() if is_set},
            **{name: str(value) for name, value in numbers.items() if value is not None},
        }


class BatchRecords:
    """Reads and writes the records. A specification never changes in the life of a batch, so replicas cache it."""

    def __init__(self, store: Store, function: str) -> None:
        self._store = store
        self._function = function
        self.owners = Owners(store, function)
        # Another deployment may use the same bucket, and continues its own open batches.
        self._open_mark = partial(keys.open_mark, function)
        self._ended_mark = partial(keys.ended_mark, function)
        self._deleted_mark = partial(keys.deleted_mark, function)
        self.get = alru_cache(maxsize=CACHED_SPECS)(self._read_spec)
        # Only for batches that Redis has lost: a redrive brings a batch back into Redis.
        self.ended = alru_cache(maxsize=CACHED_STATUSES, ttl=STATUS_TTL)(self.read_status)

    async def read(self, batch: str) -> Submission:
        """Read the submission; raises MissingObjectError, or ConflictError if another deployment owns the batch."""
        submission = msgspec.json.decode(await self._store.get(keys.spec(batch)), type=Submission)
        if submission.owner not in {"", self._function}:
            raise owned_by(submission.owner, batch)
        return submission

    async def _read_spec(self, batch: str, _epoch: str) -> BatchSpec:
        return (await self.read(batch)).spec

    async def write(self, batch: str, submission: Submission) -> None:
        """Write the submission, with this function as the owner."""
        owned = msgspec.structs.replace(submission, owner=self._function)
        await self._store.put(keys.spec(batch), msgspec.json.encode(owned))

    async def mark_open(self, batch: str, marker: OpenMark) -> None:
        """Mark the batch as open; this is the first of its objects."""
        await self._store.put(self._open_mark(batch), msgspec.json.encode(marker))

    async def read_marker(self, batch: str) -> OpenMark | None:
        """Return the mark of an open batch, None if it is not marked as open."""
        try:
            return msgspec.json.decode(await self._store.get(self._open_mark(batch)), type=OpenMark)
        except MissingObjectError:
            return None

    async def open_batches(self) -> list[str]:
        """Return the ids of the batches that are marked as open, sorted."""
        folder = self._open_mark("")
        return [key.removeprefix(folder) for key in await self._store.list(folder)]

    async def ended_batches(self) -> list[tuple[str, float]]:
        """Return the ids of the batches that have ended, sorted, each with the time in seconds since 1970."""
        folder = self._ended_mark("")
        return [(key.removeprefix(folder), at) for key, at in await self._store.list_aged(folder)]

    async def mark_deleted(self, batch: str) -> None:
        """Mark the batch as deleted: late objects may come for a while, which are deleted, too."""
        await self._store.put(self._deleted_mark(batch), b"{}")

    async def unmark_deleted(self, batch: str) -> None:
        """Delete the mark of a deleted batch: no late object comes any more."""
        await self._store.delete(self._deleted_mark(batch))

    async def deleted_batches(self) -> dict[str, float]:
        """Return when the batches that are marked as deleted were deleted, in seconds since 1970."""
        folder = self._deleted_mark("")
        return {key.removeprefix(folder): at for key, at in await self._store.list_aged(folder)}

    async def is_foreign(self, batch: str) -> bool:
        """Return whether an id without a batch has objects that no batch wrote: they must not be overwritten."""
        if not await self._has_strays(batch):
            return False
        if await self._exists(keys.summary(batch)):
            return True
        pages = self._store.pages(keys.batch_folder(batch))
        return any([not keys.is_late(entry["Key"]) async for page in pages for entry in page])

    async def has_late_objects(self, batch: str) -> bool:
        """Return whether an id without a batch has objects that came in after the deletion of one."""
        return await self._has_strays(batch) and bool(await self._late_objects(batch))

    async def _has_strays(self, batch: str) -> bool:
        if not await self._store.list(keys.batch_folder(batch), limit=1) and not await self._exists(
            keys.summary(batch)
        ):
            return False
        return not (await self._exists(keys.spec(batch)) or await self._exists(self._open_mark(batch)))

    async def _late_objects(self, batch: str) -> list[str]:
        return [key for key in await self._store.list(keys.batch_folder(batch)) if keys.is_late(key)]

    async def erase_late(self, batch: str, still_ours: Check) -> None:
        """Delete the objects that came in after the deletion of an earlier batch of this id."""
        late = await self._late_objects(batch)
        # With a specification they are those of a batch.
        if late and not await self.exists(batch):
            await self._store.delete_many(late, still_ours)

    async def exists(self, batch: str) -> bool:
        """Return whether there is a batch with this id."""
        return await self._exists(keys.spec(batch))

    async def _exists(self, key: str) -> bool:
        try:
            await self._store.head(key)
        except MissingObjectError:
            return False
        return True

    async def withdraw(self, batch: str, still_ours: Check) -> None:
        """Delete the specification of an opening that is given up: the batch will not run."""
        if await self._is_owned(batch):
            await self._store.delete_many([keys.spec(batch)], still_ours)

    async def erase(self, batch: str, still_ours: Check | None = None) -> None:
        """Delete the objects and marks of a batch, and no other object under its id; then the id has no owner.

        The specification is deleted last, so that an interrupted deletion can be repeated. `still_ours` is called
        before each request, and raises if the id no longer belongs to the caller. Of an id without a batch only late
        objects are deleted, and of one that another function owns only the marks of this function.
        """
        last: list[str] = []
        if await self._is_owned(batch):
            await self._store.abort_uploads(batch, still_ours)
            last = [keys.spec(batch), keys.owner(batch)]
            await self._store.delete_many(await self._own_objects(batch), still_ours)
        await self._store.delete_many([self._open_mark(batch), self._ended_mark(batch)], still_ours)
        await self._store.delete_many(last, still_ours)

    async def _own_objects(self, batch: str) -> list[str]:
        """Return the objects of a batch but its specification; of an id without a batch, the late ones."""
        spec = keys.spec(batch)
        for proof in (spec, self._open_mark(batch), self._ended_mark(batch)):
            if await self._exists(proof):
                there = [keys.summary(batch), *await self._store.list(keys.batch_folder(batch))]
                return [key for key in there if key != spec and keys.belongs_to(key, batch)]
        return await self._late_objects(batch)

    async def _is_owned(self, batch: str) -> bool:
        """Make this function the owner of the id, unless another one is; returns whether it is."""
        try:
            await self.owners.take(batch)
            # Older versions named the owner in the specification only.
            await self.read(batch)
        except ConflictError as error:
            log.warning("%s", error)
            return False
        except MissingObjectError:
            pass
        return True

    async def close(self, batch: str, status: dict[str, Any]) -> None:
        """Write the final status with the `epoch` and the `redrives` of its ledger, and mark the batch as ended.

        The batch stays marked as open while a notification is due.
        """
        await self._store.put(keys.status(batch), orjson.dumps(status))
        await self._store.put(self._ended_mark(batch), b"{}")
        if not are_pending(status):
            await self.unmark(batch)

    async def unclose(self, batch: str) -> None:
        """Delete what `close` wrote, for a batch that is deleted."""
        await self._store.delete_many([keys.status(batch), self._ended_mark(batch)])

    async def unmark(self, batch: str) -> None:
        """Delete the mark of an open batch."""
        await self._store.delete(self._open_mark(batch))

    async def read_status(self, batch: str) -> dict[str, Any] | None:
        """Return the final status, None if there is none of the present life of the id.

        Raises ConflictError if another deployment owns the batch.
        """
        document = await self.read_end(batch)
        return None if document is None else without_end_id(document)

    async def read_end(self, batch: str) -> dict[str, Any] | None:
        """Return the final status with the `epoch` of its ledger, as `close` wrote it; otherwise as `read_status`."""
        try:
            document: dict[str, Any] = orjson.loads(await self._store.get(keys.status(batch)))
        except MissingObjectError:
            return None
        epoch = document.get("epoch")
        try:
            submission = await self.read(batch)
        except MissingObjectError:
            # Written late, after the batch was deleted, unless the batch has lost its specification alone.
            has_rows = await self._exists(keys.manifest(batch, 0))
            return document | {"epoch": epoch or "0"} if has_rows else None
        return None if epoch and submission.is_later(epoch) else document | {"epoch": epoch or submission.epoch}


def without_end_id(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a final status without the fields that only name its end."""
    return {name: value for name, value in document.items() if name not in {"epoch", "redrives"}}


def are_pending(document: Mapping[str, Any]) -> bool:
    """Return whether a final status has a notification that is still due."""
    return any(notice["state"] == "due" for notice in document.get("notifications") or ())
