"""Read objects of the bucket by signed links, without credentials."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout
from yarl import URL

from pipeline.client.errors import BrokenError, RefusedError, UnreachableError
from pipeline.client.retry import RETRY_STATUSES_FOR_READS, call_with_retries
from pipeline.units import MIB

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from pipeline.client.documents import Link
    from pipeline.client.retry import Tell

AT_ONCE = 8
# A large object may take any time in all; only a silence is limited.
TIMEOUT = ClientTimeout(total=None, sock_connect=10, sock_read=60)


class Downloads:
    """Reads links through a session without a token. No error shows a link: whoever has it can read the object."""

    def __init__(self, session: ClientSession, patience: float, tell: Tell | None) -> None:
        self._session = session
        self._patience = patience
        self._tell = tell

    async def all(self, links: Sequence[Link]) -> list[bytes]:
        """Read objects, eight at a time; returns them in the order of the links. Raises as `get`."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(link: Link) -> bytes:
            async with slots:
                return await self.get(link)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(link)) for link in links]
        except BaseExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        return [task.result() for task in tasks]

    async def get(self, link: Link) -> bytes:
        """Read an object; raises RefusedError for a link that has expired, UnreachableError, BrokenError."""

        async def once() -> bytes:
            async with self._open(link) as response:
                return await response.read()

        return await call_with_retries(once, self._patience, self._tell, RETRY_STATUSES_FOR_READS)

    async def save(self, link: Link, path: Path) -> None:
        """Write an object to a file, which appears whole or not at all; raises as `get`, and OSError."""
        with atomic_write(path) as partial:

            async def once() -> None:
                async with self._open(link) as response:
                    with partial.open("wb") as file:
                        async for piece in response.content.iter_chunked(MIB):
                            file.write(piece)

            await call_with_retries(once, self._patience, self._tell, RETRY_STATUSES_FOR_READS)

    @asynccontextmanager
    async def _open(self, link: Link) -> AsyncIterator[ClientResponse]:
        try:
            origin = URL(link.url).origin()
        except ValueError as error:
            raise BrokenError(HTTPStatus.OK, f"the link to {link.key} is not a URL") from error
        try:
            # `encoded`: the signature covers the URL as it is written.
            async with self._session.get(URL(link.url, encoded=True), timeout=TIMEOUT) as response:
                if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise BrokenError(response.status, f"S3 at {origin} does not serve {link.key}")
                if not response.ok:
                    raise RefusedError(
                        response.status, f"S3 at {origin} does not serve {link.key}: has its link expired?"
                    )
                yield response
        except (ClientError, TimeoutError) as error:
            reason = type(error).__name__ if isinstance(error, ClientError) else "no answer in time"
            raise UnreachableError(
                f"S3 at {origin} cannot be reached from here for {link.key} ({reason}): "
                "the address is the function's setting s3_public_endpoint"
            ) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path` that replaces it at the end; if the body fails, it is removed.

    Raises OSError.
    """
    # The name is random: in a shared folder, another user could place a symbolic link under a predictable one.
    partial = path.with_name(f".{uuid.uuid4().hex}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
