"""The gateway's `/function/` route: one HTTP exchange with one replica."""

import io
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Literal

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from pipeline.local.openfaas.functions import Function, Replica
from pipeline.local.openfaas.go_http import NO_AUTO_HEADERS, SERVED_BY, end_to_end

EVENT_STREAM = "text/event-stream"
_NAMESPACE = ".openfaas-fn"
_LARGE = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a caller: headers without framing, and the whole body."""

    status: int
    headers: CIMultiDict[str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request at the gateway: a message to `enqueue`, a `function` call, or a `message` that a worker delivers."""

    kind: Literal["enqueue", "function", "message"]
    function: str
    path: str
    headers: CIMultiDict[str]
    body: bytes | aiohttp.StreamReader


# Takes a streamed answer: its head, and its body as a stream.
Sink = Callable[[Answer, aiohttp.StreamReader], Awaitable[None]]

# Stands between a request and its effect: it may refuse the request, lose the answer, or only observe.
Interceptor = Callable[[Exchange, Callable[[], Awaitable[Answer]]], Awaitable[Answer]]


async def proceed_unchanged(_exchange: Exchange, proceed: Callable[[], Awaitable[Answer]]) -> Answer:
    """Proceed: the platform without faults."""
    return await proceed()


def text_answer(status: int, text: str) -> Answer:
    """Answer as Go's `http.Error` does, which the gateway uses for its own errors."""
    headers = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
    return Answer(status, CIMultiDict(headers), f"{text}\n".encode())


def client_session() -> aiohttp.ClientSession:
    """Open a client that adds no headers to a request and holds any number of connections."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=30),
        auto_decompress=False,
        skip_auto_headers=NO_AUTO_HEADERS,
    )


def as_payload(body: bytes) -> bytes | io.BytesIO | None:
    """Convert a body for aiohttp, which warns about large bytes but not about files."""
    if len(body) > _LARGE:
        return io.BytesIO(body)
    return body or None


def stamp(headers: CIMultiDict[str]) -> CIMultiDict[str]:
    """Add the call id and the start time to a request; return the headers for its response.

    As in the OpenFaaS CE gateway, the id is added only if the caller sent none, and the time at every pass: an
    asynchronous request reaches its function with two start times, the older first.
    """
    started = str(time.time_ns())
    response_headers = CIMultiDict({"X-Start-Time": started, "X-Served-By": SERVED_BY})
    if not headers.get("X-Call-Id"):
        headers["X-Call-Id"] = response_headers["X-Call-Id"] = str(uuid.uuid4())
    headers.add("X-Start-Time", started)
    return response_headers


class Proxy:
    """Calls functions by name, each on its replicas in turn."""

    def __init__(self, upstream_timeout: float) -> None:
        self.functions: dict[str, Function] = {}
        self.session = client_session()
        self.interceptor: Interceptor = proceed_unchanged
        self._timeout = aiohttp.ClientTimeout(total=upstream_timeout)

    async def invoke(
        self,
        name: str,
        method: str,
        path: str,
        headers: CIMultiDict[str],
        body: bytes | aiohttp.StreamReader,
        kind: Literal["function", "message"] = "function",
        sink: Sink | None = None,
    ) -> Answer:
        """Call a function and answer as the OpenFaaS CE gateway does; `sink` takes server-sent events as they come.

        404 for an unknown function, 429 from a watchdog at its limit, 502 without function headers when the
        connection breaks or no replica is live, 504 after the upstream timeout (the function keeps running).
        """
        own_headers = stamp(headers)
        target = name.removesuffix(_NAMESPACE)
        if self.interceptor is not proceed_unchanged and isinstance(body, aiohttp.StreamReader):
            # An interceptor may need the whole body.
            body = await body.read()
        exchange = Exchange(kind, target, path, headers, body)

        def with_own_headers(answer: Answer) -> Answer:
            for key, value in own_headers.items():
                answer.headers.setdefault(key, value)
            answer.headers.setdefault("Date", formatdate(usegmt=True))
            return answer

        async def stream(answer: Answer, content: aiohttp.StreamReader) -> None:
            if sink is not None:
                await sink(with_own_headers(answer), content)

        stream_sink = stream if sink is not None else None
        return with_own_headers(
            await self.interceptor(exchange, lambda: self._call(target, method, path, headers, body, stream_sink))
        )

    async def _call(
        self,
        name: str,
        method: str,
        path: str,
        headers: CIMultiDict[str],
        body: bytes | aiohttp.StreamReader,
        sink: Sink | None = None,
    ) -> Answer:
        function = self.functions.get(name)
        if function is None:
            return text_answer(404, f"error finding function {name}{_NAMESPACE}: function not found")
        function.invocations += 1
        replica = function.pick()
        if replica is None:
            return Answer(502, CIMultiDict(), b"")
        limit = function.spec.max_inflight
        if limit is not None and replica.inflight >= limit:
            return text_answer(429, f"Concurrent request limit exceeded. Max concurrent requests: {limit}")
        replica.inflight += 1
        try:
            return await self._exchange(replica, method, path, headers, body, sink)
        except TimeoutError:
            return Answer(504, CIMultiDict(), b"")
        except (aiohttp.ClientError, OSError):
            return Answer(502, CIMultiDict(), b"")
        finally:
            replica.inflight -= 1

    async def _exchange(
        self,
        replica: Replica,
        method: str,
        path: str,
        headers: CIMultiDict[str],
        body: bytes | aiohttp.StreamReader,
        sink: Sink | None,
    ) -> Answer:
        outgoing = end_to_end(headers.items())
        # Go's transport asks for gzip if the caller did not, and then decompresses the answer.
        decompress = "Accept-Encoding" not in outgoing
        outgoing.setdefault("Accept-Encoding", "gzip")
        async with self.session.request(
            method,
            URL(replica.url + path, encoded=True),
            headers=outgoing,
            data=as_payload(body) if isinstance(body, bytes) else body,
            # Go's proxy does not know the length of a forwarded body, unless it is empty.
            chunked=True if body else None,
            timeout=self._timeout,
            allow_redirects=False,
            auto_decompress=decompress,
        ) as response:
            answer = end_to_end(response.headers.items())
            if decompress:
                answer.popall("Content-Encoding", None)
            if sink is not None and response.content_type == EVENT_STREAM:
                streamed = Answer(response.status, answer, b"")
                await sink(streamed, response.content)
                return streamed
            return Answer(response.status, answer, await response.read())
