"""A fake function with the real shell of the page; the test determines its answers."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from pipeline.handler import PAGE, resolve_mode
from pipeline.ledger.states import ENDED
from pipeline.modes.page import page
from pipeline.request import Event
from tests.rigs.browser.documents import outputs, parts

PREFIX = "/some/gateway/function/pipeline"


@dataclass(frozen=True)
class Seen:
    """A request of the page, except those for the shell itself."""

    mode: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def streams(self) -> bool:
        return self.headers.get("Accept") == "text/event-stream"


@dataclass
class Service:
    """Holds the documents; `change` and `put` change them and notify the streams."""

    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    briefs: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"open": [], "ended": []})
    token: str = ""
    streaming: str = "yes"
    refusals: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    on_control: Callable[[str, str, Mapping[str, str]], None] = lambda _mode, _batch, _query: None
    seen: list[Seen] = field(default_factory=list)
    version: int = 1
    live: int = 0
    breaking: str = ""
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _cut: int = 0

    def requests(self, mode: str) -> list[Seen]:
        """Return the requests in a mode, oldest first."""
        return [one for one in self.seen if one.mode == mode]

    async def put(self, *documents: dict[str, Any]) -> None:
        """Set whole documents."""
        self.batches |= {one["batch_id"]: one for one in documents}
        await self.notify()

    async def change(self, batch: str, **fields: Any) -> None:
        """Change fields of a batch."""
        self.batches[batch] |= fields
        await self.notify()

    async def notify(self) -> None:
        """Let all streams read the documents again."""
        self.version += 1
        async with self._changed:
            self._changed.notify_all()

    async def cut_streams(self) -> None:
        """End every open stream, as the real function does after a while."""
        self._cut += 1
        async with self._changed:
            self._changed.notify_all()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer any request."""
        event = Event(await request.read(), request.headers, request.method, request.query, request.path)
        mode = request.headers.get("X-Mode") or resolve_mode(event)
        if mode == PAGE:
            shell = await page(event)
            return web.Response(status=shell.status, body=shell.body, headers=dict(shell.headers))
        self.seen.append(Seen(mode, request.method, request.path, dict(request.query), dict(request.headers)))
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            known = "Authorization" in request.headers
            words = "the token is not known" if known else "the header Authorization is missing"
            return web.json_response({"error": words}, status=401, headers={"WWW-Authenticate": "Bearer"})
        if mode in self.refusals:
            code, refusal = self.refusals[mode]
            return web.json_response(refusal, status=code)
        return await self._answer(mode, request)

    async def _answer(self, mode: str, request: web.Request) -> web.StreamResponse:
        batch = request.query.get("batch", "")
        if batch and batch not in self.batches:
            return web.json_response({"error": f"there is no batch {batch!r}"}, status=404)
        if mode == "status":
            if request.headers.get("Accept") == "text/event-stream" and self.streaming != "no":
                return await self._stream(request, batch)
            return web.json_response(self._document(batch))
        if mode == "outputs":
            return web.json_response(parts(batch) if request.query.get("parts") == "true" else outputs(batch))
        self.on_control(mode, batch, request.query)
        await self.notify()
        if mode == "delete":
            return web.json_response({"batch_id": batch, "deleted": True})
        return web.json_response({"batch_id": batch, "status_url": "http://gateway/"}, status=202)

    def _document(self, batch: str) -> dict[str, Any]:
        return self.batches[batch] if batch else dict(self.briefs)

    def _is_over(self, batch: str) -> bool:
        document = self._document(batch)
        told = document.get("notifications")
        return document.get("state") in ENDED and "'state': 'due'" not in str(told)

    async def _stream(self, request: web.Request, batch: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        if self.streaming == "buffered":
            await asyncio.Event().wait()
        await response.prepare(request)
        self.live += 1
        try:
            await self._write(response, batch, request.headers.get("Last-Event-ID", ""), self._cut)
        finally:
            self.live -= 1
        return response

    async def _write(self, response: web.StreamResponse, batch: str, newest: str, cut: int) -> None:
        if newest == str(self.version):
            await response.write(b": nothing new\n\n")
        if self.breaking:
            await response.write(f"event: error\ndata: {json.dumps({'error': self.breaking})}\n\n".encode())
            return
        while cut == self._cut and (not batch or batch in self.batches):
            if newest != str(self.version):
                newest, data = str(self.version), json.dumps(self._document(batch))
                await response.write(f"id: {newest}\nevent: status\ndata: {data}\n\n".encode())
            if self._is_over(batch):
                await response.write(b"event: end\ndata: {}\n\n")
                return
            async with self._changed:
                if newest == str(self.version) and cut == self._cut:
                    await self._changed.wait()


@dataclass(frozen=True)
class Served:
    """A running service, and the address of its page."""

    service: Service
    url: str
    origin: str


@contextlib.asynccontextmanager
async def served(service: Service) -> AsyncIterator[Served]:
    """Serve on 127.0.0.1 and a free port."""
    app = web.Application()
    app.router.add_route("*", f"{PREFIX}{{path:.*}}", service.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield Served(service, f"{origin}{PREFIX}/", origin)
    finally:
        await runner.cleanup()
