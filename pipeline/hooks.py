"""POST to URLs that a batch names. Of what they answer the status counts, and Retry-After."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Self

import aiohttp
from yarl import URL

from pipeline.openfaas.gateway import Reply
from pipeline.request import KIB

ANSWER_LIMIT = 64 * KIB
AT_ONCE = 100
NO_ANSWER = 0


class Hooks:
    """A client of its own: no cookies, no proxies of the environment, no redirects, nothing unpacked.

    `slots` are for all who tell of an end, so that many targets that hang hold no more than these.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.slots = asyncio.Semaphore(AT_ONCE)

    @classmethod
    @asynccontextmanager
    async def connect(cls) -> AsyncIterator[Self]:
        """Open the client; nothing is sent yet."""
        # Not kept alive: what else comes on a stranger's connection is never read as another answer.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=jar, auto_decompress=False, trust_env=False
        ) as session:
            yield cls(session)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Reply:  # noqa: ASYNC109
        """POST once; never raises for what the other side does. Status 0 is no answer, and there is no body."""
        limits = aiohttp.ClientTimeout(total=timeout)
        given = {**headers, "Accept-Encoding": "identity"}
        try:
            async with self._session.post(
                URL(url, encoded=True), data=body, headers=given, timeout=limits, allow_redirects=False
            ) as response:
                # Whatever follows the status changes it no more.
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError):
                    await response.content.readexactly(ANSWER_LIMIT)
                return Reply(response.status, b"", response.headers.get("Retry-After", ""))
        # A name that cannot be looked up may be a ValueError.
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return Reply(NO_ANSWER, b"")
