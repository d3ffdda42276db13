"""A relay carries, cuts or stalls the connections of one link."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import ClassVar, cast

import pytest

from bench.chaos.relay import Relay
from pipeline.local.services.ports import HOST
from tests.rigs.waiting import wait_until

# A connection is reset, or just ends.
BROKEN = (ConnectionResetError, asyncio.IncompleteReadError)


class Echo(asyncio.Protocol):
    """A service that sends back what it gets; `open` are its connections."""

    open: ClassVar[set[asyncio.BaseTransport]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.open.add(transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def connection_lost(self, _: Exception | None) -> None:
        self.open.discard(self.transport)


@asynccontextmanager
async def relay_to_an_echo() -> AsyncIterator[Relay]:
    echoing = await asyncio.get_running_loop().create_server(Echo, HOST)
    relay = Relay(echoing.sockets[0].getsockname()[1])
    server = await relay.start()
    yield relay
    server.close()
    echoing.close()
    await wait_until(lambda: not relay.ends and not Echo.open)


@asynccontextmanager
async def connection(relay: Relay) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(HOST, relay.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_relay_carries_both_ways() -> None:
    async with relay_to_an_echo() as relay, connection(relay) as (reader, writer):
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"


async def test_cut_ends_connections_and_refuses_new_ones_for_a_while() -> None:
    async with relay_to_an_echo() as relay, connection(relay) as (reader, writer):
        writer.write(b"hello")
        await reader.readexactly(5)
        healed = asyncio.create_task(relay.part("cut", 0.2))
        with pytest.raises(BROKEN):
            await reader.readexactly(1)
        async with connection(relay) as (refused, _):
            with pytest.raises(BROKEN):
                await refused.readexactly(1)
        await healed
        async with connection(relay) as (again, anew):
            anew.write(b"hello")
            assert await again.readexactly(5) == b"hello"


async def test_stalled_bytes_come_once_the_relay_carries_again() -> None:
    async with relay_to_an_echo() as relay, connection(relay) as (reader, writer):
        healed = asyncio.create_task(relay.part("stall", 0.2))
        await wait_until(lambda: relay.trouble == "stall")
        writer.write(b"hello")
        answer = asyncio.create_task(reader.readexactly(5))
        await healed
        assert await answer == b"hello"
