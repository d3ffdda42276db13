"""Signatures of what is sent to others, after the Standard Webhooks specification (https://www.standardwebhooks.com)."""

import asyncio
import base64
import contextlib
import hmac
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

import aiohttp
from yarl import URL

from pipeline.answers.reply import Reply
from pipeline.units import KIB

ANSWER_LIMIT = 64 * KIB
AT_ONCE = 100
NO_ANSWER = 0


@dataclass
class Webhooks:
    """Knows the keys, the newest first; without any, nobody can be notified.

    `reload` reads them again before each use; while it returns none, the known ones stay.
    """

    keys: tuple[bytes, ...] = ()
    reload: Callable[[], tuple[bytes, ...]] = field(default=tuple)

    def current(self) -> tuple[bytes, ...]:
        """Return the keys as they are by now."""
        self.keys = self.reload() or self.keys
        return self.keys

    def headers(self, message: str, seconds: int, body: bytes) -> dict[str, str]:
        """Return the headers of a try to send a body: `message` names what is sent, `seconds` since 1970 the try.

        Each key signs, so that a receiver may know either while they are replaced.
        """
        signed = f"{message}.{seconds}.".encode() + body
        macs = (base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in self.current())
        return {
            "webhook-id": message,
            "webhook-timestamp": str(seconds),
            "webhook-signature": " ".join(f"v1,{mac}" for mac in macs),
        }


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
