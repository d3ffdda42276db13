"""The HTTP client of the OpenFaaS gateway: enqueue messages, call functions."""

import io
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote

import aiohttp
from yarl import URL

from pipeline.answers.reply import BROKEN, RESULT_LIMIT, TIMED_OUT, Reply, too_large
from pipeline.errors import UnavailableError
from pipeline.identity import Identity, Purpose
from pipeline.metrics import Metrics
from pipeline.openfaas.origin import STAMP, may_be_own, names_missing_function
from pipeline.openfaas.signing import Signer
from pipeline.request import CALLBACK_PATH, DIRECT_PATH, PROBE_PATH
from pipeline.units import MIB, http_time

ENQUEUE_TIMEOUT = aiohttp.ClientTimeout(total=10)
GET_TIMEOUT = aiohttp.ClientTimeout(total=5)
LONGEST_TEXT = 1000
# What aiohttp unpacks; an answer that is packed otherwise, or twice, is not called for again.
UNPACKED = frozenset({"", "identity", "gzip", "deflate", "br", "zstd"})
UNREADABLE = 415
# Path and purpose of the callback, for the messages that have one.
_CALLBACKS: Mapping[str, tuple[str, Purpose]] = {
    "task": (CALLBACK_PATH, "callback"),
    "probe": (PROBE_PATH, "probe callback"),
}


@dataclass(frozen=True)
class Request:
    """A POST; the client adds only the headers that every HTTP request has."""

    url: URL
    headers: Mapping[str, str]
    body: bytes | None = None


@dataclass(frozen=True)
class GatewayAnswer:
    """An answer of the gateway itself; `date` is its time in seconds since 1970, None without a Date header."""

    status: int
    date: float | None


