"""What tests of all kinds need."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, overload

T = TypeVar("T")


@overload
def wait_until(condition: Callable[[], Awaitable[T]], *, within: float = ...) -> Coroutine[Any, Any, T]: ...


@overload
def wait_until(condition: Callable[[], T], *, within: float = ...) -> Coroutine[Any, Any, T]: ...


async def wait_until(condition: Callable[[], Any], *, within: float = 30.0) -> Any:
    """Return the first true value of `condition`, sync or async; AssertionError when none comes in `within` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        result = condition()
        value = await result if inspect.isawaitable(result) else result
        if value:
            return value
        assert loop.time() < deadline, f"not within {within} s: {inspect.getsource(condition).strip()}"
        await asyncio.sleep(0.005)
