"""A hostile model function: its answer is only the reply of its own call, and reaches no other function."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pipeline.errors import UnavailableError
from pipeline.identity import Identity
from pipeline.openfaas.gateway import Gateway
from pipeline.openfaas.signing import Signer
from pipeline.units import MIB

pytestmark = pytest.mark.usefixtures("watchdog")


class Neighbours:
    """The other functions behind the gateway: they record the requests that reach them."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        return web.Response(status=202 if "async" in request.path else 200)


@asynccontextmanager
async def gateway_with(
    signer: Signer, model: Callable[[web.Request], web.Response]
) -> AsyncIterator[tuple[Gateway, Neighbours]]:
    async def answer(request: web.Request) -> web.Response:
        return model(request)

    neighbours = Neighbours()
    app = web.Application()
    app.router.add_post("/function/model", answer)
    app.router.add_route("*", "/{path:.*}", neighbours.answer)
    async with (
        TestServer(app) as server,
        # A host name, since a cookie of an IP address is never kept.
        Gateway.connect(f"http://localhost:{server.port}", "pipeline", signer) as gateway,
    ):
        yield gateway, neighbours


async def test_large_item_arrives_complete(signer: Signer) -> None:
    async def measure(request: web.Request) -> web.Response:
        return web.Response(body=str(len(await request.read())).encode())

    app = web.Application(client_max_size=4 * MIB)
    app.router.add_post("/function/model", measure)
    async with TestServer(app) as server, Gateway.connect(str(server.make_url("")), "pipeline", signer) as gateway:
        assert (await gateway.invoke("model", b"x" * 3 * MIB, {}, 30.0)).body == str(3 * MIB).encode()


async def test_cookie_of_a_model_function_reaches_no_other_function(signer: Signer) -> None:
    cookie = {"Set-Cookie": "session=stolen; Path=/"}
    async with gateway_with(signer, lambda _: web.Response(headers=cookie)) as (gateway, neighbours):
        assert (await gateway.invoke("model", b"item", {}, 5.0)).status == 200
        await gateway.invoke("other", b"item", {}, 5.0)
        await gateway.enqueue("task", Identity("batch", 0), "model")
    assert [request.headers.get("Cookie") for request in neighbours.requests] == [None, None]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_of_a_model_function_is_not_followed(signer: Signer, status: int) -> None:
    where = {"Location": "/async-function/pipeline"}
    async with gateway_with(signer, lambda _: web.Response(status=status, headers=where)) as (gateway, neighbours):
        assert (await gateway.invoke("model", b"item", {}, 5.0)).status == status
    assert neighbours.requests == []


async def test_redirect_of_a_message_is_not_followed(signer: Signer) -> None:
    """The queue belongs to the gateway, but a proxy in front of it may be compromised."""

    async def elsewhere(_request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "/function/other"})

    reached: list[str] = []

    async def other(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.Response(status=202)

    app = web.Application()
    app.router.add_post("/async-function/pipeline", elsewhere)
    app.router.add_post("/function/other", other)
    async with TestServer(app) as server, Gateway.connect(str(server.make_url("")), "pipeline", signer) as gateway:
        with pytest.raises(UnavailableError, match="the gateway refused a message with 307"):
            await gateway.enqueue("task", Identity("batch", 0), "model")
    assert reached == []


async def test_compressed_answer_over_the_limit_is_a_413(signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("answers.reply", "openfaas.gateway"):
        monkeypatch.setattr(f"pipeline.{module}.RESULT_LIMIT", MIB)
    bomb = await asyncio.to_thread(gzip.compress, bytes(64 * MIB))
    packed = {"Content-Encoding": "gzip"}
    async with gateway_with(signer, lambda _: web.Response(body=bomb, headers=packed)) as (gateway, _):
        reply = await gateway.invoke("model", b"item", {}, 30.0)
    assert (reply.status, reply.body) == (413, b"the result is over 1 MiB")


MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "half a header": b"HTTP/1.1 200 OK\r\nContent-Le",
    "a long header": b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n",
    "a header that is none": b"HTTP/1.1 200 OK\r\nX A\x00: 1\r\n\r\n",
    "a status that is none": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a shorter body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nab",
    "a chunk of no size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nab",
    "no gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab",
}


@pytest.mark.parametrize("answer", MALFORMED.values(), ids=MALFORMED)
async def test_malformed_answer_is_a_broken_connection(signer: Signer, answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Gateway.connect(f"http://127.0.0.1:{port}", "pipeline", signer) as gateway:
        reply = await gateway.invoke("model", b"item", {}, 5.0)
    assert reply.status == 502
    assert reply.body.startswith(b"the connection broke")
