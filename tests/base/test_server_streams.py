"""The server sends a stream piece by piece, and ends it with its client or with itself."""

import asyncio
from collections.abc import AsyncGenerator

from aiohttp.test_utils import TestClient, TestServer

from pipeline import server
from pipeline.request import Response
from tests.rigs.function.stub_server import SETTINGS, Client, Stub
from tests.rigs.waiting import PATIENCE


async def _pieces(go_on: asyncio.Event, ended: asyncio.Event) -> AsyncGenerator[bytes, None]:
    """Yield a first piece, and after `go_on` the second endlessly; set `ended` once the reader is gone."""
    try:
        yield b"first"
        await go_on.wait()
        while True:
            yield b"second"
            await asyncio.sleep(0)
    finally:
        ended.set()


async def test_stream_is_sent_in_pieces_and_ends_with_its_client(server_client: Client, stub: Stub) -> None:
    go_on, ended = asyncio.Event(), asyncio.Event()
    stub.answer = Response(200, b"", {"Content-Type": "text/event-stream"}, _pieces(go_on, ended))
    async with server_client.get("/") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert await response.content.readexactly(5) == b"first"
        go_on.set()
        assert await response.content.readexactly(6) == b"second"
        response.close()
    await asyncio.wait_for(ended.wait(), PATIENCE)


async def test_no_stream_follows_the_answer_to_a_head_request(stub: Stub) -> None:
    stub.answer = Response(200, b"", {"Content-Type": "text/event-stream"}, _pieces(asyncio.Event(), asyncio.Event()))
    async with TestServer(server.create_app(SETTINGS)) as running:
        assert running.port is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET /_/health HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            first = await reader.readuntil(b"\r\n\r\n")
            second = await reader.readuntil(b"OK\r\n")
        writer.close()
    assert b"Content-Type: text/event-stream" in first
    assert second == b"HTTP/1.1 200 OK\r\n"


async def test_streams_end_with_the_server(stub: Stub) -> None:
    ended = asyncio.Event()
    async with TestClient(TestServer(server.create_app(SETTINGS))) as client:
        stub.answer = Response(200, b"", {}, _pieces(stub.closing, ended))
        response = await client.get("/")
        assert await response.content.readexactly(5) == b"first"
        assert not stub.closing.is_set()
        closing = asyncio.create_task(client.server.close())
        assert await response.content.readexactly(6) == b"second"
        response.close()
        await closing
    assert ended.is_set()
