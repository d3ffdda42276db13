"""The processor time and memory of processes, seen from outside while something runs."""

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

import psutil

from bench.kit.errors import BenchError

MIB = 1024 * 1024
SAMPLE_SECONDS = 0.05

Pids = tuple[int, ...]


class Usage:
    """The processor time of groups of processes since it was made.

    Processes that they have started count with them, but this process counts alone: it is the parent of all. Raises
    BenchError when one has ended.
    """

    def __init__(self, groups: Mapping[str, Pids]) -> None:
        self._groups = groups
        self._before = self._seconds()

    def cpu_ms(self) -> dict[str, float]:
        """Return milliseconds of processor time, user and system, by group."""
        return {name: 1000 * (seconds - self._before[name]) for name, seconds in self._seconds().items()}

    def _seconds(self) -> dict[str, float]:
        return {name: _cpu_seconds(name, pids) for name, pids in self._groups.items()}


class Memory:
    """Samples of the MiB of groups of processes, each at a time in seconds since 1970.

    The groups are those of the beginning, with the processes that they had started: to search for new ones is costly.
    """

    def __init__(self, groups: Mapping[str, Pids]) -> None:
        self.samples: list[tuple[float, dict[str, float]]] = []
        self._families = {name: _family(name, pids) for name, pids in groups.items()}

    async def sample(self) -> None:
        """Take a sample; raises BenchError when a process has ended."""
        sizes = {}
        for name, family in self._families.items():
            with _alive(name):
                sizes[name] = sum(process.memory_info().rss for process in family) / MIB
        self.samples.append((time.time(), sizes))

    def peak(self, name: str, start: float = 0.0, end: float = float("inf")) -> float:
        """Return the most of a group between two times; where no sample was taken, that of the nearest."""
        inside = [sizes[name] for at, sizes in self.samples if start <= at <= end]
        return max(inside) if inside else min(self.samples, key=lambda sample: abs(sample[0] - end))[1][name]


@contextlib.asynccontextmanager
async def sampled(groups: Mapping[str, Pids]) -> AsyncIterator[Memory]:
    """Sample memory 20 times a second while the block runs."""
    memory = Memory(groups)
    async with repeated(memory.sample, SAMPLE_SECONDS):
        yield memory


@contextlib.asynccontextmanager
async def repeated(look: Callable[[], Awaitable[object]], seconds: float) -> AsyncIterator[None]:
    """Await `look()` at both ends of the block and meanwhile, with so many seconds between; its errors are raised here.

    It stops by an event and is not cancelled: a client of Redis may swallow a cancellation.
    """
    ended = asyncio.Event()

    async def go_on() -> None:
        await look()
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), seconds)
            await look()

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        ended.set()
        await task


def _cpu_seconds(name: str, pids: Pids) -> float:
    children = _family(name, pids)[len(pids) :]
    with _alive(name):
        seconds = sum(_process_seconds(psutil.Process(pid)) for pid in pids)
    for child in children:
        # The time of a child that has just ended is its parent's.
        with contextlib.suppress(psutil.NoSuchProcess):
            seconds += _process_seconds(child)
    return seconds


def _process_seconds(process: psutil.Process) -> float:
    """Return the processor time of a process, and of those of its children that have ended."""
    times = process.cpu_times()
    own: float = times.user + times.system
    # This process has started the processes of other groups.
    return own if process.pid == os.getpid() else own + times.children_user + times.children_system


def _family(name: str, pids: Pids) -> list[psutil.Process]:
    with _alive(name):
        processes = [psutil.Process(pid) for pid in pids]
        children = [process.children(recursive=True) for process in processes if process.pid != os.getpid()]
    return [*processes, *itertools.chain.from_iterable(children)]


@contextlib.contextmanager
def _alive(name: str) -> Iterator[None]:
    try:
        yield
    except psutil.NoSuchProcess as error:
        raise BenchError(f"a process of {name} ended during the run: {error}") from error


def freeze(pid: int, seconds: float) -> None:
    """Stop the group of a process, which goes on after some seconds even if this process is in it."""
    group = os.getpgid(pid)
    wake = f"(sleep {seconds}; kill -s CONT -- -{group}) >/dev/null 2>&1 &"
    subprocess.run(["/bin/sh", "-c", wake], start_new_session=True, check=True)
    os.killpg(group, signal.SIGSTOP)
