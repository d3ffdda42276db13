"""What S3 keeps of a batch beside its rows and outcomes: the specification, the mark of an open batch, the status."""

from typing import Any

import msgspec
import orjson
from async_lru import alru_cache

from pipeline.models import Submission
from pipeline.store import MissingObjectError, Store

CACHED_SPECS = 256


class Specs:
    """Reads and writes them; a specification never changes in the life of a batch, so replicas remember it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.get = alru_cache(maxsize=CACHED_SPECS)(self._remembered)

    async def read(self, batch: str) -> Submission:
        """Read a batch's submission; raises MissingObjectError when there is none."""
        return msgspec.json.decode(await self._store.get(f"{batch}/spec.json"), type=Submission)

    async def _remembered(self, batch: str, _epoch: str) -> Submission:
        return await self.read(batch)

    async def write(self, batch: str, submission: Submission) -> None:
        """Write a batch's submission."""
        await self._store.put(f"{batch}/spec.json", msgspec.json.encode(submission))

    async def mark_open(self, batch: str) -> None:
        """Mark the batch as open: the first of its objects."""
        await self._store.put(f"open/{batch}", b"{}")

    async def is_foreign(self, batch: str) -> bool:
        """Say whether what is at `<batch>/` or `<batch>.json` is somebody else's: a batch never writes over it."""
        if not await self._store.list(f"{batch}/", limit=1) and not await self._exists(f"{batch}.json"):
            return False
        return not (await self._exists(f"{batch}/spec.json") or await self._exists(f"open/{batch}"))

    async def exists(self, batch: str) -> bool:
        """Say whether there is a batch of this name."""
        return await self._exists(f"{batch}/spec.json")

    async def _exists(self, key: str) -> bool:
        try:
            await self._store.head(key)
        except MissingObjectError:
            return False
        return True

    async def erase(self, batch: str) -> None:
        """Delete what an opening that failed has written."""
        for key in [f"{batch}/spec.json", f"{batch}/input.csv", *await self._store.list(f"{batch}/input/")]:
            await self._store.delete(key)

    async def close(self, batch: str) -> None:
        """Take the mark of an open batch away."""
        await self._store.delete(f"open/{batch}")

    async def write_status(self, batch: str, status: dict[str, Any]) -> None:
        """Keep the final status, for when the ledger has expired."""
        await self._store.put(f"{batch}/status.json", orjson.dumps(status))

    async def read_status(self, batch: str) -> dict[str, Any] | None:
        """Return the final status of an ended batch, None when it has none."""
        try:
            document: dict[str, Any] = orjson.loads(await self._store.get(f"{batch}/status.json"))
        except MissingObjectError:
            return None
        return document
