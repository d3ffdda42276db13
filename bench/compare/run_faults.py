"""Runs batches with a fault until they end, or until nothing happens any more, and judges them."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.compare.faults import FAULTS
from bench.compare.forms import FORMS
from bench.compare.outcomes import HANG_SECONDS, Outcome, words
from bench.compare.peers import MODEL
from bench.compare.run_forms import WARM_UP_ITEMS, beside, run_form
from bench.compare.stage import stage
from bench.compare.summary import judge, make_items, summary_of
from bench.kit.errors import BenchError
from bench.kit.stack import put_input
from pipeline.local.openfaas.proxy import proceed_unchanged

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from rich.console import Console

    from bench.compare.faults import Fault, Happened
    from bench.compare.forms import Way
    from bench.compare.outcomes import End
    from bench.compare.stage import Ground, Stage
    from bench.compare.summary import Summary
    from pipeline.local.openfaas.proxy import Answer, Exchange

ITEMS = 200
# Some faults are races.
RUNS = 3
# Long enough that a killed worker is always in the middle of a call.
MODEL_MS = 50
QUIET_SECONDS = 3.0
POLL_SECONDS = 0.1


class Watch:
    """Records every call of the model function, and strikes at the time of the fault."""

    def __init__(self, ready: Stage, fault: Fault, items: int) -> None:
        self.called: list[str] = []
        self.problem: BenchError | None = None
        self._struck = False
        self._happened: Happened | None = None
        self.moved = time.monotonic()
        self._ready = ready
        self._fault = fault
        self._strike_at = max(1, int(items * fault.at))

    @property
    def silence(self) -> float:
        """Return the seconds since the last call."""
        return time.monotonic() - self.moved

    @property
    def struck(self) -> bool:
        """Whether the fault has happened."""
        return self._happened is not None and self._happened()

    async def begin(self) -> None:
        """Record from now on; a fault without a call happens now."""
        self._ready.stack.gateway.interceptor = self._intercept
        if not self._fault.at:
            await self._strike()

    async def _intercept(self, exchange: Exchange, proceed: Callable[[], Awaitable[Answer]]) -> Answer:
        if exchange.kind != "function" or exchange.function != MODEL or not isinstance(exchange.body, bytes):
            return await proceed()
        self.called.append(exchange.body.decode())
        self.moved = time.monotonic()
        if not self._struck and len(self.called) >= self._strike_at:
            await self._strike()
        return await proceed()

    async def _strike(self) -> None:
        self._struck = True
        try:
            self._happened = await self._fault.strike(self._ready)
        except BenchError as error:
            self.problem = error


async def run_faults(ways: Collection[Way], ground: Ground, console: Console) -> list[Outcome]:
    """Run every fault of some ways, each time on processes of its own; raises BenchError, LocalError."""
    outcomes = []
    slower = replace(ground, model_ms=MODEL_MS)
    for fault in FAULTS:
        if fault.way not in ways:
            continue
        for run in range(1, RUNS + 1):
            where = stage(fault.way, slower, fault.layout, replicas=fault.replicas, settings=fault.settings)
            async with where as ready:
                outcome = await run_fault(ready, fault, ITEMS, run)
            outcomes.append(outcome)
            line = f"{fault.way}, {fault.name} ({fault.done}): {words(outcome)}"
            console.print(line, soft_wrap=True, highlight=False)
            if outcome.end == "hang":
                # The next runs would hang too, and take long.
                break
    return outcomes


async def run_fault(ready: Stage, fault: Fault, count: int, run: int) -> Outcome:
    """Run one batch, one item a task; raises BenchError when the fault did not happen."""
    form = next(form for form in FORMS if form.way == fault.way)
    await run_form(ready, form, min(WARM_UP_ITEMS, count))
    items = make_items(count)
    key = await put_input(ready.stack.s3, items)
    batch = f"{form.way}-{uuid.uuid4()}"
    watch = Watch(ready, fault, count)
    await watch.begin()
    started = time.monotonic()
    async with summary_of(ready.stack.s3, batch) as summary, beside(ready.submit(batch, key, form)) as submission:
        end, problem = await _follow(summary, submission, watch)
        seconds = time.monotonic() - started
        if end == "summary":
            await _quiet(watch)
        document = await summary.read()
    ready.stack.gateway.interceptor = proceed_unchanged
    if not watch.struck:
        raise BenchError(f"{fault.way}: the fault {fault.name} did not happen: {watch.problem or 'nothing met it'}")
    verdict = judge(document, items) if document is not None else None
    called = tuple(watch.called)
    return Outcome(fault.way, fault.name, fault.done, run, count, end, seconds, called, verdict, problem)


async def _follow(summary: Summary, submission: asyncio.Task[None], watch: Watch) -> tuple[End, str]:
    """Wait until the summary is there, the way gives up, or no call comes for too long."""
    while await summary.read() is None:
        if submission.done() and (error := submission.exception()) is not None:
            return "error", str(error)
        if watch.silence > HANG_SECONDS:
            return "hang", ""
        await asyncio.sleep(POLL_SECONDS)
    return "summary", ""


async def _quiet(watch: Watch) -> None:
    """Wait until late calls, which may write the summary again, have ended."""
    while watch.silence < QUIET_SECONDS:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(POLL_SECONDS)
