"""What S3 keeps of a batch beside its rows and outcomes: the specification, the mark of an open batch, the status."""

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

CACHED_SPECS = 256
CACHED_STATUSES = 1024
STATUS_TTL = 60.0


class Marker(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept in S3 of an open batch's state, for when Redis loses its own.

    `generation` has begun; `base` is the one that the submission, or the last redrive, began with, or that a redrive is
    to begin. The rest is what people asked for; a rate of 0 is none.
    """

    generation: int = 0
    base: int = 0
    cancelled: bool = False
    paused: bool = False
    window: int | None = None
    rate: float | None = None

    def fields(self) -> dict[str, str]:
        """Return it as the ledger's fields."""
        flags = {"paused": self.paused, "cancel": self.cancelled}
        numbers = {"generation": self.generation, "base": self.base, "window": self.window, "rate": self.rate}
        return {
            **{name: "1" for name, is_set in flags.items() if is_set},
            **{name: str(value) for name, value in numbers.items() if value is not None},
        }


class Specs:
    """Reads and writes them; a specification never changes in the life of a batch, so replicas remember it."""

    def __init__(self, store: Store, function: str) -> None:
        self._store = store
        self._function = function
        # Another deployment may use the same bucket: its open batches are its own to go on with.
        self._open_mark = partial(keys.open_mark, function)
        self._ended_mark = partial(keys.ended_mark, function)
        self.get = alru_cache(maxsize=CACHED_SPECS)(self._remembered)
        # Of batches that Redis has forgotten: one that is redriven is in Redis again.
        self.ended = alru_cache(maxsize=CACHED_STATUSES, ttl=STATUS_TTL)(self.read_status)

    async def read(self, batch: str) -> Submission:
        """Read a batch's submission; raises MissingObjectError, and ConflictError for another deployment's batch."""
        submission = await self._submission(batch)
        if submission.owner not in {"", self._function}:
            raise ConflictError(f"batch {batch!r} in this bucket is another function's, {submission.owner!r}")
        return submission

    async def _submission(self, batch: str) -> Submission:
        return msgspec.json.decode(await self._store.get(keys.spec(batch)), type=Submission)

    async def _remembered(self, batch: str, _epoch: str) -> BatchSpec:
        return (await self.read(batch)).spec

    async def write(self, batch: str, submission: Submission) -> None:
        """Write a batch's submission."""
        owned = msgspec.structs.replace(submission, owner=self._function)
        await self._store.put(keys.spec(batch), msgspec.json.encode(owned))

    async def mark_open(self, batch: str, marker: Marker) -> None:
        """Mark the batch as open: the first of its objects."""
        await self._store.put(self._open_mark(batch), msgspec.json.encode(marker))

    async def read_marker(self, batch: str) -> Marker | None:
        """Return the mark of an open batch, None when it is not open."""
        try:
            return msgspec.json.decode(await self._store.get(self._open_mark(batch)), type=Marker)
        except MissingObjectError:
            return None

    async def open_batches(self) -> list[str]:
        """Return the batches that are marked as open, sorted."""
        folder = self._open_mark("")
        return [key.removeprefix(folder) for key in await self._store.list(folder)]

    async def ended_batches(self) -> list[tuple[str, float]]:
        """Return the batches that have ended, sorted, each with the time in seconds since 1970."""
        folder = self._ended_mark("")
        return [(key.removeprefix(folder), at) for key, at in await self._store.list_aged(folder)]

    async def is_foreign(self, batch: str) -> bool:
        """Say whether what is at `<batch>/` or `<batch>.json` is somebody else's: a batch never writes over it."""
        in_folder = await self._store.list(keys.batch_folder(batch), limit=1)
        if not in_folder and not await self._exists(keys.summary(batch)):
            return False
        return not (await self._exists(keys.spec(batch)) or await self._exists(self._open_mark(batch)))

    async def exists(self, batch: str) -> bool:
        """Say whether there is a batch of this name."""
        return await self._exists(keys.spec(batch))

    async def _exists(self, key: str) -> bool:
        try:
            await self._store.head(key)
        except MissingObjectError:
            return False
        return True

    async def erase(self, batch: str, still_ours: Check | None = None) -> None:
        """Delete the objects of a batch and its marks, and nothing else that may be under its name.

        The specification goes last, so that an erasure that breaks off can be asked for again. `still_ours` raises
        where the id is no longer the caller's, and is asked before each request.
        """
        await self._store.abort_uploads(batch)
        spec = keys.spec(batch)
        there = [keys.summary(batch), *await self._store.list(keys.batch_folder(batch))]
        own = [key for key in there if key != spec and keys.belongs_to(key, batch)]
        await self._store.delete_many(own, still_ours)
        await self._store.delete_many([self._open_mark(batch), self._ended_mark(batch)], still_ours)
        await self._store.delete_many([spec], still_ours)

    async def close(self, batch: str, status: dict[str, Any]) -> None:
        """Keep the final status, with its ledger's `epoch`, for when that has expired, and mark the batch as ended.

        Its mark as an open one stays as long as somebody is to be told of the end.
        """
        await self._store.put(keys.status(batch), orjson.dumps(status))
        await self._store.put(self._ended_mark(batch), b"{}")
        if not are_pending(status):
            await self.unmark(batch)

    async def unclose(self, batch: str) -> None:
        """Delete what `close` wrote of a batch that is deleted."""
        await self._store.delete_many([keys.status(batch), self._ended_mark(batch)])

    async def unmark(self, batch: str) -> None:
        """Take the mark of an open batch away."""
        await self._store.delete(self._open_mark(batch))

    async def read_status(self, batch: str) -> dict[str, Any] | None:
        """Return the final status of an ended batch, None when it has none, or one of an earlier life of its id."""
        document = await self.read_end(batch)
        return None if document is None else {name: value for name, value in document.items() if name != "epoch"}

    async def read_end(self, batch: str) -> dict[str, Any] | None:
        """Return the final status with the `epoch` of its ledger, as `close` was given it."""
        try:
            document: dict[str, Any] = orjson.loads(await self._store.get(keys.status(batch)))
        except MissingObjectError:
            return None
        epoch = document.get("epoch")
        try:
            submission = await self._submission(batch)
        except MissingObjectError:
            return document
        return None if epoch and submission.is_later(epoch) else document | {"epoch": epoch or submission.epoch}


def are_pending(document: Mapping[str, Any]) -> bool:
    """Say whether a final status has somebody who is still to be told."""
    return any(notice["state"] == "due" for notice in document.get("notifications") or ())
