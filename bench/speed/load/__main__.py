"""Many batches at once on a local stack: `python -m bench.speed.load`; exit code 1 when a check did not hold."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from bench.kit.cli import Out, Workers, measure, new_app
from bench.kit.errors import BenchError
from bench.kit.leftovers import clean_within
from bench.kit.machine import RESULTS
from bench.kit.processes import Memory
from bench.kit.stack import BETWEEN_POLLS, Site, model_spec, open_site, pids, put_input, times_of
from bench.speed.load.report import ALONE, AMID, BATCHES, LOAD, NAME, render
from pipeline.client import Progress, SpecFields
from pipeline.local.openfaas.invoker import CallbackRecord
from pipeline.local.openfaas.message_queue import Message

MODEL = "model"
SECONDS = 1.0
OK = 200
REST_SECONDS = 5
ALONE_TIMES = 3
# The sweep removes leftovers one lease later.
CLEAN_WITHIN = 60.0
SHOWN = 20

Row = dict[str, Any]

Batches = Annotated[int, typer.Option(min=1, help="Batches submitted at once.")]
Items = Annotated[int, typer.Option(min=1, help="Items of each.")]
Small = Annotated[int, typer.Option(min=1, help="Items of the batch submitted in the middle.")]
Replicas = Annotated[int, typer.Option(min=1, help="Replicas of the pipeline.")]
Chunk = Annotated[int, typer.Option(min=1, help="Items a task.")]
Window = Annotated[int, typer.Option(min=1, help="Tasks of a batch in flight.")]

app = new_app()


@app.command()
def main(  # noqa: PLR0913 - the options of the command
    *,
    batches: Batches = 20,
    items: Items = 2_000,
    small: Small = 100,
    replicas: Replicas = 4,
    workers: Workers = 64,
    chunk: Chunk = 10,
    window: Window = 128,
    out: Out = RESULTS,
) -> None:
    """Run many batches at once and measure throughput, fairness, callbacks, the queue and memory."""
    load = {"batches": batches, "size": items, "small": small, "replicas": replicas}
    load |= {"workers": workers, "chunk": chunk, "window": window}
    measure("bench.speed.load", run_load(load), out, render)


async def run_load(load: dict[str, int]) -> dict[str, list[Row]]:
    """Run `batches` of `size` items at once, and one of `small` items, alone and then in the middle of them.

    Raises BenchError for batches that lack something, LocalError, CallError.
    """
    async with open_site(model_spec(MODEL), workers=load["workers"], pipeline_replicas=load["replicas"]) as site:
        runner = Runner(site, load)
        await runner.run_small("warm-up")
        alone = [await runner.run_small(f"{ALONE}-{turn}") for turn in range(ALONE_TIMES)]
        samples, together = await runner.run_all()
        problems = [*runner.problems, *await clean_within(CLEAN_WITHIN, site.bucket, site.redis)]
    if problems:
        raise BenchError("; ".join(problems[:SHOWN]))
    return {NAME: samples, BATCHES: [*alone, *together]}


class Sampler:
    """Takes samples: rows of the results. `statuses` are the last progress of the batches, by id."""

    def __init__(self, site: Site) -> None:
        self.samples: list[Row] = []
        self.statuses: dict[str, Progress] = {}
        self._site = site
        replicas = {f"replica_{number}": (pid,) for number, pid in enumerate(site.stack.pids("pipeline"), 1)}
        services = {name: group for name, group in pids(site.stack, ()).items() if name != "gateway"}
        self._memory = Memory({**replicas, **services})
        self._started = time.monotonic()
        self._last: CallbackRecord | None = next(reversed(site.stack.gateway.callback_log), None)
        self._deepest = 0
        site.stack.gateway.messages_hook = self._enqueued

    async def look(self) -> None:
        """Take one sample; raises BenchError when a process has ended, CallError when a status cannot be read.

        `collect_ms` are the milliseconds of the callbacks answered since the sample before, `messages_waiting` the
        deepest queue since then.
        """
        running = [batch for batch, status in self.statuses.items() if not status.over]
        statuses = await asyncio.gather(*(self._site.pipeline.batch(batch).status() for batch in running))
        self.statuses.update(zip(running, statuses, strict=True))
        await self._memory.sample()
        known, collects = self.statuses.values(), self._collects()
        self.samples.append(
            {
                "seconds": time.monotonic() - self._started,
                "items_done": sum(status.succeeded + status.failed for status in known),
                "batches_ended": sum(status.over for status in known),
                "messages_waiting": max(self._deepest, self._site.stack.gateway.queue_depth()),
                "collects": len(collects),
                "collect_ms": " ".join(f"{1000 * record.seconds:.0f}" for record in collects),
                "collects_refused": sum(record.status != OK for record in collects),
                **{f"rss_mb_{name}": size for name, size in self._memory.samples[-1][1].items()},
            }
        )
        self._deepest = 0

    async def follow(self, figure: str, least: float) -> None:
        """Take a sample a second until a figure of the last one is no longer less."""
        while self.samples[-1][figure] < least:
            await asyncio.sleep(SECONDS)
            await self.look()

    def _enqueued(self, _message: Message, /) -> Sequence[float]:
        self._deepest = max(self._deepest, self._site.stack.gateway.queue_depth() + 1)
        return (0.0,)

    def _collects(self) -> list[CallbackRecord]:
        """Return the callbacks since the last sample; the log keeps 10,000, more than two cores answer in a second."""
        new: list[CallbackRecord] = []
        for record in reversed(self._site.stack.gateway.callback_log):
            if record is self._last:
                break
            new.append(record)
        self._last = new[0] if new else self._last
        return new


class Runner:
    """Runs and checks batches; `problems` are those that were found."""

    def __init__(self, site: Site, load: dict[str, int]) -> None:
        self.problems: list[str] = []
        self._site = site
        self._load = load
        self._rows: dict[str, list[str]] = {}

    async def run_small(self, name: str) -> Row:
        """Run one small batch to its end."""
        batch, before = await self._submit(name, self._load["small"])
        return await self._check(name, before, await self._site.pipeline.batch(batch).wait(BETWEEN_POLLS))

    async def run_all(self) -> tuple[list[Row], list[Row]]:
        """Run the batches of the load at once, and the small one once half of their items are counted.

        Returns the samples, of which the first is from before anything runs, and the batches.
        """
        count, size, sampler = self._load["batches"], self._load["size"], Sampler(self._site)
        await sampler.look()
        names = [f"{LOAD}-{number:02}" for number in range(count)]
        submitted = await asyncio.gather(*(self._submit(name, size) for name in names))
        sampler.statuses |= {batch: Progress("opening") for batch, _ in submitted}
        async with asyncio.TaskGroup() as tasks:
            await sampler.follow("items_done", count * size / 2)
            amid = tasks.create_task(self.run_small(AMID))
            await sampler.follow("batches_ended", count)
        await sampler.follow("seconds", sampler.samples[-1]["seconds"] + REST_SECONDS)
        ends = [
            await self._check(name, before, sampler.statuses[batch])
            for name, (batch, before) in zip(names, submitted, strict=True)
        ]
        return sampler.samples, [*ends, amid.result()]

    async def _submit(self, name: str, items: int) -> tuple[str, float]:
        """Put the rows and submit them; returns the batch's id and the time just before, in seconds since 1970."""
        self._rows[name] = rows = [f"{name}-item-{index:07}" for index in range(items)]
        key = await put_input(self._site.stack.s3, rows, name)
        before = time.time()
        spec: SpecFields = {"function": MODEL, "chunk": self._load["chunk"], "window": self._load["window"]}
        batch = await self._site.pipeline.submit(key, **spec)
        return batch.id, before

    async def _check(self, name: str, before: float, status: Progress) -> Row:
        """Compare the summary of an ended batch with its rows; `seconds` are from the submission to the end."""
        content = await self._site.bucket.get(f"{status.batch_id}.json")
        problem = problem_of(self._rows[name], status, None if content is None else json.loads(content))
        self.problems += [f"{name}: {problem}"] if problem else []
        seconds = times_of(status).ended - before
        role = {"role": name.partition("-")[0], "items": status.items}
        return {**role, "seconds": seconds, "retried": status.retried, **self._load}


def problem_of(rows: Sequence[str], status: Progress, summary: Any) -> str:
    """Return what a batch lacks whose items all succeed: '' when each is in the summary once, in order and counted."""
    counts = (status.items, status.succeeded, status.failed)
    if status.state != "done" or counts != (len(rows), len(rows), 0) or summary is None:
        return f"it is {status.state} ({status.reason}), and {counts} are its items, successes and failures"
    lists = [
        (summary[name]["count"], [(entry["item"], entry["result"]) for entry in summary[name]["results"]])
        for name in ("results", "failures")
    ]
    if lists != [(len(rows), [(row, {"length": len(row)}) for row in rows]), (0, [])]:
        return "its summary does not have each row once, in order, with its own result"
    return ""


if __name__ == "__main__":
    app()
