"""Runs batches in each form, measured from just before the submission until the summary can be read."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from bench.compare.forms import Run
from bench.compare.stage import stage
from bench.compare.summary import judge, make_items, summary_of
from bench.kit.cli import new_progress
from bench.kit.errors import BenchError
from bench.kit.processes import Usage
from bench.kit.stack import put_input

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Sequence
    from typing import Any

    from rich.console import Console

    from bench.compare.forms import Form
    from bench.compare.peers import Layout
    from bench.compare.stage import Ground, Stage

T = TypeVar("T")

DEADLINE_SECONDS = 900
WARM_UP_ITEMS = 50


@dataclass(frozen=True)
class Plan:
    """Every form to run, `repeats` times, with batches of `items`."""

    forms: Sequence[Form]
    layout: Layout
    items: int
    repeats: int


async def compare(plan: Plan, ground: Ground, console: Console) -> list[Run]:
    """Run everything, repeats outermost: a machine slow for a while then slows all forms.

    A way's processes run only while it is measured. Raises BenchError, LocalError.
    """
    runs: list[Run] = []
    with new_progress(console) as progress:
        bar = progress.add_task("starting", total=plan.repeats * len(plan.forms))
        for repeat in range(1, plan.repeats + 1):
            for way, forms in itertools.groupby(plan.forms, key=lambda form: form.way):
                async with stage(way, ground, plan.layout) as ready:
                    for form in forms:
                        progress.update(bar, description=form.name, refresh=True)
                        await run_form(ready, form, min(WARM_UP_ITEMS, plan.items))
                        seconds, cpu_ms = await run_form(ready, form, plan.items)
                        parallelism = plan.layout.parallelism
                        known = (form, repeat, plan.items, parallelism, ground.model_ms)
                        runs.append(Run(*known, seconds, {name: ms / plan.items for name, ms in cpu_ms.items()}))
                        progress.update(bar, advance=1, refresh=True)
    return runs


async def run_form(ready: Stage, form: Form, count: int) -> tuple[float, dict[str, float]]:
    """Run a batch; returns its seconds and the milliseconds of processor time by group of processes.

    Raises BenchError when the summary does not come, or is not whole.
    """
    items = make_items(count)
    key = await put_input(ready.stack.s3, items)
    batch = f"{form.name}-{uuid.uuid4()}"
    async with summary_of(ready.stack.s3, batch) as summary:
        usage, started = Usage(ready.groups()), time.perf_counter()
        async with beside(ready.submit(batch, key, form)) as submission, beside(summary.wait()) as reading:
            # The end of the submission matters only when it is an error.
            await asyncio.wait({submission, reading}, timeout=DEADLINE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if submission.done():
                submission.result()
            try:
                document = await asyncio.wait_for(reading, DEADLINE_SECONDS)
            except TimeoutError:
                raise BenchError(f"{form.name}: no summary after {DEADLINE_SECONDS} s") from None
            seconds, cpu_ms = time.perf_counter() - started, usage.cpu_ms()
            # A client may have work left after the summary: it must not count for the next batch.
            await submission
    verdict = judge(document, items)
    if not verdict.complete:
        raise BenchError(f"{form.name}: the summary is wrong: {verdict}")
    return seconds, cpu_ms


@contextlib.asynccontextmanager
async def beside(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Run a coroutine beside the block, and not beyond it."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
