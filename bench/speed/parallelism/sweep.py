"""Many batches, one after the other, interleaved so that their figures can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.kit.cli import new_progress
from bench.speed.parallelism.figures import Case, Run, items_for, side_by_side
from bench.speed.parallelism.run_case import run_batch, warm_up

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from rich.console import Console

    from bench.speed.parallelism.platforms import Opener


@dataclass(frozen=True)
class Sweep:
    """Every way at every parallelism with every model time (milliseconds), `repeats` times.

    `items` are those of a run; None chooses them so that it lasts some seconds.
    """

    ways: tuple[str, ...]
    parallelism: tuple[int, ...]
    model_ms: tuple[int, ...]
    repeats: int
    items: int | None

    def cases(self, parallelism: int) -> list[Case]:
        """Return the cases of one parallelism with their items; the compared ways follow each other."""
        return [
            Case(way, parallelism, ms, self.items or items_for(parallelism, ms, side_by_side(way)))
            for ms in self.model_ms
            for way in self.ways
        ]

    @property
    def runs(self) -> int:
        """The number of measured batches."""
        return len(self.ways) * len(self.parallelism) * len(self.model_ms) * self.repeats


async def sweep(plan: Sweep, where: AbstractAsyncContextManager[Opener], console: Console) -> list[Run]:
    """Run everything, repeats outermost: a machine slow for a while then slows all cases.

    Raises BenchError, LocalError, CallError.
    """
    runs: list[Run] = []
    async with where as start:
        with new_progress(console) as progress:
            bar = progress.add_task("starting", total=plan.runs)
            for repeat in range(1, plan.repeats + 1):
                for parallelism in plan.parallelism:
                    async with start(parallelism) as platform:
                        await warm_up(platform, plan.ways, parallelism)
                        for case in plan.cases(parallelism):
                            words = f"parallelism {parallelism}, {case.model_ms} ms, {case.way}, {case.items} items"
                            progress.update(bar, description=words, refresh=True)
                            runs.append(await run_batch(platform, case, repeat=repeat))
                            progress.update(bar, advance=1, refresh=True)
    return runs
