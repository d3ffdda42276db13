"""A proxy in front of the real S3 server: it breaks chosen requests and forwards all others unchanged."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

# Headers of the connection, not of the message.
_HOP = {"connection", "keep-alive", "transfer-encoding"}


@dataclass
class S3Proxy:
    """`faults` are used by the next requests, one each; `affects` selects these requests; `seen` holds all."""

    upstream: URL
    session: aiohttp.ClientSession
    url: str = ""
    faults: list["Fault"] = field(default_factory=list)
    seen: list[web.Request] = field(default_factory=list)
    affects: Callable[[web.Request], bool] = lambda _: True

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer with the next fault if there is one for this request, else as the server does."""
        self.seen.append(request)
        if self.faults and self.affects(request):
            return await self.faults.pop(0)(self, request)
        return await self.forward(request)

    async def forward(self, request: web.Request) -> web.Response:
        """Pass the request on with the Host it is signed for."""
        async with self.session.request(
            request.method,
            URL(str(self.upstream) + request.raw_path, encoded=True),
            headers=_without_hops(request.headers),
            data=io.BytesIO(await request.read()) if request.body_exists else None,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        ) as answer:
            # In an answer to HEAD, Content-Length is the size of the object.
            return web.Response(
                status=answer.status, body=await answer.read() or None, headers=_without_hops(answer.headers)
            )


Fault = Callable[[S3Proxy, web.Request], Awaitable[web.StreamResponse]]


def refuse(status: int, code: str) -> Fault:
    """Answer with an error as S3 does; an answer to HEAD has no body, only the status."""

    async def answer(_: S3Proxy, request: web.Request) -> web.Response:
        await request.read()
        body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>no</Message></Error>'
        return web.Response(status=status, text=None if request.method == "HEAD" else body)

    return answer


def reply_with(body: str) -> Fault:
    """Answer 200 with this XML."""

    async def answer(_: S3Proxy, request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text=body, content_type="application/xml")

    return answer


async def drop(_: S3Proxy, request: web.Request) -> web.Response:
    """Drop the connection before the server gets the request."""
    await request.read()
    _abort(request)
    return web.Response()


async def lose(proxy: S3Proxy, request: web.Request) -> web.Response:
    """Forward the request, and drop the connection before the answer."""
    await proxy.forward(request)
    _abort(request)
    return web.Response()


async def _nothing() -> None: ...


def cut(after: int, meanwhile: Callable[[], Awaitable[object]] = _nothing) -> Fault:
    """Send `after` bytes of the promised body, await `meanwhile`, then drop the connection."""

    async def answer(proxy: S3Proxy, request: web.Request) -> web.StreamResponse:
        whole = await proxy.forward(request)
        assert isinstance(whole.body, bytes)
        assert after < len(whole.body)
        response = web.StreamResponse(status=whole.status, headers=whole.headers)
        await response.prepare(request)
        await response.write(whole.body[:after])
        await meanwhile()
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


def hold(reached: asyncio.Event, goes_on: asyncio.Event) -> Fault:
    """Forward the request, set `reached`, and hold the answer back until `goes_on`."""

    async def answer(proxy: S3Proxy, request: web.Request) -> web.Response:
        response = await proxy.forward(request)
        reached.set()
        await goes_on.wait()
        return response

    return answer


@asynccontextmanager
async def s3_proxy(upstream: str) -> AsyncIterator[S3Proxy]:
    """Serve on a free port."""
    runner_app = web.Application(client_max_size=2**26)
    runner = web.AppRunner(runner_app, access_log=None)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        proxy = S3Proxy(URL(upstream), session)
        runner_app.router.add_route("*", "/{path:.*}", proxy.serve)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield proxy
        finally:
            await runner.cleanup()


def _abort(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()


def _without_hops(headers: "CIMultiDict[str] | aiohttp.typedefs.LooseHeaders") -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in CIMultiDict(headers).items() if name.lower() not in _HOP)
