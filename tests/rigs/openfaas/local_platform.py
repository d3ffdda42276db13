"""A local gateway with functions inside the test process, which record their requests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientResponse, ClientSession, web
from multidict import CIMultiDictProxy

from pipeline.local.openfaas.functions import Function, FunctionSpec
from pipeline.local.openfaas.gateway import LocalGateway
from pipeline.local.services.child_processes import child_processes

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Recorded:
    method: str
    path: str
    headers: CIMultiDictProxy[str]
    body: bytes


@dataclass
class Recorder:
    """A function: it records every request, and answers "ok" unless `answers` has the path."""

    requests: list[Recorded] = field(default_factory=list)
    answers: dict[str, Answering] = field(default_factory=dict)

    def at(self, path: str) -> list[Recorded]:
        return [request for request in self.requests if request.path.partition("?")[0] == path]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(Recorded(request.method, request.raw_path, request.headers, await request.read()))
        answering = self.answers.get(request.path)
        return web.Response(text="ok") if answering is None else await answering(request)


@dataclass
class Gate:
    """Holds requests back until the test opens it, and counts them."""

    held: int = 0
    finished: int = 0
    _open: asyncio.Event = field(default_factory=asyncio.Event)

    def open(self) -> None:
        self._open.set()

    async def __call__(self, _: web.Request) -> web.StreamResponse:
        self.held += 1
        try:
            await self._open.wait()
        finally:
            self.held -= 1
        self.finished += 1
        return web.Response(text="through")


@dataclass
class Platform:
    gateway: LocalGateway
    client: ClientSession
    functions: dict[str, Recorder]

    @property
    def recorder(self) -> Recorder:
        return self.functions["pipeline"]

    def url(self, path: str) -> str:
        return self.gateway.url + path

    async def enqueue(self, target: str, body: bytes = b"", *, to: str | None = None, **headers: str) -> ClientResponse:
        """POST to /async-function/<target>; `to` is the path that the callback goes to."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if to is not None:
            sent["X-Callback-Url"] = self.url(to)
        async with self.client.post(self.url(f"/async-function/{target}"), data=body, headers=sent) as response:
            assert await response.read() == b""
            return response

    def calls(self, function: str = "pipeline") -> list[str]:
        return [request.path for request in self.functions[function].requests]


@contextlib.asynccontextmanager
async def platform(
    *names: str, max_inflight: int | None = None, annotations: Mapping[str, str] | None = None, **options: Any
) -> AsyncIterator[Platform]:
    """Run a gateway with the functions "pipeline" and `names`."""
    async with contextlib.AsyncExitStack() as cleanup:
        children = cleanup.enter_context(child_processes())
        client = await cleanup.enter_async_context(ClientSession())
        functions = {name: Recorder() for name in ("pipeline", *names)}
        urls = {name: await cleanup.enter_async_context(served(function)) for name, function in functions.items()}
        gateway = await cleanup.enter_async_context(LocalGateway(**options))
        for name, url in urls.items():
            spec = FunctionSpec(name, url=url, max_inflight=max_inflight, annotations=annotations or {})
            function = Function(spec, children, client)
            await function.start()
            gateway.add(function)
            functions[name].requests.clear()
        yield Platform(gateway, client, functions)


@contextlib.asynccontextmanager
async def served(function: Recorder) -> AsyncIterator[str]:
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", function.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
