"""Something done again and again while something else is under way."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from pipeline.errors import UnavailableError

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
                log.warning("a lease could not be renewed: %s", error)

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
