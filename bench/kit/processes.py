"""What processes use while something runs: processor time and memory, seen from outside."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections import defaultdict
from typing import TYPE_CHECKING

import psutil

from bench.kit.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

MIB = 1024 * 1024
SAMPLE_SECONDS = 0.05

Pids = tuple[int, ...]


class Usage:
    """What groups of processes have used since it was made; `peak_rss_mb` is in MiB, the sum of a group's processes."""

    def __init__(self, groups: Mapping[str, Pids]) -> None:
        self.peak_rss_mb: dict[str, float] = defaultdict(float)
        self._groups = groups
        self._families = {name: _family(name, pids) for name, pids in groups.items()}
        self._before = {name: _cpu_seconds(name, family) for name, family in self._families.items()}

    def cpu_ms(self) -> dict[str, float]:
        """Return milliseconds of processor time, user and system, by group."""
        now = {name: _cpu_seconds(name, _family(name, pids)) for name, pids in self._groups.items()}
        return {name: 1000 * (seconds - self._before[name]) for name, seconds in now.items()}

    def sample(self, name: str) -> None:
        """Look at the memory of a group, as it was at first: to search for new processes is costly, and counts."""
        with _alive(name):
            resident = sum(process.memory_info().rss for process in self._families[name])
        self.peak_rss_mb[name] = max(self.peak_rss_mb[name], resident / MIB)


@contextlib.asynccontextmanager
async def watched(groups: Mapping[str, Pids], memory_of: str) -> AsyncIterator[Usage]:
    """Measure groups of processes, and sample the memory of one 20 times a second if it is among them.

    Processes that they have started count with them, except that this process counts alone: it is the parent of all.
    Raises BenchError when one ends meanwhile.
    """
    usage = Usage(groups)
    if memory_of not in groups:
        yield usage
        return
    sampler = asyncio.create_task(_sample(usage, memory_of))
    try:
        yield usage
    finally:
        sampler.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sampler


async def _sample(usage: Usage, name: str) -> None:
    while True:
        usage.sample(name)
        await asyncio.sleep(SAMPLE_SECONDS)


def _cpu_seconds(name: str, family: Sequence[psutil.Process]) -> float:
    with _alive(name):
        return sum(map(_process_seconds, family))


def _process_seconds(process: psutil.Process) -> float:
    """Return what a process has used, and what those of its children used that have ended."""
    times = process.cpu_times()
    own: float = times.user + times.system
    # This process has started what belongs to other groups.
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
