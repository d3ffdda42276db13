"""The load: many batches at once, and a small one among them."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bench.kit.errors import BenchError
from bench.kit.leftovers import clean_within
from bench.kit.stack import BETWEEN_POLLS, model_spec, open_site, put_input, times_of
from bench.speed.load.sampling import SECONDS, Sampler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.kit.stack import Site
    from pipeline.client import Progress, SpecFields

MODEL = "model"
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
        sampler = await Sampler.start(self._site)
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
