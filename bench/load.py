"""`python -m bench.load`: many batches at once through several replicas; speed, fairness, memory, time to collect."""

from __future__ import annotations

import asyncio
import csv
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import psutil
import typer
from aiohttp import ClientSession
from rich.console import Console

from bench.load_report import Figures, Sample, write_report
from bench.machine import describe_machine
from pipeline.local.demo.bucket import open_bucket
from pipeline.local.functions import FunctionSpec
from pipeline.local.stack import LocalStack, local_stack

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipeline.local.proxy import Answer, Exchange

MODEL = Path(__file__).with_name("model.py")
RESULTS = Path(__file__).with_name("results")
SMALL = 100
MIB = 2**20
ENDED = {"done", "cancelled", "failed"}


@dataclass
class Load:
    """One run: the stack, and what is measured while it goes."""

    stack: LocalStack
    http: ClientSession
    collects: list[float] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    async def timed(self, exchange: Exchange, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """Time what the queue-workers' callbacks take."""
        begun = time.perf_counter()
        answer = await call()
        if exchange.path.startswith("/collect"):
            self.collects.append(time.perf_counter() - begun)
        return answer

    async def submit(self, name: str, rows: int, chunk: int) -> None:
        """Start a batch of rows that carry its name."""
        key = f"load/{name}.csv"
        body = "url\n" + "".join(f"{name}-{number:06}\n" for number in range(rows))
        async with open_bucket(self.stack.s3) as bucket:
            await bucket.put(key, body.encode())
        headers = {"X-Mode": "batch", "X-Batch-Id": name}
        spec = {"input": key, "chunk": chunk, "function": "model"}
        async with self.http.post(self.url, json=spec, headers=headers) as answer:
            answer.raise_for_status()

    async def ended(self, name: str) -> tuple[float, dict[str, Any]]:
        """Wait for a batch; returns the seconds since the start of the run, and its status."""
        while True:
            async with self.http.get(self.url, params={"batch": name}) as answer:
                status: dict[str, Any] = await answer.json()
            if status.get("state") in ENDED:
                return time.monotonic() - self.started, status
            await asyncio.sleep(0.5)

    @property
    def url(self) -> str:
        """Address of the function at the gateway."""
        return f"{self.stack.gateway_url}/function/pipeline"

    async def watch(self) -> None:
        """Sample the memory of every process, and the queue, each second."""
        pids = {f"pipeline-{place}": pid for place, pid in enumerate(self.stack.pids("pipeline"))}
        for name, service in (("redis", self.stack.redis_service), ("s3", self.stack.s3_service)):
            pids[name] = service.own().pid or 0
        processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        while True:
            memory = {name: process.memory_info().rss / MIB for name, process in processes.items()}
            depth = self.stack.gateway.queue_depth()
            self.samples.append(Sample(time.monotonic() - self.started, depth, memory))
            await asyncio.sleep(1)


async def measure(replicas: int, workers: int, batches: int, items: int, chunk: int) -> Figures:
    """Run the load, and check that every batch kept every row."""
    model = FunctionSpec("model", (sys.executable, str(MODEL)))
    stack_open = local_stack([model], workers=workers, pipeline_replicas=replicas)
    async with stack_open as stack, ClientSession() as http:
        alone = Load(stack, http)
        await alone.submit("alone", SMALL, 1)
        small_alone, _ = await alone.ended("alone")
        load = Load(stack, http)
        stack.gateway.interceptor = load.timed
        watching = asyncio.create_task(load.watch())
        names = [f"load-{number:02}" for number in range(batches)]
        await asyncio.gather(*(load.submit(name, items // batches, chunk) for name in names))
        ends = [asyncio.create_task(load.ended(name)) for name in names]
        await _until_half(load, names, items)
        begun = time.monotonic() - load.started
        await load.submit("small", SMALL, 1)
        small_among = (await load.ended("small"))[0] - begun
        results = await asyncio.gather(*ends)
        watching.cancel()
        problems = [problem for name in names for problem in await _problems(stack, name, items // batches)]
        seconds = [ended for ended, _ in results]
        return Figures(items, seconds, small_alone, small_among, load.collects, load.samples, problems)


async def _until_half(load: Load, names: list[str], items: int) -> None:
    while True:
        done = 0
        for name in names:
            async with load.http.get(load.url, params={"batch": name}) as answer:
                done += (await answer.json())["succeeded"]
        if done >= items / 2:
            return
        await asyncio.sleep(1)


async def _problems(stack: LocalStack, name: str, rows: int) -> list[str]:
    """Return what is wrong with a batch's summary."""
    async with open_bucket(stack.s3) as bucket:
        summary = orjson.loads(await bucket.get(f"{name}.json") or b"{}")
    results = summary["results"]
    found = [entry["url"] for entry in results["results"]]
    expected = [f"{name}-{number:06}" for number in range(rows)]
    wrong = found != expected or results["count"] != rows or summary["failures"]["count"]
    return [f"{name}: its summary is not every row once, in order"] if wrong else []


def main(
    replicas: Annotated[int, typer.Option(help="Replicas of the pipeline.")] = 4,
    workers: Annotated[int, typer.Option(help="Queue-workers.")] = 64,
    batches: Annotated[int, typer.Option(help="Batches submitted at once.")] = 20,
    items: Annotated[int, typer.Option(help="Items of all batches together.")] = 200_000,
    chunk: Annotated[int, typer.Option(help="Items a task.")] = 10,
    out: Annotated[Path, typer.Option(help="The folder for the figures.")] = RESULTS,
) -> None:
    """Put many batches through several replicas at once."""
    machine = describe_machine("bench.load", sys.argv[1:])
    figures = asyncio.run(measure(replicas, workers, batches, items, chunk))
    with (out / "load.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["second", "queue", *figures.samples[0].memory])
        for sample in figures.samples:
            memory = (f"{value:.1f}" for value in sample.memory.values())
            writer.writerow([f"{sample.second:.1f}", sample.queue, *memory])
    write_report(out / "load.md", figures, machine)
    Console().print((out / "load.md").read_text(), markup=False)
    raise typer.Exit(bool(figures.problems))


if __name__ == "__main__":
    typer.run(main)
