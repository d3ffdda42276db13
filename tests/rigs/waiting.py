"""What tests of all kinds need."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, overload

T = TypeVar("T")
# Long enough for any machine, since a condition that is met costs none of it.
PATIENCE = 300.0
SHORTEST, LONGEST = 0.002, 0.1


@overload
def wait_until(condition: Callable[[], Awaitable[T]]) -> Coroutine[Any, Any, T]: ...


@overload
def wait_until(condition: Callable[[], T]) -> Coroutine[Any, Any, T]: ...


async def wait_until(condition: Callable[[], Any]) -> Any:
    """Return the first true value of `condition`, sync or async; AssertionError when none comes in PATIENCE seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    pause = SHORTEST
    while True:
        result = condition()
        value = await result if inspect.isawaitable(result) else result
        if value:
            return value
        assert loop.time() < deadline, f"not within {PATIENCE} s: {inspect.getsource(condition).strip()}"
        await asyncio.sleep(pause)
        # A condition may ask a replica that the test keeps busy.
        pause = min(pause * 1.5, LONGEST)
