"""A client that disconnects, stalls or sends garbage in the middle of its request."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock, Mock

import pytest
from aiohttp import StreamReader, web
from aiohttp.test_utils import TestServer

from pipeline import bodies, server
from pipeline.access import Access
from pipeline.bodies import body_capacity
from pipeline.capacity import ANYBODY, Capacity, Part
from pipeline.errors import PipelineError, TooLargeError
from pipeline.handler import Admission
from pipeline.metrics import Metrics
from pipeline.request import Event, Response
from pipeline.settings.environment import Settings, read_settings
from tests.rigs.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.usefixtures("watchdog")
SETTINGS = read_settings({"s3_bucket": "rows", "sweep_interval": "3600"})
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nX-Mode: batch\r\n"
TRUNCATED = {
    "a body shorter than said": HEAD + b"Content-Length: 100\r\n\r\n{",
    "a body without its last chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
}


@asynccontextmanager
async def without_services(settings: Settings) -> AsyncIterator[Any]:
    parts = {"metrics": Metrics(), "access": Access(), "bodies": body_capacity()}
    yield SimpleNamespace(settings=settings, closing=asyncio.Event(), **parts)


@pytest.mark.parametrize("sent", TRUNCATED.values(), ids=TRUNCATED)
async def test_disconnected_client_is_not_an_unexpected_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    read = bodies.read_body
    refused: list[str] = []

    async def reading(request: Any, part: Part) -> bytes:
        try:
            return await read(request, part)
        except PipelineError as error:
            refused.append(str(error))
            raise
        finally:
            refused.append("read")

    monkeypatch.setattr(server, "open_context", without_services)
    monkeypatch.setattr(server, "read_body", reading)
    # Not aiohttp's server for tests, which cancels the handler of a client that goes away.
    runner = web.AppRunner(server.create_app(SETTINGS))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        _, writer = await asyncio.open_connection(*runner.addresses[0])
        writer.write(sent)
        await writer.drain()
        writer.close()
        await wait_until(lambda: "read" in refused)
    finally:
        await runner.cleanup()
    assert refused == ["the body broke off: the client has gone away", "read"]
    assert "Traceback" not in caplog.text
    assert "without a name" not in caplog.text


async def answer_to(sent: bytes) -> tuple[bytes, bytes]:
    """Send a request; returns the status and the body of the answer, which must come before the client closes."""
    async with TestServer(server.create_app(SETTINGS)) as running:
        assert running.port is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(sent)
        async with asyncio.timeout(PATIENCE):
            head, _, body = (await reader.readuntil(b"}")).partition(b"\r\n\r\n")
        writer.close()
    return head.split()[1], body


async def test_stalled_body_is_a_400(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "open_context", without_services)
    monkeypatch.setattr(bodies, "SILENCE", 0.1)
    status, body = await answer_to(HEAD + b"Content-Length: 100\r\n\r\n{")
    assert (status, b"the body broke off: nothing more of it came in 0.1 s" in body) == (b"400", True)


@pytest.mark.parametrize("letter", [b"[", b"x", b"\x08"])
@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"zstd"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_large_body_in_a_wrong_encoding_is_a_400(
    monkeypatch: pytest.MonkeyPatch, letter: bytes, encoding: bytes, *, chunked: bool
) -> None:
    monkeypatch.setattr(server, "open_context", without_services)
    sent = letter * 1_000_000
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(sent)
    head = HEAD + b"Content-Encoding: %s\r\n%s\r\n\r\n" % (encoding, length)
    status, body = await answer_to(head + (b"%x\r\n%s\r\n0\r\n\r\n" % (len(sent), sent) if chunked else sent))
    assert (status, b"it is not packed with %s, as it says" % encoding in body) == (b"400", True)


def enough() -> Part:
    return Part(Capacity(bodies.BODY_LIMIT, 0, 0), ANYBODY)


class Pieces:
    """A body of four pieces."""

    def is_eof(self) -> bool:
        return False

    async def iter_any(self) -> AsyncGenerator[bytes, None]:
        for _ in range(4):
            yield b"piece "


async def test_timeout_of_a_body_starts_again_with_each_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(3600.0, 3600.0)
    patience = MagicMock()
    patience.__aenter__.return_value = patience
    monkeypatch.setattr(asyncio, "timeout", Mock(return_value=patience))
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: SimpleNamespace(time=lambda: next(clock)))
    assert await bodies._read_to_end(cast("StreamReader", Pieces()), enough()) == b"piece " * 4
    until = [call.args[0] for call in patience.reschedule.call_args_list]
    assert until == [each for hour in range(1, 5) for each in (None, hour * 3600 + bodies.SILENCE)]


def arrived(body: bytes) -> StreamReader:
    content = StreamReader(Mock(_reading_paused=False), 2**16, loop=asyncio.get_running_loop())
    content.feed_data(body)
    content.feed_eof()
    return content


async def test_body_received_in_full_is_checked_against_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_LIMIT", 3)
    assert await bodies._read_to_end(arrived(b"abc"), enough()) == b"abc"
    too_large = arrived(b"abcd")
    with pytest.raises(TooLargeError):
        await bodies._read_to_end(too_large, enough())


async def test_stream_ends_when_its_client_disconnects(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ended = asyncio.Event()

    async def pieces() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"piece"
                await asyncio.sleep(0)
        finally:
            ended.set()

    async def answer(_event: Event) -> Response:
        return Response(200, b"", {}, pieces())

    monkeypatch.setattr(server, "open_context", without_services)
    monkeypatch.setattr(server, "admit", lambda *_: Admission(answer))
    runner = web.AppRunner(server.create_app(SETTINGS))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        reader, writer = await asyncio.open_connection(*runner.addresses[0])
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"piece")
        writer.close()
        await asyncio.wait_for(ended.wait(), PATIENCE)
    finally:
        await runner.cleanup()
    assert caplog.records == []
