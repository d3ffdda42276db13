"""The bodies of requests: read only for those that may use the function, and bounded for all of them together."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from pipeline import bodies, server
from pipeline.access import Access
from pipeline.capacity import Capacity
from pipeline.handler import Admission
from pipeline.identity import Identity
from pipeline.metrics import Metrics
from pipeline.openfaas.signing import Signer
from pipeline.request import Event, Response
from pipeline.settings.environment import Settings
from tests.rigs.function.fakes import KEY
from tests.rigs.function.stub_server import SETTINGS
from tests.rigs.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.usefixtures("watchdog")
TOKEN = b"0123456789abcdef"
LIMIT = 100_000
ROOM = 3 * LIMIT
SIGNED = Signer((KEY,)).query("callback", Identity("batch", 0))
UNREAD: dict[str, tuple[str, str, int]] = {
    "a missing token": ("/", "X-Mode: batch", 401),
    "a wrong token": ("/", "X-Mode: batch\r\nAuthorization: Bearer another-token", 401),
    "no mode": ("/", "Authorization: Bearer x", 400),
    "a missing signature": ("/collect", "X-Mode: batch", 403),
    "a signature of another purpose": (f"/collect/direct?{SIGNED}", "X-Mode: batch", 403),
}


@dataclass
class Connection:
    """A connection to the server that sends a body bit by bit."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, str]:
        """The status and the head of the answer."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        return int(head.split()[1]), head


@asynccontextmanager
async def connected(port: int | None, target: str, headers: str, length: int) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"POST {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\nContent-Length: {length}\r\n\r\n".encode())
    yield Connection(reader, writer)
    writer.close()


@pytest.fixture
async def capacity() -> Capacity:
    """Room for two unsigned bodies and a signed one; one more may wait."""
    return Capacity(ROOM, 1, PATIENCE)


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch, capacity: Capacity) -> AsyncIterator[int | None]:
    @asynccontextmanager
    async def without_services(settings: Settings) -> AsyncIterator[Any]:
        parts = {"access": Access((TOKEN,)), "signer": Signer((KEY,)), "metrics": Metrics(), "bodies": capacity}
        yield SimpleNamespace(settings=settings, closing=asyncio.Event(), **parts)

    monkeypatch.setattr(server, "open_context", without_services)
    monkeypatch.setattr(bodies, "BODY_LIMIT", LIMIT)
    monkeypatch.setattr(server, "SIGNED_ONLY", LIMIT)
    async with TestServer(server.create_app(SETTINGS)) as running:
        yield running.port


@pytest.mark.parametrize(("target", "headers", "status"), UNREAD.values(), ids=UNREAD)
async def test_refused_request_is_answered_before_its_body(
    port: int | None, target: str, headers: str, status: int
) -> None:
    async with connected(port, target, headers, 50_000_000) as connection:
        assert (await connection.answer())[0] == status


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch, capacity: Capacity) -> list[tuple[int, int]]:
    """The sizes of the bodies that are answered, and the bytes that they hold; every request is admitted."""
    seen: list[tuple[int, int]] = []

    async def answer(event: Event) -> Response:
        seen.append((len(event.body), ROOM - capacity._free))
        return Response(200, b"")

    monkeypatch.setattr(server, "admit", lambda event, _: Admission(answer, is_signed=event.path == "/collect"))
    return seen


async def post(port: int | None, body: bytes, target: str = "/", headers: str = "X-Mode: batch") -> tuple[int, str]:
    async with connected(port, target, headers, len(body)) as connection:
        connection.send(body)
        return await connection.answer()


LARGE: dict[str, tuple[str, bytes, int]] = {
    "plain": ("X-Mode: batch", b"x" * 90_000, 90_000),
    "packed": ("Content-Encoding: gzip", gzip.compress(b"x" * 80_000), 80_000),
}


@pytest.mark.parametrize(("headers", "body", "size"), LARGE.values(), ids=LARGE)
async def test_large_body_waits_for_room_and_more_are_refused(
    port: int | None, capacity: Capacity, held: list[tuple[int, int]], headers: str, body: bytes, size: int
) -> None:
    async with capacity.part(2 * LIMIT):
        waiting = asyncio.create_task(post(port, body, headers=headers))
        await wait_until(lambda: capacity._waiting)
        status, head = await post(port, body, headers=headers)
        assert (status, "\r\nRetry-After: 2\r\n" in head, held) == (429, True, [])
    assert (await waiting)[0] == 200
    assert held == [(size, size)]
    assert capacity._free == ROOM


@pytest.mark.parametrize(("headers", "body", "size"), LARGE.values(), ids=LARGE)
async def test_signed_request_has_room_of_its_own(
    port: int | None, capacity: Capacity, held: list[tuple[int, int]], headers: str, body: bytes, size: int
) -> None:
    async with capacity.part(2 * LIMIT):
        assert (await post(port, body, "/collect", headers))[0] == 200
    assert held == [(size, 2 * LIMIT + size)]


async def test_small_body_waits_for_no_room(port: int | None, capacity: Capacity, held: list[tuple[int, int]]) -> None:
    async with capacity.part(ROOM):
        assert (await post(port, b"x" * 60_000))[0] == 200
    assert held == [(60_000, ROOM)]


async def test_broken_body_gives_its_room_back(
    port: int | None, capacity: Capacity, held: list[tuple[int, int]]
) -> None:
    assert (await post(port, b"x" * 90_000, headers="Content-Encoding: gzip"))[0] == 400
    assert (await post(port, gzip.compress(b"x" * (LIMIT + 1)), headers="Content-Encoding: gzip"))[0] == 413
    assert (held, capacity._free) == ([], ROOM)
