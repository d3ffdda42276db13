"""The load: many batches at once, a small one among them, and a sample of the stack each second."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.kit.errors import BenchError
from bench.kit.leftovers import clean_within
from bench.kit.processes import Memory
from bench.kit.stack import BETWEEN_POLLS, Site, model_spec, open_site, pids, put_input, times_of
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
LOAD, ALONE, AMID = "load", "alone", "amid"

Row = dict[str, Any]


@dataclass(frozen=True)
class Load:
    """The load: `batches` of `size` items each, and a batch of `small` items, alone and then in the middle of them."""

    batches: int
    size: int
    small: int
    replicas: int
    workers: int
    chunk: int
    window: int


async def run_load(load: Load) -> tuple[list[Row], list[Row]]:
    """Start a stack and run the load on it; returns the samples and the batches.

    Raises BenchError for batches that lack something, LocalError, CallError.
    """
    async with open_site(model_spec(MODEL), workers=load.workers, pipeline_replicas=load.replicas) as site:
        runner = Runner(site, load)
        await runner.run_small("warm-up")
        alone = [await runner.run_small(f"{ALONE}-{turn}") for turn in range(ALONE_TIMES)]
        samples, together = await runner.run_all()
        problems = [*runner.problems, *await clean_within(CLEAN_WITHIN, site.bucket, site.redis)]
    if problems:
        raise BenchError("; ".join(problems[:SHOWN]))
    return samples, [*alone, *together]


class Sampler:
    """Takes samples: rows of the results. `statuses` are the last progress by batch."""

    def __init__(self, site: Site) -> None:
        self.samples: list[dict[str, Any]] = []
        self.statuses: dict[str, Progress] = {}
        self._site = site
        replicas = {f"replica_{number}": (pid,) for number, pid in enumerate(site.stack.pids("pipeline"), 1)}
        services = {name: group for name, group in pids(site.stack, ()).items() if name != "gateway"}
        self._memory = Memory({**replicas, **services})
        self._started = time.monotonic()
        self._last: CallbackRecord | None = next(reversed(site.stack.gateway.callback_log), None)
        self._deepest = 0
        site.stack.gateway.messages_hook = self._enqueued

    @property
    def done(self) -> int:
        """Items counted so far."""
        return sum(status.succeeded + status.failed for status in self.statuses.values())

    async def look(self, batches: Sequence[str]) -> None:
        """Take one sample; raises BenchError when a process has ended, CallError when a status cannot be read.

        `collect_ms` are the milliseconds of the callbacks answered since the sample before, `messages_waiting` the
        deepest queue since then.
        """
        unfinished = [batch for batch in batches if batch not in self.statuses or not self.statuses[batch].over]
        statuses = await asyncio.gather(*(self._site.pipeline.batch(batch).status() for batch in unfinished))
        self.statuses.update(zip(unfinished, statuses, strict=True))
        await self._memory.sample()
        collects = self._collects()
        self.samples.append(
            {
                "seconds": time.monotonic() - self._started,
                "items_done": self.done,
                "batches_ended": sum(status.over for status in self.statuses.values()),
                "messages_waiting": max(self._deepest, self._site.stack.gateway.queue_depth()),
                "collects": len(collects),
                "collect_ms": " ".join(f"{1000 * record.seconds:.0f}" for record in collects),
                "collects_refused": sum(record.status != OK for record in collects),
                **{f"rss_mb_{name}": size for name, size in self._memory.samples[-1][1].items()},
            }
        )
        self._deepest = 0

    async def follow(self, batches: Sequence[str]) -> None:
        """Take a sample a second until all batches have ended."""
        await self.look(batches)
        while self.samples[-1]["batches_ended"] < len(batches):
            await asyncio.sleep(SECONDS)
            await self.look(batches)

    async def rest(self, seconds: float) -> None:
        """Take a sample a second after the end."""
        for _ in range(round(seconds / SECONDS)):
            await asyncio.sleep(SECONDS)
            await self.look(list(self.statuses))

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

    def __init__(self, site: Site, load: Load) -> None:
        self.problems: list[str] = []
        self._site = site
        self._load = load
        self._rows: dict[str, list[str]] = {}

    async def run_small(self, name: str) -> Row:
        """Run one small batch to its end."""
        batch, before = await self._submit(name, self._load.small)
        return await self._check(name, before, await self._site.pipeline.batch(batch).wait(BETWEEN_POLLS))

    async def run_all(self) -> tuple[list[Row], list[Row]]:
        """Run the batches of the load at once; returns the samples and the batches, with the small one amid."""
        # The first sample is the memory before anything runs.
        sampler = Sampler(self._site)
        await sampler.look([])
        names = [f"{LOAD}-{number:02}" for number in range(self._load.batches)]
        submitted = await asyncio.gather(*(self._submit(name, self._load.size) for name in names))
        amid = asyncio.create_task(self._run_amid(sampler))
        try:
            await sampler.follow([batch for batch, _ in submitted])
            last = await amid
        finally:
            amid.cancel()
        await sampler.rest(REST_SECONDS)
        statuses = [sampler.statuses[batch] for batch, _ in submitted]
        befores = [before for _, before in submitted]
        ends = zip(names, befores, statuses, strict=True)
        return sampler.samples, [*[await self._check(*end) for end in ends], last]

    async def _run_amid(self, sampler: Sampler) -> Row:
        """Submit the small batch once half of all items are counted."""
        while 2 * sampler.done < self._load.batches * self._load.size:  # noqa: ASYNC110 - the count is Redis'
            await asyncio.sleep(SECONDS)
        return await self.run_small(AMID)

    async def _submit(self, name: str, items: int) -> tuple[str, float]:
        """Put the rows and submit them; returns the batch's id and the time just before, in seconds since 1970."""
        self._rows[name] = rows = [f"{name}-item-{index:07}" for index in range(items)]
        key = await put_input(self._site.stack.s3, rows, name)
        before = time.time()
        spec: SpecFields = {"function": MODEL, "chunk": self._load.chunk, "window": self._load.window}
        batch = await self._site.pipeline.submit(key, **spec)
        return batch.id, before

    async def _check(self, name: str, before: float, status: Progress) -> Row:
        """Compare the summary of an ended batch with its rows; `seconds` are from the submission to the end."""
        content = await self._site.bucket.get(f"{status.batch_id}.json")
        problem = problem_of(self._rows[name], status, None if content is None else json.loads(content))
        self.problems += [f"{name}: {problem}"] if problem else []
        seconds = times_of(status).ended - before
        role = {"role": name.partition("-")[0], "items": status.items}
        return {**role, "seconds": seconds, "retried": status.retried, **asdict(self._load)}


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
