"""Work that goes on after the request that it follows from was answered."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Self

from pipeline.errors import UnavailableError

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
