"""Pipelining: commands that wait at the same time share a round trip, and the work of the client around it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import hiredis
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from pipeline.ledger.redis.errors import code

Command = tuple[Any, ...]


class Bundles:
    """Sends all waiting commands as one bundle on a connection of its own; those that come meanwhile are the next."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._connection: AbstractConnection | None = None
        self._limit: float | None = None
        self._waiting: list[tuple[Command, asyncio.Future[Any]]] = []
        self._sender: asyncio.Task[None] | None = None

    async def run(self, command: Command) -> Any:
        """Run a command and return its reply; raises what redis-py raises."""
        reply = asyncio.get_running_loop().create_future()
        self._waiting.append((command, reply))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())
        return await reply

    async def _send(self) -> None:
        try:
            while self._waiting:
                bundle, self._waiting = self._waiting, []
                await self._answer(bundle)
        finally:
            self._sender = None

    async def _answer(self, bundle: Sequence[tuple[Command, asyncio.Future[Any]]]) -> None:
        try:
            replies = await self._exchange([command for command, _ in bundle])
        except Exception as error:  # noqa: BLE001 - those that wait get it
            replies = [error] * len(bundle)
        for (_, waiting), reply in zip(bundle, replies, strict=True):
            if waiting.done():
                continue
            if isinstance(reply, Exception):
                waiting.set_exception(reply)
            else:
                waiting.set_result(reply)

    async def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Return a reply or the server's error for each command; raises when the connection breaks, and closes it."""
        connection = self._connection or await self._connect()
        try:
            async with asyncio.timeout(self._limit):
                await connection.connect()  # type: ignore[no-untyped-call]
                await connection.send_packed_command([b"".join(map(hiredis.pack_command, commands))])
                replies = [await _read(connection) for _ in commands]
        except TimeoutError:
            raise RedisTimeoutError("no replies in time") from None
        if any(isinstance(reply, ResponseError) and code(reply) == "READONLY" for reply in replies):
            # The primary became a replica: the next connection leads to the new primary.
            await connection.disconnect()
        return replies

    async def _connect(self) -> AbstractConnection:
        connection: AbstractConnection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        # One time limit for the bundle: a limit of redis-py for each reply costs as much as the reply.
        self._limit, connection.socket_timeout = connection.socket_timeout, None
        self._connection = connection
        return connection


async def _read(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error
