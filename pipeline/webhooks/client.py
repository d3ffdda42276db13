"""The HTTP client for the URLs that are notified."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Self

import aiohttp
from yarl import URL

from pipeline.answers.reply import Reply
from pipeline.units import KIB

ANSWER_LIMIT = 64 * KIB
MOST_DELIVERIES = 100
NO_ANSWER = 0


class WebhookClient:
    """A client without cookies, proxies of the environment, redirects or decompression.

    `slots` bound the deliveries of the whole process, so that many targets that hang hold no more than these.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.slots = asyncio.Semaphore(MOST_DELIVERIES)

    @classmethod
    @asynccontextmanager
    async def connect(cls) -> AsyncIterator[Self]:
        """Open the client; nothing is sent yet."""
        # Not kept alive: further bytes on a stranger's connection are never read as another answer.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=jar, auto_decompress=False, trust_env=False
        ) as session:
            yield cls(session)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Reply:  # noqa: ASYNC109
        """POST once and return the status, without a body; status 0 is no answer. Never raises for a failed call."""
        limits = aiohttp.ClientTimeout(total=timeout)
        headers = {**headers, "Accept-Encoding": "identity"}
        try:
            async with self._session.post(
                URL(url, encoded=True), data=body, headers=headers, timeout=limits, allow_redirects=False
            ) as response:
                # The status stands, whatever goes wrong with the body.
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError):
                    await response.content.readexactly(ANSWER_LIMIT)
                return Reply(response.status, b"", response.headers.get("Retry-After", ""))
        # A name that cannot be looked up may be a ValueError.
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return Reply(NO_ANSWER, b"")
