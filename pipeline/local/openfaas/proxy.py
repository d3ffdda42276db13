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
    """What a caller gets back: headers without framing, the body whole."""

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


# Takes an answer that is streamed, without its body, and the body as it comes.
Sink = Callable[[Answer, aiohttp.StreamReader], Awaitable[None]]

# Stands between a request and what it asks for: it may refuse before, lose the answer after, or look on.
Interceptor = Callable[[Exchange, Callable[[], Awaitable[Answer]]], Awaitable[Answer]]


async def pass_on(_exchange: Exchange, proceed: Callable[[], Awaitable[Answer]]) -> Answer:
    """Do what is asked: the platform on a good day."""
    return await proceed()


def text_answer(status: int, text: str) -> Answer:
    """Answer as Go's `http.Error` does, which the gateway uses for its own errors."""
    headers = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
    return Answer(status, CIMultiDict(headers), f"{text}\n".encode())


def client_session() -> aiohttp.ClientSession:
    """Open a client that adds nothing of its own to a request and holds any number of connections."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=30),
        auto_decompress=False,
        skip_auto_headers=NO_AUTO_HEADERS,
    )


def as_payload(body: bytes) -> bytes | io.BytesIO | None:
    """Make a body aiohttp's own; it warns of large ones that it would have to write in one piece."""
    if len(body) > _LARGE:
        return io.BytesIO(body)
    return body or None


def stamp(headers: CIMultiDict[str]) -> CIMultiDict[str]:
    """Give a request its id and start time; return what the response carries of them.

    Both are added as the OpenFaaS CE gateway adds them: an id only when the caller sent none, and the time
    at every pass, so that an asynchronous request reaches its function with two, the first of them older.
    """
    started = str(time.time_ns())
    response = CIMultiDict({"X-Start-Time": started, "X-Served-By": SERVED_BY})
    if not headers.get("X-Call-Id"):
        headers["X-Call-Id"] = response["X-Call-Id"] = str(uuid.uuid4())
    headers.add("X-Start-Time", started)
    return response


class Proxy:
    """Calls functions by name, in turn over their replicas."""

    def __init__(self, upstream_timeout: float) -> None:
        self.functions: dict[str, Function] = {}
        self.session = client_session()
        self.interceptor: Interceptor = pass_on
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
        connection breaks or no replica is live, 504 after the upstream timeout (the function works on).
        """
        own = stamp(headers)
        target = name.removesuffix(_NAMESPACE)
        if self.interceptor is not pass_on and isinstance(body, aiohttp.StreamReader):
            # Whoever decides on a request by its body needs it whole.
            body = await body.read()
        exchange = Exchange(kind, target, path, headers, body)

        def stamped(answer: Answer) -> Answer:
            for key, value in own.items():
                answer.headers.setdefault(key, value)
            answer.headers.setdefault("Date", formatdate(usegmt=True))
            return answer

        async def pour(answer: Answer, content: aiohttp.StreamReader) -> None:
            if sink is not None:
                await sink(stamped(answer), content)

        streamed = pour if sink is not None else None
        return stamped(
            await self.interceptor(exchange, lambda: self._call(target, method, path, headers, body, streamed))
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
        # Go's transport asks for gzip when the caller did not, and then unpacks the answer by itself.
        unpack = "Accept-Encoding" not in outgoing
        outgoing.setdefault("Accept-Encoding", "gzip")
        async with self.session.request(
            method,
            URL(replica.url + path, encoded=True),
            headers=outgoing,
            data=as_payload(body) if isinstance(body, bytes) else body,
            # Go's proxy does not know how long the body that it passes on is; only an empty one has a length.
            chunked=True if body else None,
            timeout=self._timeout,
            allow_redirects=False,
            auto_decompress=unpack,
        ) as response:
            answer = end_to_end(response.headers.items())
            if unpack:
                answer.popall("Content-Encoding", None)
            if sink is not None and response.content_type == EVENT_STREAM:
                streamed = Answer(response.status, answer, b"")
                await sink(streamed, response.content)
                return streamed
            return Answer(response.status, answer, await response.read())
