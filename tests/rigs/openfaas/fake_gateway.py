"""A gateway on 127.0.0.1 that records what is queued and answers as it is told."""

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
    """What was queued: the function it is for, its query and headers."""

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
    """`queues` holds what was sent to each function, `refusals` what is answered instead of 202.

    What is queued for a function that is `held` is not answered before its event. `looks` are the answers of the
    gateway itself, by path.
    """

    url: str
    session: aiohttp.ClientSession
    queues: dict[str, list[Message]] = field(default_factory=lambda: defaultdict(list))
    refusals: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    models: dict[str, Model] = field(default_factory=dict)
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    looks: dict[str, tuple[int, Mapping[str, str]]] = field(default_factory=dict)

    async def enqueue(self, request: web.Request) -> web.Response:
        """Take a message, or refuse it with the next status that is waiting."""
        function = request.match_info["function"]
        if function in self.held:
            await self.held[function].wait()
        if self.refusals[function]:
            return web.Response(status=self.refusals[function].pop(0), text="Error queuing request: NATS is away")
        message = Message(function, request.query, request.headers, await request.read())
        self.queues[function].append(message)
        return web.Response(status=202)

    async def invoke(self, request: web.Request) -> web.StreamResponse:
        """Answer for a model function; one that is not there answers 404, as the real gateway."""
        model = self.models.get(request.match_info["function"])
        if model is None:
            return web.Response(status=404, text="error finding function")
        return await model(request, await request.read())

    async def look(self, request: web.Request) -> web.Response:
        """Answer for the gateway itself, as a healthy one that knows every function."""
        status, headers = self.looks.get(request.path_qs, (200, {}))
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
        app.router.add_get("/{path:healthz|system/.*}", gateway.look)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            gateway.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield gateway
        finally:
            await runner.cleanup()
