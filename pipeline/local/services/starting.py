"""Waiting for a process to serve."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pipeline.local.services.children import Child

_POLL = 0.02


async def failure_to_start(child: Child | None, ready: Callable[[], Awaitable[bool]], within: float) -> str | None:
    """Ask `ready` until it says yes; return what went wrong instead, None if nothing did.

    Listens to the process at the same time: whoever took its port meanwhile may answer in its place, or let
    the question hang. `child` is None for something that runs elsewhere. `within` is in seconds.
    """
    asking = asyncio.create_task(_until(ready))
    tasks: list[asyncio.Task[Any]] = [asking]
    if child is not None:
        tasks.append(asyncio.create_task(child.wait()))
    try:
        await asyncio.wait(tasks, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        if child is not None and child.exit_code is not None:
            return f"ended with exit code {child.exit_code} while starting:\n{child.tail()}"
        if not asking.done():
            return f"does not answer after {within:.0f} s:\n{child.tail() if child is not None else ''}"
        asking.result()
        return None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until(ready: Callable[[], Awaitable[bool]]) -> None:
    while not await ready():  # noqa: ASYNC110 - a process tells nobody that it listens
        await asyncio.sleep(_POLL)
