"""Tasks of the event loop: in the background, in a group, renewing a lease; and their cancellation."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Self, TypeVar, TypeVarTuple

from pipeline.errors import UnavailableError
from pipeline.units import KIB

CANCEL_AGAIN = 0.1
# Work on more bytes takes milliseconds, for which all requests of the replica would wait.
MOST_ON_LOOP = 256 * KIB
Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")

log = logging.getLogger(__name__)


@dataclass
class _Right:
    """The right to write, which ends by the clock of the event loop, and the one of the block around it."""

    end: float
    outer: "_Right | None"


_rights: ContextVar[_Right | None] = ContextVar("rights", default=None)


class BackgroundTasks:
    """Runs work that the ledger knows as due: if it fails, or the process ends, another replica takes it over."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def opened(cls) -> AsyncIterator[Self]:
        """Yield an instance, and wait at the end until all its tasks have ended."""
        background = cls()
        try:
            yield background
        finally:
            await background.wait_idle()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` as a task; its errors are logged."""
        task = asyncio.create_task(_log_errors(work))
        # The loop itself holds no reference that keeps a task alive.
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def wait_idle(self) -> None:
        """Wait until every task has ended, also those that were started meanwhile."""
        while self._running:
            await asyncio.wait(self._running)


class NamedTasks:
    """Runs so many tasks `at_once`, and at most one of a name, so that a slow task holds up its own name only."""

    def __init__(self, at_once: int) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._running: dict[str, asyncio.Task[None]] = {}

    @classmethod
    @asynccontextmanager
    async def opened(cls, at_once: int) -> AsyncIterator[Self]:
        """Yield an instance, and cancel at the end the tasks that still run."""
        named = cls(at_once)
        try:
            yield named
        finally:
            tasks = list(named._running.values())
            # At once, so that none begins in the slot of another.
            for task in tasks:
                task.cancel()
            for task in tasks:
                await cancel_and_wait(task)

    async def run(self, works: Mapping[str, Callable[[], Awaitable[None]]], patience: float) -> None:
        """Run the work of each name of which no task runs; errors are logged.

        Returns once these tasks have ended, or after `patience` seconds; the others go on.
        """
        tasks = [self._start(name, work) for name, work in works.items() if name not in self._running]
        if tasks:
            await asyncio.wait(tasks, timeout=patience)

    def _start(self, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        async def run_in_slot() -> None:
            async with self._slots:
                await work()

        task = asyncio.create_task(_log_errors(run_in_slot()))
        self._running[name] = task
        task.add_done_callback(lambda _: self._running.pop(name))
        return task


async def _log_errors(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except UnavailableError as error:
        log.warning("%s", error)
    except Exception:
        log.exception("unexpected error")


async def off_loop(size: int, work: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
    """Do work on `size` bytes: in a thread if they are many, else at once, since a thread costs more."""
    if size <= MOST_ON_LOOP:
        return work(*arguments)
    return await asyncio.to_thread(work, *arguments)


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Yield a task group whose first error is raised bare, not in an exception group, after the rest is cancelled."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


@asynccontextmanager
async def renew_every(
    seconds: float, renew: Callable[[], Awaitable[object]], *, lease: float = math.inf
) -> AsyncIterator[None]:
    """Call `renew` every so many seconds while the block runs; an UnavailableError is logged, and the next call comes.

    Any other error of `renew` ends the calls, not the block. The right to write lasts for `lease` seconds from the last
    call that did not return False.
    """
    clock = asyncio.get_running_loop().time
    right = _Right(clock() + lease, _rights.get())

    async def repeat() -> None:
        while True:
            await asyncio.sleep(seconds)
            asked = clock()
            try:
                if await renew() is not False:
                    right.end = asked + lease
            except UnavailableError as error:
                log.warning("a lease could not be renewed", extra={"error": str(error)})

    task = asyncio.create_task(repeat())
    token = _rights.set(right)
    try:
        yield
    finally:
        _rights.reset(token)
        await cancel_and_wait(task)


@asynccontextmanager
async def valid_for(seconds: float, check: Callable[[], Awaitable[object]] | None = None) -> AsyncIterator[None]:
    """Run the block within so many seconds, for which its right to write holds; raises UnavailableError after.

    A process can be frozen at any point. The event loop looks at its timers before the block goes on; but then the
    timers inside the block are over, too, and may swallow the cancellation. So requests look by `check_right` as well.
    `check`, which comes first, may take the right.
    """
    right = _Right(asyncio.get_running_loop().time() + seconds, _rights.get())
    token = _rights.set(right)
    try:
        async with asyncio.timeout_at(right.end):
            if check:
                await check()
            check_right()
            yield
    except TimeoutError:
        raise _right_is_over() from None
    finally:
        _rights.reset(token)


def check_right() -> None:
    """Raise UnavailableError if this runs in a block of `valid_for` or `renew_every` whose right is over."""
    right, now = _rights.get(), asyncio.get_running_loop().time()
    while right is not None:
        if now >= right.end:
            raise _right_is_over()
        right = right.outer


def _right_is_over() -> UnavailableError:
    return UnavailableError("a request was given up: it took so long that the right to it may be lost")


async def cancel_and_wait(task: asyncio.Task[None]) -> None:
    """Cancel a task, again and again until it has ended.

    Once is not enough before Python 3.12, which loses a cancellation that meets a command just sent to Redis: its
    `asyncio.wait_for` returns what is done (https://github.com/python/cpython/issues/86296).
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=CANCEL_AGAIN)
    await asyncio.gather(task, return_exceptions=True)
