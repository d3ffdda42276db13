"""Free TCP ports on 127.0.0.1."""

import asyncio
import contextlib
import random
import socket

HOST = "127.0.0.1"
_LOWEST, _HIGHEST = 10_000, 32_000


def free_port() -> int:
    """Return a port that is free now; another process may still take it first."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def free_ports(count: int, *, offset: int) -> list[int]:
    """Return `count` ports that are free now, as is each port plus `offset`.

    All lie below the range that kernels use for outgoing connections, so that no client's socket can take one before
    the server starts, or while it is down.
    """
    ports: list[int] = []
    span = range(_LOWEST, _HIGHEST - offset)
    candidates = iter(random.SystemRandom().sample(span, len(span)))
    while len(ports) < count:
        port = next(candidates)
        # A server may refuse a port that is the second one of another.
        is_apart = {port - offset, port + offset}.isdisjoint(ports)
        if is_apart and _is_free(port) and _is_free(port + offset):
            ports.append(port)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


async def is_listening(host: str, port: int) -> bool:
    """Return whether a connection to the port succeeds."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
