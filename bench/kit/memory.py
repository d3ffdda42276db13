"""The memory of processes over time, seen from outside."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import psutil

from bench.kit.errors import BenchError
from bench.kit.processes import MIB

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from bench.kit.processes import Pids

SAMPLE_SECONDS = 0.05


class Memory:
    """Samples of the MiB of groups of processes, each at a time in seconds since 1970."""

    def __init__(self, groups: Mapping[str, Pids]) -> None:
        self.samples: list[tuple[float, dict[str, float]]] = []
        self._groups = {name: [psutil.Process(pid) for pid in pids] for name, pids in groups.items()}

    def look(self) -> None:
        """Take a sample; raises BenchError when a process has ended."""
        try:
            resident = {name: sum(each.memory_info().rss for each in some) for name, some in self._groups.items()}
        except psutil.NoSuchProcess as error:
            raise BenchError(f"a process ended during the run: {error}") from error
        self.samples.append((time.time(), {name: size / MIB for name, size in resident.items()}))

    def peak(self, name: str, start: float, end: float) -> float:
        """Return the most of a group between two times; where no sample was taken, that of the nearest."""
        inside = [sizes[name] for at, sizes in self.samples if start <= at <= end]
        return max(inside) if inside else min(self.samples, key=lambda sample: abs(sample[0] - end))[1][name]


@contextlib.asynccontextmanager
async def sampled(groups: Mapping[str, Pids]) -> AsyncIterator[Memory]:
    """Sample memory 20 times a second while the block runs."""
    memory = Memory(groups)
    memory.look()
    sampler = asyncio.create_task(_sample(memory))
    try:
        yield memory
    finally:
        sampler.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sampler


async def _sample(memory: Memory) -> None:
    while True:
        await asyncio.sleep(SAMPLE_SECONDS)
        memory.look()
