"""A gateway and queue-workers that behave as those of OpenFaaS CE, in one process."""

from collections.abc import Callable
from typing import Self

from aiohttp import StreamReader, web
from multidict import CIMultiDict

from pipeline.local.openfaas.functions import Function
from pipeline.local.openfaas.go_http import url_error
from pipeline.local.openfaas.message_queue import Callback, Hook, Message, MessageQueue, once
from pipeline.local.openfaas.proxy import EVENT_STREAM, Answer, Exchange, Interceptor, Proxy, stamp, text_answer
from pipeline.local.openfaas.queue_worker import CallbackRecord, QueueWorkers
from pipeline.local.openfaas.system import describe, info
from pipeline.local.services.ports import HOST

MAX_BODY = 256_000
_NO_SERVER = ""
_TARGET = "{name:[-a-zA-Z_0-9.]+}{path:(/.*)?}"


class LocalGateway:
    """The platform: routes, one queue in memory, `workers` queue-workers.

    Made inside a running loop and opened with `async with`; serves on 127.0.0.1:`port` (0: a free one). Times are in
    seconds. The hooks `messages` and `callbacks` decide how each is delivered, see `Hook`. The hooks, `interceptor` and
    two switches may change at any time: with `queue_down` every enqueue is a 500; with `cut_off` the workers cannot
    reach the gateway (and report 503).
    """

    def __init__(
        self,
        *,
        workers: int = 4,
        ack_wait: float = 60.0,
        upstream_timeout: float = 60.0,
        port: int = 0,
        callbacks: Hook[Callback] = once,
        messages: Hook[Message] = once,
    ) -> None:
        self.queue_down = False
        self.messages_hook = messages
        self._port = port
        self._queue = MessageQueue(ack_wait)
        self._proxy = Proxy(upstream_timeout)
        self._workers = QueueWorkers(self._queue, self._proxy, workers)
        self._workers.hook = callbacks
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self._port, backlog=1024)
        try:
            await site.start()
        except OSError:
            await self.__aexit__()
            raise
        self._port = self._runner.addresses[0][1]
        self._workers.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._workers.stop()
        self._queue.wipe()
        await self._runner.cleanup()
        await self._proxy.session.close()

    @property
    def url(self) -> str:
        """Base URL, without a slash at the end."""
        return f"http://{HOST}:{self._port}"

    @property
    def callbacks_hook(self) -> Hook[Callback]:
        """Decides when each callback is delivered, and how often."""
        return self._workers.hook

    @callbacks_hook.setter
    def callbacks_hook(self, hook: Hook[Callback]) -> None:
        self._workers.hook = hook

    @property
    def interceptor(self) -> Interceptor:
        """Stands between each request and its effect, see `Interceptor`."""
        return self._proxy.interceptor

    @interceptor.setter
    def interceptor(self, interceptor: Interceptor) -> None:
        self._proxy.interceptor = interceptor

    @property
    def cut_off(self) -> bool:
        """Whether the queue-workers cannot reach the gateway."""
        return self._workers.gateway_down

    @cut_off.setter
    def cut_off(self, value: bool) -> None:
        self._workers.gateway_down = value

    @property
    def callback_log(self) -> tuple[CallbackRecord, ...]:
        """The outcomes of the last 10,000 callbacks, oldest first."""
        return tuple(self._workers.log)

    @property
    def functions(self) -> dict[str, Function]:
        """The reachable functions, by name."""
        return dict(self._proxy.functions)

    def add(self, function: Function) -> None:
        """Make a function reachable, in place of one of the same name."""
        self._proxy.functions[function.spec.name] = function

    def queue_depth(self, name: str | None = None, *, match: Callable[[Message], bool] | None = None) -> int:
        """Return the number of waiting messages: all, those of one function, or those for which `match` is true."""
        return self._queue.depth(name, match)

    def messages(self) -> tuple[Message, ...]:
        """Return the waiting messages, the next one first."""
        return self._queue.messages()

    def wipe_queue(self) -> None:
        """Lose all waiting messages and future redeliveries, as a restart of NATS does. Running calls continue."""
        self._queue.wipe()

    def _application(self) -> web.Application:
        # The gateway's own limit on a body is checked in `_refusal`. Go does not decompress bodies.
        app = web.Application(client_max_size=0, handler_args={"auto_decompress": False})
        app.router.add_route("*", f"/function/{_TARGET}", self._function)
        app.router.add_post(f"/async-function/{_TARGET}", self._enqueue)
        app.router.add_get("/system/functions", self._list)
        app.router.add_get("/system/function/{name}", self._describe)
        app.router.add_get("/system/info", self._info)
        app.router.add_get("/healthz", self._health)
        app.on_response_prepare.append(_without_server_name)
        return app

    async def _function(self, request: web.Request) -> web.StreamResponse:
        body = request.content if request.body_exists else b""
        name, path = _target(request)
        # A caller that accepts events gets them streamed, any other a whole answer (OpenFaaS docs, "Stream SSE").
        stream = _Stream(request) if EVENT_STREAM in request.headers.get("Accept", "") else None
        sink = stream.forward if stream else None
        headers = CIMultiDict(request.headers)
        answer = await self._proxy.invoke(name, request.method, path, headers, body, sink=sink)
        return stream.response if stream and stream.response else _respond(answer)

    async def _enqueue(self, request: web.Request) -> web.Response:
        headers = CIMultiDict(request.headers)
        own_headers = stamp(headers)
        body = await request.read()
        name, path = _target(request)
        message = Message(name, path, headers, body, headers["X-Call-Id"], headers.get("X-Callback-Url") or None)

        async def accept() -> Answer:
            return self._accept(message)

        answer = await self.interceptor(Exchange("enqueue", name, path, headers, body), accept)
        answer.headers.update(own_headers)
        return _respond(answer)

    def _accept(self, message: Message) -> Answer:
        answer = self._refusal(message.body, message.callback_url)
        if answer is None:
            self._put(message)
            answer = Answer(202, CIMultiDict(), b"")
        return answer

    def _refusal(self, body: bytes, callback_url: str | None) -> Answer | None:
        if callback_url is not None and (error := url_error(callback_url)):
            return text_answer(400, error)
        if len(body) > MAX_BODY:
            size = f"request body too large for OpenFaaS CE ({len(body)} bytes), maximum: {MAX_BODY} bytes"
            return text_answer(500, f"Error queuing request: {size}")
        if self.queue_down:
            return text_answer(500, "Error queuing request: nats: connection closed")
        return None

    def _put(self, message: Message) -> None:
        for delay in self.messages_hook(message):
            if delay > 0:
                self._queue.put_later(message, delay)
            else:
                self._queue.put(message)

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response([describe(function) for function in self._proxy.functions.values()])

    async def _describe(self, request: web.Request) -> web.Response:
        function = self._proxy.functions.get(request.match_info["name"])
        if function is None:
            return _respond(text_answer(404, "function not found"))
        return web.json_response(describe(function))

    async def _info(self, _: web.Request) -> web.Response:
        return web.json_response(info())

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text="OK")


class _Stream:
    """A streamed answer to a request; `response` is None until it begins."""

    def __init__(self, request: web.Request) -> None:
        self.response: web.StreamResponse | None = None
        self._request = request

    async def forward(self, answer: Answer, content: StreamReader) -> None:
        answer.headers.setdefault("Server", _NO_SERVER)
        self.response = web.StreamResponse(status=answer.status, headers=answer.headers)
        await self.response.prepare(self._request)
        async for piece in content.iter_any():
            await self.response.write(piece)


def _target(request: web.Request) -> tuple[str, str]:
    """Return the function's name, and the path and query for the function, not decoded."""
    path, mark, query = request.raw_path.partition("?")
    _, _, name, *rest = path.split("/", 3)
    return name, "".join(("/", *rest, mark, query))


def _respond(answer: Answer) -> web.Response:
    answer.headers.setdefault("Server", _NO_SERVER)
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


async def _without_server_name(_: web.Request, response: web.StreamResponse) -> None:
    """Remove the placeholder that keeps aiohttp from naming itself; Go's server sends no `Server` header."""
    if response.headers.get("Server") == _NO_SERVER:
        del response.headers["Server"]
