"""What tests of all kinds need."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def wait_until(condition: Callable[[], T | Awaitable[T]], *, within: float = 30.0) -> T:
    """Return the first true value of `condition`, sync or async; AssertionError when none comes in `within` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        result = condition()
        value: T = await result if inspect.isawaitable(result) else result
        if value:
            return value
        assert loop.time() < deadline, f"not within {within} s: {inspect.getsource(condition).strip()}"
        await asyncio.sleep(0.005)
