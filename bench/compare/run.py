"""Runs batches: measured from just before the submission until the summary can be read, or with a fault."""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import asdict, replace
from http import HTTPStatus
from typing import Any, Self

import typer

from bench.compare.faults import FAULTS, Fault
from bench.compare.stage import MODEL, Ground, Stage, stage
from bench.compare.summary import Document, Verdict, judge, make_items
from bench.compare.ways import FORMS, Form, Layout
from bench.kit.cli import interleaved
from bench.kit.errors import BenchError
from bench.kit.processes import Usage
from bench.kit.stack import put_input
from pipeline.client import CallError
from pipeline.local.openfaas.exchange import Answer, Exchange, proceed_unchanged

Row = dict[str, Any]

POLL_SECONDS = 0.02
DEADLINE_SECONDS = 900
WARM_UP_ITEMS = 50
# A batch with a fault. Some faults are races, and a killed worker has to be in the middle of a call.
ITEMS, RUNS, MODEL_MS = 200, 3, 50
# Three times the longest time after which a way here notices a lost message.
HANG_SECONDS = 90
QUIET_SECONDS = 3.0


async def compare(forms: Sequence[Form], layout: Layout, items: int, repeats: int, ground: Ground) -> list[Row]:
    """Run batches of some items; a way's processes run only while it is measured. Raises BenchError, LocalError."""
    rows: list[Row] = []
    for repeat, way in interleaved(dict.fromkeys(form.way for form in forms), repeats):
        async with stage(way, ground, layout) as ready:
            for form in (form for form in forms if form.way == way):
                await run_form(ready, form, min(WARM_UP_ITEMS, items))
                known = {"form": form.name, "way": way, "chunk": str(form.chunk), "repeat": repeat}
                rows.append({**known, "parallelism": layout.parallelism, "model_ms": ground.model_ms})
                rows[-1] |= await run_form(ready, form, items)
    return rows


async def run_form(ready: Stage, form: Form, count: int) -> Row:
    """Return the figures of a batch; raises BenchError when the summary does not come, or is not whole."""
    items = make_items(count)
    async with Submission(ready, form, items) as submission:
        usage, started = Usage(ready.groups()), time.perf_counter()
        document = await submission.wait_at_most(DEADLINE_SECONDS)
        seconds, cpu_ms = time.perf_counter() - started, usage.cpu_ms()
        # A client may have work left after the summary: it must not count for the next batch.
        await submission.task
    verdict = judge(document, items)
    if not verdict.complete:
        raise BenchError(f"{form.name}: the summary is wrong: {verdict}")
    cpu = {f"{name}_cpu_ms_per_item": value / count for name, value in cpu_ms.items()}
    return {"items": count, "seconds": seconds, "items_per_second": count / seconds, **cpu}


class Submission:
    """A batch that is submitted at the first await of the block, and not beyond its end."""

    def __init__(self, ready: Stage, form: Form, items: Sequence[str]) -> None:
        self._ready, self._form, self._items = ready, form, items

    async def __aenter__(self) -> Self:
        bucket, batch = self._ready.site.bucket, f"{self._form.name}-{uuid.uuid4()}"
        key, place = await put_input(self._ready.stack.s3, self._items), {"Bucket": bucket.name, "Key": f"{batch}.json"}
        # Signed beforehand, so that a read of it is cheap.
        self._url = await bucket.client.generate_presigned_url("get_object", Params=place, ExpiresIn=3600)
        self.task = asyncio.create_task(self._ready.submit(batch, key, self._form))
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def summary(self) -> Document | None:
        """Return the summary, None while there is none."""
        async with self._ready.http.get(self._url) as answer:
            if answer.status == HTTPStatus.NOT_FOUND:
                return None
            answer.raise_for_status()
            document: Document = json.loads(await answer.read())
            return document

    async def wait(self, is_over: Callable[[], bool]) -> Document | None:
        """Wait for the summary, None when the time is over; raises BenchError when the way gives up."""
        while (document := await self.summary()) is None and not is_over():
            if self.task.done():
                self.task.result()
            await asyncio.sleep(POLL_SECONDS)
        return document

    async def wait_at_most(self, seconds: float) -> Document:
        """Wait so many seconds for the summary; raises BenchError when it does not come."""
        end = time.monotonic() + seconds
        document = await self.wait(lambda: time.monotonic() > end)
        if document is None:
            raise BenchError(f"{self._form.name}: no summary after {seconds:g} s")
        return document


