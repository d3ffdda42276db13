"""A fake gateway on 127.0.0.1: it records queued messages, and its answers can be chosen."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

Model = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Message:
    """A queued message: its function, query, headers and body."""

    function: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def mode(self) -> str:
        return self.headers["X-Mode"]

    @property
    def task(self) -> int:
        return int(self.query["task"])

    @property
    def attempt(self) -> int:
        return int(self.query["attempt"])


@dataclass
class FakeGateway:
    """`queues` holds the messages of each function, `refusals` the statuses to answer instead of 202.

    A message for a function in `held` is not answered before its event. `own_answers` are the answers of the gateway
    itself, by path.
    """

    url: str
    session: aiohttp.ClientSession
    queues: dict[str, list[Message]] = field(default_factory=lambda: defaultdict(list))
    refusals: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    models: dict[str, Model] = field(default_factory=dict)
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    own_answers: dict[str, tuple[int, Mapping[str, str]]] = field(default_factory=dict)

    async def enqueue(self, request: web.Request) -> web.Response:
        """Accept a message, or refuse it with the next of `refusals`."""
        function = request.match_info["function"]
        if function in self.held:
            await self.held[function].wait()
        if self.refusals[function]:
            return web.Response(status=self.refusals[function].pop(0), text="Error queuing request: NATS is away")
        message = Message(function, request.query, request.headers, await request.read())
        self.queues[function].append(message)
        return web.Response(status=202)

    async def invoke(self, request: web.Request) -> web.StreamResponse:
        """Answer for a model function; answer 404 for an unknown one, as the real gateway does."""
        model = self.models.get(request.match_info["function"])
        if model is None:
            return web.Response(status=404, text="error finding function")
        return await model(request, await request.read())

    async def answer_itself(self, request: web.Request) -> web.Response:
        """Answer for the gateway itself, by default as a healthy one that knows every function."""
        status, headers = self.own_answers.get(request.path_qs, (200, {}))
        return web.Response(status=status, headers=headers)


@asynccontextmanager
async def serve_gateway() -> AsyncIterator[FakeGateway]:
    """Serve on a free port."""
    app = web.Application(client_max_size=2**26)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        gateway = FakeGateway("", session)
        app.router.add_post("/async-function/{function}", gateway.enqueue)
        app.router.add_post("/function/{function}", gateway.invoke)
        app.router.add_get("/{path:healthz|system/.*|function/[^/]+/_/health}", gateway.answer_itself)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            gateway.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield gateway
        finally:
            await runner.cleanup()
