"""Many runs, one after the other on a stack, or on several stacks side by side."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from bench.chaos.report import row
from bench.chaos.running import Result, run
from bench.chaos.stage import stage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from bench.chaos.plan import Plan, Scale

SHOWN = ("items", "state", "succeeded", "failed", "time_up", "never_run", "model_calls", "repeated_calls", "seconds")


async def run_all(
    plans: Sequence[Plan], scale: Scale, parallel: int, keep: Path, console: Console, options: str = ""
) -> list[Result]:
    """Run the plans, each told as it ends; `options` make a replay of a seed the same plan. Raises LocalError."""
    waiting = list(reversed(plans))
    results: list[Result] = []

    async def work() -> None:
        while waiting:
            async with stage(scale.settings) as one:
                while waiting:
                    result = await run(one, (plan := waiting.pop()), f"chaos-{plan.seed}", keep)
                    results.append(result)
                    tell(console, result, keep, options)
                    if result.violations:
                        # What is left of it could be in the way of the next.
                        break

    await asyncio.gather(*(work() for _ in range(min(parallel, len(plans)))))
    return results


def tell(console: Console, result: Result, keep: Path, options: str) -> None:
    """Print one line for a run, and what to do about a violation."""
    figures: dict[str, Any] = row(result)
    text = " ".join(f"{name}={figures[name]}" for name in SHOWN)
    steps = f"{figures['steps_fired']}/{figures['steps_planned']} steps"
    seed = result.plan.seed
    console.print(f"{time.strftime('%H:%M:%S')} seed {seed}: {text} {steps} {figures['faults']}")
    for violation in result.violations:
        console.print(f"  violation: {violation}", markup=False)
    if result.violations:
        console.print(f"  kept in {keep}/chaos-{seed}; again: python -m bench.chaos --seed {seed}{options}")