class Gateway:
    """The gateway as this function uses it; connections are kept alive for the life of the context."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        function_name: str,
        signer: Signer,
        metrics: Metrics | None = None,
    ) -> None:
        self._session = session
        self._url = url
        self._queues = f"{url}/async-function"
        self._functions = f"{url}/function"
        self._own = function_name
        self._signer = signer
        self._metrics = metrics or Metrics()
        # Whether it stamps what it proxies; None: not known yet.
        self._stamps: bool | None = None

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, url: str, function_name: str, signer: Signer, metrics: Metrics | None = None
    ) -> AsyncIterator[Self]:
        """Open the client; nothing is sent yet."""
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        # No cookies: one that a model function sets would go to every other function behind the gateway.
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(connector=connector, cookie_jar=jar, auto_decompress=True) as session:
            yield cls(session, url, function_name, signer, metrics)

    async def enqueue(self, mode: Purpose, identity: Identity, function: str = "") -> None:
        """Enqueue a message for this function; that of a task or a probe names the callback for its answer.

        `function` is the model function of a task. Raises UnavailableError unless the gateway accepts it (202).
        """
        headers = {"X-Mode": mode, "X-Call-Id": identity.call_id(purpose=mode)}
        if mode in _CALLBACKS:
            headers["X-Callback-Url"] = self._callback(*_CALLBACKS[mode], identity)
        query = self._signer.query(mode, identity, function)
        await self.enqueue_request(self._queued(f"{self._own}?{query}", headers))

    def direct_request(self, identity: Identity, function: str, body: bytes, headers: Mapping[str, str]) -> Request:
        """Return the message for a direct call, whose reply the queue-worker sends to the callback as it is."""
        callback = self._callback(DIRECT_PATH, "direct callback", identity)
        return self._queued(quote(function), {**headers, "X-Callback-Url": callback}, body)

    def call_request(self, function: str, body: bytes, headers: Mapping[str, str]) -> Request:
        """Return the request for a call of a function."""
        return Request(URL(f"{self._functions}/{quote(function)}", encoded=True), headers, body)

    def _callback(self, path: str, purpose: Purpose, identity: Identity) -> str:
        return f"{self._functions}/{self._own}{path}?{self._signer.query(purpose, identity)}"

    def _queued(self, target: str, headers: Mapping[str, str], body: bytes | None = None) -> Request:
        return Request(URL(f"{self._queues}/{target}", encoded=True), headers, body)

    async def enqueue_request(self, request: Request) -> None:
        """Enqueue a message; raises UnavailableError unless the gateway accepts it (202)."""
        try:
            async with self._session.post(
                request.url, data=request.body, headers=request.headers, timeout=ENQUEUE_TIMEOUT, allow_redirects=False
            ) as response:
                if response.status != 202:  # noqa: PLR2004
                    raise UnavailableError(f"the gateway refused a message with {response.status}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnavailableError(f"the gateway cannot be reached ({type(error).__name__})") from error

    async def get(self, path: str) -> GatewayAnswer:
        """GET a path of the gateway itself; raises UnavailableError if there is no answer, whatever its status."""
        url = URL(f"{self._url}{path}", encoded=True)
        try:
            async with self._session.get(url, timeout=GET_TIMEOUT, allow_redirects=False) as response:
                return GatewayAnswer(response.status, http_time(response.headers.get("Date", "")))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnavailableError(f"the gateway cannot be reached ({type(error).__name__})") from error

    async def invoke(self, function: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Reply:  # noqa: ASYNC109
        """Call the model function once, and count the call; never raises for a failed call."""
        started = time.monotonic()
        reply = await self.post(function, body, headers, timeout)
        self._metrics.called(reply.status, time.monotonic() - started)
        return reply

    async def post(self, function: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Reply:  # noqa: ASYNC109
        """Call any function once, without counting the call; never raises for a failed call."""
        limits = aiohttp.ClientTimeout(total=timeout)
        request = self.call_request(function, body, headers)
        # aiohttp warns of large bytes, which it would write in one piece.
        data = body if len(body) <= MIB else io.BytesIO(body)
        try:
            async with self._session.post(
                request.url, data=data, headers=request.headers, timeout=limits, allow_redirects=False
            ) as response:
                if (packing := response.headers.get("Content-Encoding", "").lower()) not in UNPACKED:
                    return Reply(UNREADABLE, f"the answer is packed as {packing[:100]!r}".encode())
                # Its value is no copy.
                received = io.BytesIO()
                async for piece in response.content.iter_any():
                    received.write(piece)
                    if received.tell() > RESULT_LIMIT:
                        return too_large()
                body, retry_after = received.getvalue(), response.headers.get("Retry-After", "")
                unreached = await self.is_own_answer(response.status, response.headers)
                return Reply(response.status, body or _reason(response.status), retry_after, unreached)
        except TimeoutError:
            return Reply(TIMED_OUT, f"no reply within {timeout:g} s".encode())
        except aiohttp.ClientConnectorError:
            return Reply(BROKEN, b"the gateway cannot be reached", unreached=True)
        except aiohttp.ClientError as error:
            return Reply(BROKEN, f"the connection broke ({type(error).__name__})".encode())

    async def is_own_answer(self, status: int, headers: Mapping[str, str]) -> bool:
        """Return whether an answer, also one that a callback brought, is the platform's own and not the function's.

        Only the look-up of this function's own name says whether the gateway stamps: a called function may send any
        header. While that look-up fails, the platform is in trouble.
        """
        return may_be_own(status, headers) and await self.stamps_answers() is not False

    async def stamps_answers(self) -> bool | None:
        """Return whether the gateway stamps what it proxies; None while it does not find this function itself."""
        if self._stamps is None:
            status, headers, _ = await self._look_up(self._own)
            if STAMP in headers:
                self._stamps = True
            elif status and not may_be_own(status, headers):
                self._stamps = False
        return self._stamps

    async def missing_function(self, function: str) -> str:
        """Return the gateway's words if it knows for certain that there is no such function, else ''."""
        status, headers, text = await self._look_up(function)
        is_missing = may_be_own(status, headers) and names_missing_function(status, text)
        return text.decode(errors="replace").strip() if is_missing and await self.stamps_answers() else ""

    async def _look_up(self, function: str) -> tuple[int, Mapping[str, str], bytes]:
        """GET the health of a function, which wakes one that is scaled to zero; status 0 if there is no answer."""
        url = URL(f"{self._functions}/{quote(function)}/_/health", encoded=True)
        try:
            async with self._session.get(url, timeout=GET_TIMEOUT, allow_redirects=False) as response:
                return response.status, response.headers, await response.content.read(LONGEST_TEXT)
        except (aiohttp.ClientError, TimeoutError):
            return 0, {}, b""


def _reason(status: int) -> bytes:
    """Return what an empty answer with this status means, b'' for a success."""
    if 300 <= status < 400:  # noqa: PLR2004
        return b"the function redirects: expected its own answer"
    return b"" if status < 300 else f"an empty answer with status {status}".encode()  # noqa: PLR2004
