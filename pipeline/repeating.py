"""Something done again and again while something else is under way."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from pipeline.errors import UnavailableError

CANCEL_AGAIN = 0.1

log = logging.getLogger(__name__)


@asynccontextmanager
async def repeated(action: Callable[[], Awaitable[object]], every: float) -> AsyncIterator[None]:
    """Run `action` every so many seconds while the block runs; one that fails is logged and tried again."""

    async def repeat() -> None:
        while True:
            await asyncio.sleep(every)
            try:
                await action()
            except UnavailableError as error:
                log.warning("a lease could not be renewed", extra={"error": str(error)})

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        await end(task)


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task until it has ended.

    Once is not enough before Python 3.12, which loses a cancellation that meets a command just sent to Redis: its
    `asyncio.wait_for` returns what is done (https://github.com/python/cpython/issues/86296).
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=CANCEL_AGAIN)
    await asyncio.gather(task, return_exceptions=True)
