"""Tasks of the event loop: in the background, together, again and again."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Self

from pipeline.errors import UnavailableError

CANCEL_AGAIN = 0.1

log = logging.getLogger(__name__)


class Background:
    """Runs what is due anyway: whatever fails here, or ends with the process, stays due in the ledger."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def opened(cls) -> AsyncIterator[Self]:
        """Give one that is idle at the end."""
        background = cls()
        try:
            yield background
        finally:
            await background.idle()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work`, and log how it fails."""
        task = asyncio.create_task(_logged(work))
        # The loop itself holds no reference that keeps a task alive.
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def idle(self) -> None:
        """Wait until all that was started has ended."""
        while self._running:
            await asyncio.wait(self._running)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except UnavailableError as error:
        log.warning("%s", error)
    except Exception:
        log.exception("an error without a name")


@asynccontextmanager
async def together() -> AsyncIterator[asyncio.TaskGroup]:
    """Give a task group whose first error is raised as it is, not in a group, once the other tasks are cancelled."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None


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