class Watch:
    """Records every call of the model function, and strikes at the time of the fault."""

    def __init__(self, ready: Stage, fault: Fault, items: int) -> None:
        self.called: list[str] = []
        self.struck = asyncio.Event()
        self._ready, self._fault, self._moved = ready, fault, time.monotonic()
        self._strike_at = int(items * fault.at)

    def silent(self, seconds: float) -> bool:
        """Return whether so much time has passed since the last call."""
        return time.monotonic() - self._moved > seconds

    async def begin(self) -> None:
        """Record from now on; a fault without a call happens now."""
        self._ready.stack.gateway.interceptor = self._intercept
        if not self._fault.at:
            await self._fault.strike(self._ready, self.struck)

    async def _intercept(self, exchange: Exchange, proceed: Callable[[], Awaitable[Answer]]) -> Answer:
        is_call = exchange.kind == "function" and exchange.function == MODEL and exchange.method == "POST"
        if is_call and isinstance(exchange.body, bytes):
            self.called.append(exchange.body.decode())
            self._moved = time.monotonic()
            if self._fault.at and len(self.called) == max(1, self._strike_at):
                await self._fault.strike(self._ready, self.struck)
        return await proceed()


async def run_faults(ways: Collection[str], ground: Ground) -> list[Row]:
    """Run every fault of some ways, each time on processes of its own; raises BenchError, LocalError."""
    rows: list[Row] = []
    for fault in FAULTS:
        for run in range(1, RUNS + 1) if fault.way in ways else ():
            async with stage(fault.way, replace(ground, model_ms=MODEL_MS), fault.layout) as ready:
                rows.append({"run": run, **await run_fault(ready, fault, ITEMS)})
            typer.echo(f"{fault.way}, {fault.name} ({fault.done}): {rows[-1]['happened']}")
            if rows[-1]["end"] == "hang":
                # The next runs would hang too, and take long.
                break
    return rows


async def run_fault(ready: Stage, fault: Fault, count: int) -> Row:
    """Run one batch, one item a task; raises BenchError when the fault did not happen."""
    form = next(form for form in FORMS if form.way == fault.way)
    await run_form(ready, form, min(WARM_UP_ITEMS, count))
    items, watch, problem, document = make_items(count), Watch(ready, fault, count), "", None
    await watch.begin()
    async with Submission(ready, form, items) as submission:
        started = time.monotonic()
        try:
            document = await submission.wait(lambda: watch.silent(HANG_SECONDS))
        except (BenchError, CallError) as error:
            problem = str(error)
        seconds = time.monotonic() - started
        # Late calls may write the summary again.
        while document is not None and not watch.silent(QUIET_SECONDS):  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(POLL_SECONDS)
        document = await submission.summary()
    ready.stack.gateway.interceptor = proceed_unchanged
    if not watch.struck.is_set():
        raise BenchError(f"{fault.way}: the fault {fault.name} ({fault.done}) did not happen")
    verdict, called = judge(document, items) if document else None, len(set(watch.called))
    return {
        "way": fault.way,
        "fault": fault.name,
        "done": fault.done,
        "seconds": seconds,
        "items": count,
        "end": "summary" if verdict else "error" if problem else "hang",
        **(asdict(verdict) if verdict else {}),
        "called": called,
        "repeated_calls": len(watch.called) - called,
        "happened": words(verdict, problem),
    }


def words(verdict: Verdict | None, problem: str = "") -> str:
    """Return the outcome of a batch in words that are the same for every run with the same outcome."""
    if verdict is None:
        return f"gives up: {problem}" if problem else "hangs"
    names = {"duplicated": "twice in the summary", "counted_twice": "counted twice", "wrong": "with a wrong result"}
    counts = {name: count for name, count in asdict(verdict).items() if count and name != "present"}
    return ", ".join(f"{count} {names.get(name, name)}" for name, count in counts.items()) or "every item once"
