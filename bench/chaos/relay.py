"""A relay between one replica and one service, whose connections can be cut or stalled."""

import asyncio
from typing import Literal, cast

from pipeline.local.services.ports import HOST

Trouble = Literal["", "cut", "stall"]


class Relay:
    """Carries each connection on to a port of this machine; `port` is its own once it has started."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.trouble: Trouble = ""
        self.ends: set[_End] = set()
        self.connecting: set[asyncio.Task[None]] = set()

    async def start(self) -> asyncio.Server:
        """Listen on a free port until the server is closed."""
        server = await asyncio.get_running_loop().create_server(lambda: _End(self), HOST)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def part(self, trouble: Trouble, seconds: float) -> None:
        """Carry nothing for a while: connections are cut and refused, or what they send comes later."""
        self.trouble = trouble
        if trouble == "cut":
            for end in self.ends:
                end.transport.abort()
        await asyncio.sleep(seconds)
        self.trouble = ""
        for end in self.ends:
            end.send()


class _End(asyncio.Protocol):
    """One end of a connection: the client's, or the service's, made for a client."""

    transport: asyncio.Transport

    def __init__(self, relay: Relay, client: "_End | None" = None) -> None:
        self._relay, self.other, self._received = relay, client, bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._relay.ends.add(self)
        if self._relay.trouble == "cut":
            self.transport.abort()
        elif self.other is None:
            task = asyncio.create_task(self._connect())
            self._relay.connecting.add(task)
            task.add_done_callback(self._relay.connecting.discard)
        elif self.other.transport.is_closing():
            self.transport.abort()
        else:
            self.other.other = self
            self.other.send()

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: _End(self._relay, self), HOST, self._relay.target
            )
        except OSError:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        self._received += data
        self.send()

    def send(self) -> None:
        """Hand over what has come, unless the relay is stalled."""
        if self._received and self.other is not None and not self._relay.trouble:
            self.other.transport.write(bytes(self._received))
            self._received.clear()

    def connection_lost(self, _: Exception | None) -> None:
        self._relay.ends.discard(self)
        if self.other is not None:
            self.other.transport.close()
