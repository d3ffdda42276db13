"""Free TCP ports on 127.0.0.1."""

import asyncio
import contextlib
import random
import socket

HOST = "127.0.0.1"
_LOWEST, _HIGHEST = 10_000, 32_000


def free_port() -> int:
    """Return a port that nothing listens on now; another process may still take it first."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def free_ports(count: int, *, also: int) -> list[int]:
    """Return `count` ports of which each, and each plus `also`, is free now.

    Both lie below the range that kernels hand out for outgoing connections, so that a client's socket cannot
    take one between this call and the server's start, or while the server is down.
    """
    found: list[int] = []
    span = range(_LOWEST, _HIGHEST - also)
    candidates = iter(random.SystemRandom().sample(span, len(span)))
    while len(found) < count:
        port = next(candidates)
        if _is_free(port) and _is_free(port + also):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


async def is_listening(host: str, port: int) -> bool:
    """Connect and hang up."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
