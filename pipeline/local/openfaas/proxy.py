"""The gateway's `/function/` route: one HTTP exchange with one replica."""

import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from email.utils import formatdate

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from pipeline.local.openfaas.exchange import Answer, Exchange, Interceptor, proceed_unchanged, text_answer
from pipeline.local.openfaas.functions import Function, Replica
from pipeline.local.openfaas.go_client import GoRequest, client_session, open_response
from pipeline.local.openfaas.go_http import GATEWAY_AGENT, SERVED_BY, end_to_end
from pipeline.local.openfaas.provider import NAMESPACE, Provider

EVENT_STREAM = "text/event-stream"

# Takes a streamed answer: its head, and its body as a stream.
Sink = Callable[[Answer, aiohttp.StreamReader], Awaitable[None]]


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
    """Calls functions by name, each on its replicas in turn; with `scale_from_zero` it looks each up first."""

    def __init__(self, provider: Provider, upstream_timeout: float, *, scale_from_zero: bool) -> None:
        self.session = client_session()
        self.interceptor: Interceptor = proceed_unchanged
        self._provider = provider
        self._scale_from_zero = scale_from_zero
        self._timeout = aiohttp.ClientTimeout(total=upstream_timeout)

    async def invoke(self, exchange: Exchange, sink: Sink | None = None) -> Answer:
        """Call a function and answer as the OpenFaaS CE gateway does; `sink` takes server-sent events as they come.

        404 for an unknown function, 429 from a watchdog at its limit, 502 without function headers when the connection
        breaks, no replica is live or the upstream timeout has passed (the function keeps running).
        """
        own_headers = stamp(exchange.headers)
        exchange = replace(exchange, function=exchange.function.removesuffix(f".{NAMESPACE}"))
        if self.interceptor is not proceed_unchanged and isinstance(exchange.body, aiohttp.StreamReader):
            # An interceptor may need the whole body.
            exchange = replace(exchange, body=await exchange.body.read())

        def with_own_headers(answer: Answer) -> Answer:
            for key, value in own_headers.items() if answer.proxied else ():
                answer.headers.setdefault(key, value)
            answer.headers.setdefault("Date", formatdate(usegmt=True))
            return answer

        async def stream(answer: Answer, content: aiohttp.StreamReader) -> None:
            if sink is not None:
                await sink(with_own_headers(answer), content)

        stream_sink = stream if sink is not None else None
        return with_own_headers(await self.interceptor(exchange, lambda: self._call(exchange, stream_sink)))

    async def _call(self, exchange: Exchange, sink: Sink | None = None) -> Answer:
        name = exchange.function
        look_up = self._provider.refusal_of_look_up if self._scale_from_zero else self._provider.refusal
        refusal = look_up(name)
        if refusal is not None:
            return refusal
        function = self._provider.functions[name]
        function.invocations += 1
        replica = function.pick()
        if replica is None:
            return _bad_gateway()
        return await self._call_replica(function, replica, exchange, sink)

    async def _call_replica(
        self, function: Function, replica: Replica, exchange: Exchange, sink: Sink | None
    ) -> Answer:
        limit = function.spec.max_inflight
        if limit is not None and replica.inflight >= limit:
            return text_answer(429, f"Concurrent request limit exceeded. Max concurrent requests: {limit}")
        replica.inflight += 1
        try:
            return await self._exchange(replica, exchange, sink)
        except (aiohttp.ClientError, OSError):
            return _bad_gateway()
        finally:
            replica.inflight -= 1

    async def _exchange(self, replica: Replica, exchange: Exchange, sink: Sink | None) -> Answer:
        url = URL(replica.url + exchange.path, encoded=True)
        # Go's proxy does not know the length of a forwarded body, unless it is empty.
        request = GoRequest(exchange.method, url, _forwarded(exchange), exchange.body, chunked=True)
        async with open_response(self.session, request, self._timeout) as (response, headers):
            answer = Answer(response.status, headers, b"")
            if sink is not None and response.content_type == EVENT_STREAM:
                await sink(answer, response.content)
                return answer
            return replace(answer, body=await response.read())


def _bad_gateway() -> Answer:
    """Answer as the gateway does when a function brings no answer."""
    return Answer(502, CIMultiDict({"Content-Length": "0"}), b"")


def _forwarded(exchange: Exchange) -> CIMultiDict[str]:
    headers = end_to_end(exchange.headers.items())
    headers.setdefault("X-Forwarded-Host", exchange.host)
    headers.setdefault("X-Forwarded-For", exchange.address)
    headers.setdefault("User-Agent", GATEWAY_AGENT)
    return headers
