"""The gateway's HTTP: its routes, as the router of the OpenFaaS CE gateway answers them."""

from typing import TYPE_CHECKING, Literal

from aiohttp import StreamReader, hdrs, web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict

from pipeline.local.openfaas.exchange import Answer, Exchange, text_answer
from pipeline.local.openfaas.go_http import clean_path
from pipeline.local.openfaas.message_queue import Message
from pipeline.local.openfaas.provider import Provider, describe, info
from pipeline.local.openfaas.proxy import EVENT_STREAM, Proxy, stamp

if TYPE_CHECKING:
    from collections.abc import Callable

_NO_SERVER = ""
_TARGET = "{name:[-a-zA-Z_0-9.]+}{path:(/.*)?}"


class Routes:
    """The routes; `accept` queues a message or refuses it."""

    def __init__(self, proxy: Proxy, provider: Provider, accept: "Callable[[Message], Answer]") -> None:
        self._proxy = proxy
        self._provider = provider
        self._accept = accept

    def application(self) -> web.Application:
        """Return the application; the gateway's own limit on a body is no business of the server."""
        # Go does not decompress bodies.
        app = web.Application(client_max_size=0, handler_args={"auto_decompress": False}, middlewares=[_route_as_go])
        app.router.add_route("*", f"/function/{_TARGET}", self._function)
        app.router.add_post(f"/async-function/{_TARGET}", self._enqueue)
        for path, handler in (
            ("/", _redirect_to_ui),
            ("/system/functions", self._list),
            ("/system/function/{name}", self._describe),
            ("/system/info", self._info),
            ("/healthz", self._health),
        ):
            app.router.add_get(path, handler, allow_head=False)
        app.on_response_prepare.append(_without_server_name)
        return app

    async def _function(self, request: web.Request) -> web.StreamResponse:
        body = request.content if request.body_exists else b""
        exchange = _exchange(request, "function", body)
        # A caller that accepts events gets them streamed, any other a whole answer (OpenFaaS docs, "Stream SSE").
        stream = _Stream(request) if EVENT_STREAM in request.headers.get("Accept", "") else None
        answer = await self._proxy.invoke(exchange, stream.forward if stream else None)
        return stream.response if stream and stream.response else _respond(request, answer)

    async def _enqueue(self, request: web.Request) -> web.Response:
        exchange = _exchange(request, "enqueue", body := await request.read())
        headers, name = exchange.headers, exchange.function
        own_headers = stamp(headers)
        callback_url = headers.get("X-Callback-Url") or None
        message = Message(name, exchange.path, headers, body, headers["X-Call-Id"], callback_url)

        async def accept() -> Answer:
            return self._accept(message)

        answer = await self._proxy.interceptor(exchange, accept)
        answer.headers.update(own_headers)
        return _respond(request, answer)

    async def _list(self, request: web.Request) -> web.Response:
        if refusal := self._provider.refusal():
            return _respond(request, refusal)
        return web.json_response([describe(function) for function in self._provider.functions.values()])

    async def _describe(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if refusal := self._provider.refusal(name):
            return _respond(request, refusal)
        return web.json_response(describe(self._provider.functions[name]))

    async def _info(self, request: web.Request) -> web.Response:
        if refusal := self._provider.refusal():
            return _respond(request, refusal)
        return web.json_response(info())

    async def _health(self, request: web.Request) -> web.Response:
        if refusal := self._provider.refusal():
            return _respond(request, refusal)
        return web.Response(text="OK")


class _Stream:
    """A streamed answer to a request; `response` is None until it begins."""

    def __init__(self, request: web.Request) -> None:
        self.response: web.StreamResponse | None = None
        self._request = request

    async def forward(self, answer: Answer, content: StreamReader) -> None:
        answer.headers.setdefault("Server", _NO_SERVER)
        answer.headers.popall("Content-Length", None)
        self.response = web.StreamResponse(status=answer.status, headers=answer.headers)
        await self.response.prepare(self._request)
        async for piece in content.iter_any():
            await self.response.write(piece)


@web.middleware
async def _route_as_go(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Redirect to cleaned paths, and answer wrong paths and methods as the gateway's router does."""
    path, mark, query = request.raw_path.partition("?")
    if (clean := clean_path(path)) is not None:
        return _respond(request, Answer(301, CIMultiDict({"Location": clean + mark + query}), b""))
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return _respond(request, text_answer(404, "404 page not found"))
    except web.HTTPMethodNotAllowed:
        return _respond(request, Answer(405, CIMultiDict(), b""))


async def _redirect_to_ui(request: web.Request) -> web.Response:
    headers = CIMultiDict({"Location": "/ui/", "Content-Type": "text/html; charset=utf-8"})
    return _respond(request, Answer(307, headers, b'<a href="/ui/">Temporary Redirect</a>.\n\n'))


def _exchange(request: web.Request, kind: Literal["enqueue", "function"], body: bytes | StreamReader) -> Exchange:
    """Make the exchange of a request; the path and query for the function are not decoded."""
    path, mark, query = request.raw_path.partition("?")
    _, _, name, *rest = path.split("/", 3)
    address = request.transport.get_extra_info("peername") if request.transport else None
    return Exchange(
        kind,
        name,
        "".join(("/", *rest, mark, query)),
        CIMultiDict(request.headers),
        body,
        request.method,
        request.host,
        f"{address[0]}:{address[1]}" if address else "",
    )


def _respond(request: web.Request, answer: Answer) -> web.Response:
    answer.headers.setdefault("Server", _NO_SERVER)
    # The length that a function gives to a HEAD is that of a body which it does not send.
    if request.method != hdrs.METH_HEAD:
        answer.headers.popall("Content-Length", None)
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


async def _without_server_name(_: web.Request, response: web.StreamResponse) -> None:
    """Remove the placeholder that keeps aiohttp from naming itself; Go's server sends no `Server` header."""
    if response.headers.get("Server") == _NO_SERVER:
        del response.headers["Server"]
