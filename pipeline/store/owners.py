"""Which function owns a batch's id, where several share a bucket.

The owner is written by a conditional write (`If-None-Match: *`), so that of two functions that take an id at once one
gets it. Old servers ignore the condition. There the owner is written where none is found, and the later of two that
write at once has the id. Nobody deletes objects under the id of another owner.
"""

import logging
import uuid
from contextlib import suppress

from async_lru import alru_cache
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from pipeline.errors import ConflictError, PipelineError, UnavailableError
from pipeline.store import keys
from pipeline.store.bucket import Store
from pipeline.store.errors import ChangedObjectError, ConcurrentWriteError, MissingObjectError, NotSupportedError

TRIES = 5

log = logging.getLogger(__name__)


class Owners:
    """The owners of ids in a bucket, for one function."""

    def __init__(self, store: Store, function: str) -> None:
        self._store = store
        self._function = function
        # Once in the life of a process: a server is not replaced by an older one.
        self.are_exclusive = alru_cache(maxsize=1)(self._find_out_whether_exclusive)

    async def take(self, batch: str) -> None:
        """Make this function the owner of the id; raises ConflictError if another one is."""
        for _ in range(TRIES):
            if await self._create(keys.owner(batch)):
                return
            owner = await self.find(batch)
            if owner == self._function:
                return
            if owner is not None:
                raise owned_by(owner, batch)
        raise UnavailableError(f"batch {batch!r} is being deleted: try again in a moment, or choose another id")

    async def find(self, batch: str) -> str | None:
        """Return the owner of the id, None if it has none."""
        try:
            return (await self._store.get(keys.owner(batch))).decode()
        except MissingObjectError:
            return None

    async def _create(self, key: str) -> bool:
        """Write this function under the key; returns False if there is an object."""
        if not await self.are_exclusive():
            with suppress(MissingObjectError):
                await self._store.head(key)
                return False
            await self._store.put(key, self._function.encode(), "text/plain")
            return True
        return await write_new(self._store, key, self._function.encode())

    async def _find_out_whether_exclusive(self) -> bool:
        key = keys.trial(self._function, uuid.uuid4().hex)
        await self._store.put(key, b"")
        try:
            is_exclusive = await refuses_second_write(self._store, key)
        finally:
            with suppress(PipelineError):
                await self._store.delete(key)
        if not is_exclusive:
            log.warning("S3 does not honour conditional writes: two functions that share the bucket may take one id")
        return is_exclusive


@retry(
    retry=retry_if_exception_type(ConcurrentWriteError),
    stop=stop_after_attempt(TRIES),
    wait=wait_random_exponential(multiplier=0.1, max=2),
    reraise=True,
)
async def write_new(store: Store, key: str, body: bytes) -> bool:
    """Write an object under a new key; returns False if there is one already. Raises NotSupportedError."""
    try:
        await store.put(key, body, "text/plain", only_new=True)
    except ChangedObjectError:
        return False
    return True


async def refuses_second_write(store: Store, key: str) -> bool:
    """Return whether the server honours the condition of a write, by writing an object that is there."""
    try:
        return not await write_new(store, key, b"")
    except NotSupportedError:
        return False


def owned_by(owner: str, batch: str) -> ConflictError:
    """Return the error for an id that another function owns."""
    return ConflictError(f"batch {batch!r} in this bucket is another function's, {owner!r}")
