"""Many runs, one after the other on a stack, or on several stacks side by side."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.chaos.report import row
from bench.chaos.running import Result, run
from bench.chaos.stage import stage
from pipeline.local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rich.console import Console

    from bench.chaos.plan import Plan, Scale

# Of the stacks of one series: a port that is taken, a service that does not come back.
MOST_BROKEN = 3
SHOWN = (
    "items",
    "state",
    "succeeded",
    "failed",
    "time_up",
    "never_run",
    "model_calls",
    "repeated_calls",
    "redriven",
    "seconds",
)


@dataclass(frozen=True)
class Series:
    """Where runs go: `keep` is the folder for violations, `done` is told of each run as it ends.

    `options` make a replay of a seed the same plan.
    """

    console: Console
    keep: Path
    done: Callable[[Result], None]
    options: str = ""


async def run_all(plans: Sequence[Plan], scale: Scale, parallel: int, series: Series) -> None:
    """Run the plans on `parallel` stacks; a run whose stack breaks is begun again on another.

    Raises LocalError or TimeoutError when several break.
    """
    waiting = list(reversed(plans))
    broken: list[str] = []

    async def on_one_stack() -> None:
        async with stage(scale.settings) as one:
            while waiting:
                plan = waiting.pop()
                try:
                    result = await run(one, plan, f"chaos-{plan.seed}", series.keep)
                except (LocalError, TimeoutError):
                    waiting.append(plan)
                    raise
                series.done(result)
                tell(series, result)
                if result.violations:
                    # What is left of it could be in the way of the next.
                    return

    async def work() -> None:
        while waiting:
            try:
                await on_one_stack()
            except (LocalError, TimeoutError) as error:
                series.console.print(f"a stack broke: {error}", markup=False)
                broken.append(str(error))
                if len(broken) > MOST_BROKEN:
                    raise

    await asyncio.gather(*(work() for _ in range(min(parallel, len(plans)))))


def tell(series: Series, result: Result) -> None:
    """Print one line for a run, and what to do about a violation."""
    console, folder = series.console, series.keep / f"chaos-{result.plan.seed}"
    figures: dict[str, Any] = row(result)
    text = " ".join(f"{name}={figures[name]}" for name in SHOWN)
    steps = f"{figures['steps_fired']}/{figures['steps_planned']} steps"
    seed = result.plan.seed
    console.print(f"{time.strftime('%H:%M:%S')} seed {seed}: {text} {steps} {figures['faults']}")
    for violation in result.violations:
        console.print(f"  violation: {violation}", markup=False)
    if result.violations:
        console.print(f"  kept in {folder}; again: python -m bench.chaos --seed {seed}{series.options}")
