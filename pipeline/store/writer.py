"""Write an object of unknown or large size: in one request, or as a multipart upload."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

from pipeline.concurrency import cancel_and_wait
from pipeline.store.bucket import PART_SIZE, Store
from pipeline.store.multipart import Upload
from pipeline.store.object_info import ObjectInfo
from pipeline.units import MIB

# The digest of a larger request would hold the event loop up.
LARGEST_REQUEST = 32 * MIB
Record = Callable[[Upload], Awaitable[None]]


class Writer:
    """Collects bytes and sends them as one object: by parts when they outgrow one, whole otherwise.

    A part is sent while the next one is collected. As a context manager it aborts what it has begun when the block
    raises or is cancelled.
    """

    def __init__(self, store: Store, key: str, record: Record, content_type: str = "application/json") -> None:
        self._store = store
        self._key = key
        self._type = content_type
        self._record = record
        self._buffer = bytearray()
        self._upload: Upload | None = None
        self._sending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None and self._upload is not None:
            if self._sending is not None:
                await cancel_and_wait(self._sending)
            await self._upload.give_up()

    async def write(self, data: bytes) -> None:
        """Take the next bytes. An upload that was begun is told of before its first part."""
        self._buffer += data
        if len(self._buffer) >= PART_SIZE:
            if self._upload is None:
                self._upload = await self._store.start_upload(self._key, self._type)
                await self._record(self._upload)
            await self._send(self._upload)

    async def close(self) -> ObjectInfo:
        """Publish the object."""
        if self._upload is None:
            return await self._store.put(self._key, bytes(self._buffer), self._type)
        if self._buffer:
            await self._send(self._upload)
        await self._sent()
        return await self._upload.complete()

    async def _send(self, upload: Upload) -> None:
        """Begin to send what is collected as the next part."""
        await self._sent()
        self._sending = asyncio.create_task(upload.send(bytes(self._buffer)))
        self._buffer.clear()

    async def _sent(self) -> None:
        """Wait for the last part that was begun; raises as the store."""
        if self._sending is not None:
            await self._sending


async def put_in_parts(store: Store, key: str, body: bytes) -> None:
    """Write an object of JSON whole, or in parts if it is large."""
    if len(body) <= LARGEST_REQUEST:
        await store.put(key, body)
        return
    async with await store.start_upload(key) as upload:
        for start in range(0, len(body), LARGEST_REQUEST):
            await upload.send(body[start : start + LARGEST_REQUEST])
        await upload.complete()
